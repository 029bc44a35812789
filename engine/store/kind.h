/*
 * kind.h - kinds of stores behind quiver.h, for code in this tree.
 *
 * A store is a local folder or of another kind, which brings a table of functions. The public
 * functions (api.c) look at the head that every kind's struct begins with: a local folder has
 * no table there and is called directly, so that a read of it costs one predicted branch more.
 */
#ifndef QUIVER_KIND_H
#define QUIVER_KIND_H

#include "engine/base/report.h"
#include "engine/quiver.h"

/*
 * What the public functions do for a store of a kind; contracts, errors and threads are those of
 * quiver.h. The calls under "optional" may be NULL: api.c then answers -EOPNOTSUPP, or what is
 * said there.
 */
struct quiver_kind {
	const char *name; /* "rados"; for messages */

	int (*close)(struct quiver *store);

	int (*get)(struct quiver *store, uint64_t id, unsigned flags, struct quiver_ref *ref);
	void (*unref)(struct quiver *store, struct quiver_ref *ref);
	int (*ref_verify)(struct quiver *store, const struct quiver_ref *ref, unsigned flags);
	int (*ref_read)(struct quiver *store, const struct quiver_ref *ref, uint64_t offset,
	                size_t length, unsigned flags, void *to);
	int (*get_copy)(struct quiver *store, uint64_t id, void *to, struct quiver_attr *attr,
	                uint64_t *lsn);
	int (*stat)(struct quiver *store, uint64_t id, unsigned flags, struct quiver_attr *attr,
	            uint64_t *lsn);
	/* A struct quiver_list is of the kind's own making. */
	int (*list_open)(struct quiver *store, unsigned flags, struct quiver_list **list);
	int64_t (*list_read)(struct quiver *store, struct quiver_list *list, uint64_t position,
	                     unsigned flags, uint64_t *ids, size_t max);
	uint64_t (*list_count)(struct quiver *store, const struct quiver_list *list);
	void (*list_close)(struct quiver *store, struct quiver_list *list); /* not NULL */
	uint64_t (*count)(struct quiver *store);

	int (*put)(struct quiver *store, uint64_t id, const void *data,
	           const struct quiver_attr *attr, unsigned attr_mask, unsigned flags,
	           uint64_t *lsn);
	int (*remove)(struct quiver *store, uint64_t id, unsigned flags, uint64_t *lsn);
	int (*set_attr)(struct quiver *store, uint64_t id, const struct quiver_attr *attr,
	                unsigned mask, unsigned flags);
	int (*dir_attr)(struct quiver *store, unsigned flags, struct quiver_attr *attr);
	int (*set_dir_attr)(struct quiver *store, const struct quiver_attr *attr, unsigned mask,
	                    unsigned flags);

	int (*flush)(struct quiver *store);
	int (*space)(struct quiver *store, unsigned flags, struct quiver_space *space);
	/* All of the struct. */
	void (*stats)(struct quiver *store, struct quiver_stats *stats);

	/* Optional from here on. */
	bool (*ref_resident)(struct quiver *store, const struct quiver_ref *ref); /* false */
	void (*ref_prefetch)(struct quiver *store, const struct quiver_ref *ref); /* nothing */
	/* NULL: each record is a put by itself. */
	int (*put_batch)(struct quiver *store, const struct quiver_record *records, size_t count,
	                 const struct quiver_attr *attr, unsigned attr_mask, unsigned flags,
	                 uint64_t *lsn);
	int (*rename)(struct quiver *store, uint64_t from, uint64_t to, unsigned flags,
	              uint64_t *lsn);
	int (*checkpoint)(struct quiver *store);
	void (*checkpoint_soon)(struct quiver *store); /* nothing */
	enum quiver_durability (*durability)(struct quiver *store); /* QUIVER_ALWAYS */
	/* NULL: the mode in force may be set, another is -EOPNOTSUPP. */
	int (*set_durability)(struct quiver *store, enum quiver_durability mode);
	int (*reserve)(struct quiver *store, uint64_t count);
	int (*set_autocompact)(struct quiver *store, uint32_t percent); /* 0 may be set */
	int (*job_start)(struct quiver *store, enum quiver_job kind);
	int (*job_stop)(struct quiver *store, enum quiver_job kind);
	void (*job_status)(struct quiver *store, enum quiver_job kind,
	                   struct quiver_job_status *status); /* never ran */
	int (*set_label)(struct quiver *store, const char *text, size_t length);
	int (*set_metric)(struct quiver *store, enum quiver_metric metric);
	void (*describe)(struct quiver *store,
	                 struct quiver_description *description); /* l2, no label */
	/* All six of the columns, or none. */
	int (*column_hold)(struct quiver *store, enum quiver_column column, int *fd,
	                   uint64_t *size_bytes);
	void (*column_release)(struct quiver *store, enum quiver_column column);
	uint64_t (*column_bytes)(struct quiver *store, enum quiver_column column); /* 0 */
	int64_t (*column_read)(struct quiver *store, enum quiver_column column, uint64_t offset,
	                       size_t length, void *to);
	int (*column_watch)(struct quiver *store, const struct quiver_watcher *watcher);
	void (*column_unwatch)(struct quiver *store, bool wait);
};

/* The first member of what a kind keeps for an open store, which a `struct quiver *` points to.
 * Fixed at open; the kind owns what it points to. */
struct quiver_head {
	const struct quiver_kind *kind; /* NULL: a local folder */
	unsigned capabilities; /* those of quiver.h */
	const struct quiver_geometry *geometry;
	struct report *report;
};

#endif
