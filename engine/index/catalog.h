/*
 * catalog.h - which slot holds which vector now: the columns, the table of IDs, the maps of
 * slots, who reads them, and attributes that are not in their rows yet. What an open store
 * knows of its vectors, without how it changes.
 *
 * Readers take no lock: they look within an epoch section and pin what they find. Whoever
 * changes something holds the writer lock, and the publish lock while it becomes visible.
 */
#ifndef QUIVER_CATALOG_H
#define QUIVER_CATALOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/health.h"
#include "engine/disk/columns.h"
#include "engine/disk/residency.h"
#include "engine/index/attr_deltas.h"
#include "engine/index/cells.h"
#include "engine/index/index.h"
#include "engine/index/index_keep.h"
#include "engine/index/published.h"
#include "engine/index/readers.h"
#include "engine/index/slots.h"
#include "engine/index/versions.h"
#include "engine/media/superblock.h"

/* The IDs present at one moment, in slot order; of quiver.h. */
struct quiver_list {
	size_t users; /* list lock */
	uint64_t members, moves; /* of the index at that moment */
	size_t damaged; /* vectors that it lacks, as their rows do not match */
	size_t count; /* where there are slots, damaged ones too */
	struct list_slots *slots; /* owned; the IDs are read from there; NULL: they are in ids */
	uint64_t ids[];
};

struct list_slots;

/* A listing of more vectors than these is not read into memory whole: 8 MiB. */
#define CATALOG_LIST_WHOLE_MAX (UINT64_C(1) << 20)

struct catalog {
	struct columns columns;
	struct slots slots;
	struct readers readers;
	struct index index;
	struct index_keep keep; /* its file */
	struct attr_deltas attr_deltas;
	struct residency residency;
	struct versions versions; /* of its rows, those that snapshots have */
	struct published published;
	struct cells_watched cells; /* publish lock */
	struct health *health; /* not owned */
	bool opened; /* the columns are; set at open */
	/* Somebody changes with QUIVER_NOWAIT, whom nobody shall keep waiting for the disk with the
	 * writer lock held. Relaxed: it may be learnt late. */
	_Atomic bool has_hasty;
	pthread_mutex_t writer_lock; /* whoever applies commits */
	pthread_mutex_t publish_lock; /* within the writer lock; held while a group becomes
	                                 visible, so that a listing sees all of it or none
	                                 and need not wait for a sync */
	pthread_mutex_t list_lock; /* within the publish lock */
	struct quiver_list *newest_list; /* list lock; NULL where nobody has one */
	pthread_mutex_t fill_lock; /* within the publish lock and the list lock */
	struct list_slots *_Atomic listings; /* fill lock; read without it to pass by */
	uint64_t list_whole_max; /* fixed at open; vectors of a listing in memory */
};

/* All-zero memory becomes a catalog with nothing open. */
void catalog_init(struct catalog *catalog, struct health *health);
/* Open the columns (as columns_open), with empty maps of their slots; the index is not
 * initialised. 0, -ENOMEM, errors of columns_open. */
int catalog_open(struct catalog *catalog, const struct quiver_io *io, int dir_fd,
                 const struct quiver_geometry *geometry, uint32_t version, uint64_t slots_used,
                 bool read_only, struct quiver_error *error);
/* The same with columns_open_private, which says more: `rows` of them, all free. */
int catalog_open_private(struct catalog *catalog, const struct quiver_io *io, int dir_fd,
                         const struct quiver_geometry *geometry, uint64_t rows,
                         struct quiver_error *error);
/* Close the columns where they are open. 0 or the first error. */
int catalog_close(struct catalog *catalog);
/* Free all memory. Nobody may be inside. */
void catalog_destroy(struct catalog *catalog);

/* ---- catalog_read.c: as the calls of quiver.h with the same names ---- */

int catalog_get(struct catalog *catalog, uint64_t id, unsigned flags, struct quiver_ref *ref);
void catalog_unref(struct catalog *catalog, struct quiver_ref *ref);
int catalog_ref_verify(struct catalog *catalog, const struct quiver_ref *ref, unsigned flags);
int catalog_ref_read(struct catalog *catalog, const struct quiver_ref *ref, uint64_t offset,
                     size_t length, void *to);
bool catalog_ref_resident(struct catalog *catalog, const struct quiver_ref *ref);
void catalog_ref_prefetch(struct catalog *catalog, const struct quiver_ref *ref);
/* The bytes of a vector that is pinned, or held, compared with its checksum. 0, -EIO (reported). */
int catalog_ref_copy(struct catalog *catalog, const struct quiver_ref *ref, void *to);
int catalog_get_copy(struct catalog *catalog, uint64_t id, void *to, struct quiver_attr *attr,
                     uint64_t *lsn);
/* As quiver_get_many. */
int catalog_get_many(struct catalog *catalog, const uint64_t *ids, size_t count, void *to,
                     struct quiver_attr *attrs, int *results);
int catalog_stat(struct catalog *catalog, uint64_t id, unsigned flags, struct quiver_attr *attr,
                 uint64_t *lsn);
uint64_t catalog_count(struct catalog *catalog);

/* Whether looking `id` up would wait for the disk; a best effort. No lock held. */
bool catalog_would_wait(struct catalog *catalog, uint64_t id);
/* A get has ended with `r`: for what counts them. */
void catalog_count_get(struct catalog *catalog, int r);

