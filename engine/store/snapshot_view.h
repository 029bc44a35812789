/*
 * snapshot_view.h - a snapshot that is open as a store: a kind of its own, over the catalog of the store
 * that it is of, or over one that this process has made of its rows (snapshot_alone.c).
 */
#ifndef QUIVER_SNAPSHOT_VIEW_H
#define QUIVER_SNAPSHOT_VIEW_H

#include <stddef.h>

#include "engine/index/catalog.h"
#include "engine/store/job.h"
#include "engine/store/kind.h"

struct snapshot_view {
	struct quiver_head head; /* the first member, of any kind */
	struct quiver_kind kind; /* the table that the head names; fixed, as all but the list */
	struct catalog *catalog; /* not owned */
	const struct quiver_io *io;
	struct quiver_geometry geometry;
	struct snapshot_page page;
	char name[QUIVER_SNAPSHOT_NAME_MAX + 1];
	uint64_t rows_end; /* no slot that it has lies at or above */
	void *owner; /* of what it lies over; for `kind.close` */
	struct job job;
	_Atomic bool
		lacks; /* a listing has found fewer than it has: what is missing may be one of them */
	pthread_mutex_t list_lock;
	struct quiver_list *list; /* list lock; the copy that those who list now share, or NULL */
};

/* What any has: `view`, all-zero memory, reads `catalog` at the LSN of `page`; `report` as in the head.
 * `close` frees it after snapshot_view_end. */
void snapshot_view_begin(struct snapshot_view *view, struct catalog *catalog,
                         const struct snapshot_page *page, const char *name,
                         int (*close)(struct quiver *store));
void snapshot_view_end(struct snapshot_view *view);

static inline struct snapshot_view *snapshot_view_of(struct quiver *store)
{
	return (struct snapshot_view *)store;
}

/* Whether a store of any kind is one: its table lies in itself. */
static inline bool snapshot_view_is(const struct quiver *store)
{
	return ((const struct quiver_head *)store)->kind ==
	       (const void *)((const char *)store + offsetof(struct snapshot_view, kind));
}

/* ---- snapshot_list.c, snapshot_columns.c, snapshot_verify.c: as in kind.h ---- */

int snapshot_list_open(struct quiver *store, unsigned flags, struct quiver_list **list);
int64_t snapshot_list_read(struct quiver *store, struct quiver_list *list, uint64_t position,
                           unsigned flags, uint64_t *ids, size_t max);
uint64_t snapshot_list_count(struct quiver *store, const struct quiver_list *list);
void snapshot_list_close(struct quiver *store, struct quiver_list *list);

int snapshot_column_hold(struct quiver *store, enum quiver_column column, int *fd,
                         uint64_t *size_bytes);
void snapshot_column_release(struct quiver *store, enum quiver_column column);
uint64_t snapshot_column_bytes(struct quiver *store, enum quiver_column column);
int64_t snapshot_column_read(struct quiver *store, enum quiver_column column, uint64_t offset,
                             size_t length, void *to);
int snapshot_column_watch(struct quiver *store, const struct quiver_watcher *watcher);
void snapshot_column_unwatch(struct quiver *store, bool wait);

/* The work of its job. `owner`: the store. */
int snapshot_verify(void *owner, enum quiver_job kind);
int snapshot_job_start(struct quiver *store, enum quiver_job kind);
int snapshot_job_stop(struct quiver *store, enum quiver_job kind);
void snapshot_job_status(struct quiver *store, enum quiver_job kind,
                         struct quiver_job_status *status);

/* ---- snapshot_alone.c ---- */

/* quiver_open of "STORE@NAME", of which the first `length` bytes are STORE. `options` with all
 * members. */
int snapshot_alone_open(const char *path, size_t length, const struct quiver_options *options,
                        struct quiver **out, struct quiver_error *error);

#endif
