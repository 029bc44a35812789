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
	/* NULL: each is a get_copy by itself. */
	int (*get_many)(struct quiver *store, const uint64_t *ids, size_t count, void *to,
	                struct quiver_attr *attrs, int *results);
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
	/* quiver_snapshot_stat of itself; -EOPNOTSUPP */
	int (*snapshot_self)(struct quiver *store, struct quiver_snapshot *snapshot);
	int (*facts)(struct quiver *store, unsigned flags, char **text); /* "" */
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

/*
 * What a module with a kind of store brings: a shared object, loaded when the first path asks for
 * it, which has a struct quiver_module of the name QUIVER_MODULE_SYMBOL. It is linked with its own
 * copy of engine/base; what belongs to a thread or to the process is the library's, and comes by
 * `begin`. Contracts and errors of the calls are those of quiver.h.
 */
#define QUIVER_MODULE_SYMBOL "quiver_module"

struct quiver_module {
	const char *version; /* QUIVERFS_VERSION */
	size_t kind_size; /* sizeof(struct quiver_kind): both must be those of who loads it */

	/* Once, before any of the others. `interrupted` tells whether the calling thread is to stop
	 * waiting, as quiver_set_interrupt has set it. */
	void (*begin)(bool (*interrupted)(void));
	/* `options` with all members, whatever the caller knew. */
	int (*open)(const char *path, const struct quiver_options *options, struct quiver **out,
	            struct quiver_error *error);
	/* `geometry` with vector_bytes and uuid, looked at as is `description`, which is not NULL. */
	int (*create)(const char *path, const struct quiver_geometry *geometry,
	              const struct quiver_description *description,
	              const struct quiver_create_options *options, struct quiver_error *error);
	int (*check)(const char *path, const char *access, bool repair,
	             void (*say)(void *arg, const char *line), void *arg,
	             struct quiver_check_result *result, struct quiver_error *error);
	int (*stores)(const char *place, const char *access,
	              void (*found)(void *arg, const char *name), void *arg,
	              struct quiver_error *error);
	int (*destroy)(const char *path, const char *access, struct quiver_error *error);
};

#endif