/* Before `id` is changed: have in memory what is looked at for that, so that who holds the writer
 * lock then does not wait for the disk, where that matters to anybody. With QUIVER_NOWAIT -EAGAIN
 * where it is not there; a best effort. 0. No lock held. */
int catalog_warm(struct catalog *catalog, uint64_t id, unsigned flags);

/* Report that a row cannot be used, for the reason `r` of columns_meta. -EIO. */
int catalog_row_error(struct catalog *catalog, uint64_t id, uint64_t slot, int r);
/* The row of a live slot with its attributes as set last. In an epoch section or under the
 * writer lock. 0, -EBADMSG, -EIO. */
int catalog_row(struct catalog *catalog, uint64_t slot, uint64_t id, struct meta_row *row);
/* Why `id` was not found: -ENOENT, or -EIO (reported) where damage may hide it. In an epoch
 * section or under the writer lock. */
int catalog_missing(struct catalog *catalog, uint64_t id);

/* ---- catalog_list.c ---- */

/* As in quiver.h; what is opened is given back with catalog_list_close. */
int catalog_list_open(struct catalog *catalog, unsigned flags, struct quiver_list **list);
int64_t catalog_list_read(struct catalog *catalog, const struct quiver_list *list,
                          uint64_t position, unsigned flags, uint64_t *ids, size_t max);
/* Vectors that it lacks, as far as it was read. */
size_t catalog_list_damaged(struct catalog *catalog, const struct quiver_list *list);
uint64_t catalog_list_bytes(const struct quiver_list *list);
/* The row of a slot whose free was deferred, and which was that of `id`, is about to be emptied.
 * Once for each, before that. No lock held. */
void catalog_row_goes(struct catalog *catalog, uint64_t slot, uint64_t id);
/* Whether anybody has to be told so. It stays so of those whose free is deferred already. */
static inline bool catalog_is_being_listed(struct catalog *catalog)
{
	return atomic_load(&catalog->listings) != NULL;
}
/* `list` may be NULL. */
void catalog_list_close(struct catalog *catalog, struct quiver_list *list);

/* ---- index_rebuild.c ---- */

/* Whether so many changes that are made together need catalog_ready_many before catalog_ready. Writer
 * lock. */
bool catalog_wants_many(const struct catalog *catalog, size_t pending);
/* Have all in memory that changes of `count` IDs change in the index, of which some may be there and
 * some may be the same, whatever their order. `ids` gets other content. As catalog_ready. */
int catalog_ready_many(struct catalog *catalog, uint64_t *ids, size_t count, bool nowait);
/* Have all in memory that a change of `id` looks at and changes in the index, with `pending` changes
 * that are made before it or with it: reads it, or makes the index anew where it is damaged. 0,
 * -ENOMEM, -EROFS (the store has failed: rows are damaged, too), with `nowait` -EAGAIN where all of
 * it would have to be read. Before the change is planned. Writer lock. */
int catalog_ready(struct catalog *catalog, uint64_t id, size_t pending, bool nowait);
/* Whether that would not have to read. In an epoch section. */
bool catalog_is_ready(struct catalog *catalog, uint64_t id);
/* The same for all of the index. */
int catalog_whole_index(struct catalog *catalog);
/* index_make_room, with what that takes of the others. With `nowait` -EAGAIN where it would have to
 * read. */
int catalog_make_room(struct catalog *catalog, uint64_t count, bool nowait);
/* A search may have found nothing for damage in the snapshot of the index: make the index anew.
 * 0: search again; -EIO there is no memory for it (reported). No lock held, not in an epoch
 * section. */
int catalog_rebuild_index(struct catalog *catalog);

/* `wrong` rows do not say whose they are: what is not found may be there, so the store has failed.
 * Nothing where it is 0. */
void catalog_miss_some(struct catalog *catalog, uint64_t wrong);

/* ---- catalog_keep.c ---- */

/* The index that `sb` names. */
struct index_stamp catalog_index_stamp(const struct superblock *sb);
/* Load the index that `sb` names, of a store that was closed or has crashed: the live map, and the
 * table as it is used. Nothing is in index and slots yet. 0; -ENOENT none is kept; -ESTALE, -EBADMSG;
 * -ENOMEM, -errno of the reads: then it is as before. */
int catalog_load_index(struct catalog *catalog, const struct superblock *sb);
/* Where none is kept, of a store that was closed by a program before: make the index of the file that
 * this left. 0; -ENOENT, -ESTALE, -EBADMSG, -ENOMEM, -errno of the reads: then it is as before. */
int catalog_load_old_index(struct catalog *catalog, const struct superblock *sb);
/* Of an index as it is now, whose writing is to begin: 1, and it has; 0 it costs more than `most_bytes`
 * (UINT64_MAX: it may cost anything), or must not be kept. -ENOMEM; -EAGAIN, -EIO as index_keep_begin.
 * Writer lock. */
int catalog_keep_begin(struct catalog *catalog, const struct index_keep_as *as,
                       uint64_t most_bytes);
/* Write an index as it is now, durably, for the superblock *next, whose LSN, slots in use, count and
 * highest ctime are set, and which is written next: says so there, or that none is kept. 0, -ENOMEM,
 * -errno: none is. Then catalog_keep_end. No lock but the checkpoint lock. */
int catalog_keep_index(struct catalog *catalog, struct superblock *next);
/* What has become of it. As catalog_keep_index. 0, or -errno of what is made up for by the next open. */
int catalog_keep_end(struct catalog *catalog, enum index_keep_fate fate);

#endif
