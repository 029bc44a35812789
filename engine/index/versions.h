/*
 * versions.h - which snapshots an open store has, and the rows that they have and the columns have
 * not any more.
 *
 * Each version of a row holds from one LSN until another; a snapshot has those that hold at its own.
 * Whoever ends one, under the writer lock and before that is visible, adds it here where a snapshot
 * has it. So a reader of a snapshot that finds nothing in the columns finds it here.
 * The slots of superseded versions are held: they are not free while one is here.
 */
#ifndef QUIVER_VERSIONS_H
#define QUIVER_VERSIONS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/disk/versions_file.h"
#include "engine/index/versions_table.h"
#include "engine/media/snapshot_page.h"
#include "engine/quiver.h"

/* A snapshot that there is, or that was removed while somebody here has it open. */
struct snapshot {
	/* Fixed. Of a damaged one it is not known, but `lsn` is what its LSN cannot be above: any row up
	 * to there may be its. */
	struct snapshot_page page;
	char name[QUIVER_SNAPSHOT_NAME_MAX + 1]; /* fixed */
	bool damaged; /* its file cannot be read: fixed */
	int error; /* for whoever opens a damaged one: -EUCLEAN, or what reading it returned: fixed */
	bool making; /* lock; it has no file yet: nobody finds it, but what it has is kept */
	bool removed; /* lock */
	unsigned users; /* lock; who has it open here */
	uint64_t own_vectors; /* lock; as in quiver.h */
	uint64_t own_records; /* lock; rows that it alone has */
	uint64_t counted_vectors,
		counted_records; /* checkpoint lock; the same, being counted anew */
};

struct versions {
	pthread_rwlock_t lock; /* below the publish lock */
	pthread_mutex_t *writer_lock; /* the store's, not owned */
	struct versions_file
		file; /* checkpoint lock; its room: writer lock; to replace it both and `lock` */
	uint64_t recorded; /* writer lock; records there are and will be, of the pending ones */
	size_t promised; /* writer lock; rows that commits which are logged will end, at most */
	uint64_t vector_bytes;

	struct snapshot **
		snapshots; /* lock to read, and the writer lock, too, to change; owned; ascending LSN,
	                                damaged ones first */
	size_t snapshot_count, snapshot_capacity; /* the same */
	size_t damaged_count; /* the same */
	uint64_t damaged_lsn; /* the same; the highest of theirs */
	/* A row that holds from above this on is in none. Written under the writer lock; 0 also where
	 * there is none. */
	_Atomic uint64_t newest_lsn;
	/* Of records that cannot be read, or made; what a snapshot lacks may have been there. */
	_Atomic uint64_t lost_bytes;

	/* Read with `lock`. Changed with it and the writer lock: so who has that may read it, too. */
	struct versions_table table; /* the pending ones last */
	size_t pending; /* as table; the last so many are not in the file yet */
	struct meta_row *pending_rows; /* as table; owned; theirs */
	size_t pending_capacity; /* as table */
	uint64_t added; /* as table; items ever */
	uint64_t added_at_drop; /* as table; then, when a snapshot was dropped last */
	_Atomic uint64_t held; /* superseded ones; for stats */
	bool untidy; /* lock; some may be here, or in the file, that no snapshot has */
};

/* All-zero memory becomes one with no snapshot. `writer_lock` outlives it. */
void versions_init(struct versions *versions, pthread_mutex_t *writer_lock);
/* Nothing is open any more. */
void versions_destroy(struct versions *versions);

/* ---- snapshots ---- */

/* Room for one more. -ENOMEM, -ENOSPC QUIVER_SNAPSHOTS_MAX. Writer lock. */
int versions_snapshot_room(struct versions *versions);
/* Add one, whose memory (malloc'd) is the versions' from now on. After versions_snapshot_room, with
 * the writer lock: from then on what it has is kept. */
void versions_snapshot_add(struct versions *versions, struct snapshot *snapshot);
/* It has its file: whoever looks finds it. */
void versions_snapshot_made(struct versions *versions, struct snapshot *snapshot);
/* It is no more, but for those who have it open. The name may be given anew. */
void versions_snapshot_removed(struct versions *versions, struct snapshot *snapshot);
/* Forget one that has come to nothing, whether it was added or not. Writer lock. */
void versions_snapshot_forget(struct versions *versions, struct snapshot *snapshot);
/* Forget those that were removed and that nobody has open. Writer lock. */
void versions_drop_removed(struct versions *versions);
/* Whether there may be rows that no snapshot has any more. Any thread. */
bool versions_is_untidy(struct versions *versions);
/* Whether there are any, those included that were removed and are still open. Any thread. */
bool versions_any(struct versions *versions);
/* The one of that name that was not removed, NULL. Stays valid under the checkpoint lock, or with a
 * user. With `use` it gets one. */
struct snapshot *versions_snapshot(struct versions *versions, const char *name, bool use);
/* A user less. Any thread; what it alone had comes free at the next checkpoint. */
void versions_snapshot_release(struct versions *versions, struct snapshot *snapshot);
/* As quiver_snapshots, quiver_snapshot_stat. */
int versions_tell(struct versions *versions, struct quiver_snapshot **snapshots, size_t *count);
/* The one that alone has the most bytes; false where there is none. */
bool versions_tell_most(struct versions *versions, struct quiver_snapshot *most);
/* How many there are. */
uint64_t versions_count(struct versions *versions);
/* Of the file, on disk. */
uint64_t versions_bytes(struct versions *versions);
int versions_tell_one(struct versions *versions, const char *name,
                      struct quiver_snapshot *snapshot);

/* ---- rows that end ---- */

/* Whether a row that has held from there on may be in a snapshot: else nothing need be looked at or
 * added. Takes no lock; with the writer lock it is exact. */
static inline bool versions_may_want(const struct versions *versions, uint64_t from)
{
	return from <= atomic_load_explicit(&versions->newest_lsn, memory_order_acquire);
}

/* Memory for `count` more than are promised. -ENOMEM; -ENOSPC as many as can be counted. Writer
 * lock. */
int versions_make_room(struct versions *versions, size_t count);
/* A row ends at LSN `until`, of its vector or of its attributes alone. It is added where a snapshot
 * has it; of one that is superseded the slot is held then. Not twice: one of the same slot, kind and
 * from (superseded: LSN of the row) that is here stays as it is. After versions_make_room, with the writer lock, or while the
 * store is opened. */
void versions_end(struct versions *versions, uint64_t slot, uint64_t id, const struct meta_row *row,
                  uint64_t until, enum version_kind kind);
/* One that is in the file; while the store is opened, after its snapshots are added. 0 or -ENOMEM. */
int versions_load(struct versions *versions, uint64_t number, const struct version_record *record);
/* Rows whose slot was used again after them, as no snapshot had them any more, count for nothing: one
 * that is damaged by now, or whose file somebody has put back, might have them else. So do superseded
 * ones that are live all the same, after a repair that has lost the end of the log, or which no store
 * writes. `lsn_in`: LSN of the live row in a slot, 0 where there is none, UINT64_MAX there is no such
 * slot, 1 it cannot be read. How many of them a snapshot has that can be read: it lacks
 * these vectors. While the store is opened. */
uint64_t versions_spoil_reused(struct versions *versions,
                               uint64_t (*lsn_in)(void *arg, uint64_t slot), void *arg);
/* All rows are forgotten, to be loaded anew; while the store is opened. */
void versions_forget_rows(struct versions *versions);
/* Whether the slot is held. Any thread. */
bool versions_hold(struct versions *versions, uint64_t slot);
/* Each slot that is held: one call. While the store is opened, or with the checkpoint lock and the writer
 * lock. */
void versions_each_held(struct versions *versions, void (*each)(void *arg, uint64_t slot),
                        void *arg);

/* So many records, 64 KiB, are left on a full disk for who removes vectors, when others are refused. */
#define VERSIONS_SPARE_RECORDS 682u

/* Whether there is room on disk for `count` more than are promised. Writer lock. */
static inline bool versions_has_room_on_disk(const struct versions *versions, uint64_t count)
{
	return versions->snapshot_count == 0 ||
	       versions->recorded + versions->promised + count <= versions->file.room;
}
/* Room on disk for `count` more than are promised, so that a checkpoint that writes them finds it. As
 * versions_file_make_room; 0 where there is no snapshot. Writer lock. */
int versions_room_on_disk(struct versions *versions, uint64_t count);

/* ---- at a checkpoint (its lock held, and no other) ---- */

/* Write and sync those that ended up to `lsn`. 0 or -errno. */
int versions_persist(struct versions *versions, uint64_t lsn);
/* Let go of those that no snapshot has any more. The superseded ones among them are in *gone (malloc'd,
 * the caller's to free), *count of them: their slots are held no longer, and are to be freed. Where the
 * file has more that is of no use than of use it is written anew; where that fails it stays as it was.
 * 0; -ENOMEM nothing has changed; -errno the folder could not be synced, so that it is not known which
 * file is there after a crash: *gone is set all the same. */
int versions_tidy(struct versions *versions, struct version **gone, size_t *count);
/* Where there is no snapshot, and the superblock says so: no file either. 0 or -errno. */
int versions_drop_file(struct versions *versions);

/* ---- looking ---- */

/* The version of `id` that a snapshot of `lsn` has. 0, -ENOENT, -EIO or -EBADMSG its record cannot be
 * read. Any thread, as the next. */
int versions_of_id(struct versions *versions, uint64_t id, uint64_t lsn,
                   struct version_record *record);
/* Whose vector lay in `slot`, which is in memory. 0, -ENOENT. */
int versions_id_in_slot(struct versions *versions, uint64_t slot, uint64_t lsn, uint64_t *id);

/* How many rows there are. Any thread, as the next. */
size_t versions_rows(struct versions *versions);
/* Copy rows from the *at-th on, at most `max`, but not where they are; *at is then the next. How many. Rows
 * that come or go meanwhile may be met or not. */
size_t versions_copy(struct versions *versions, size_t *at, struct version *rows, size_t max);

/* ---- for version_rows.c and versions_tidy.c; lock held ---- */

/* How many snapshots have a row that holds from one LSN until another, and the first of them. */
size_t versions_count_having(const struct versions *versions, uint64_t from, uint64_t until,
                             struct snapshot **first);
/* Whether one has this, or its slot. */
bool versions_is_wanted(const struct versions *versions, const struct version *version);
/* The only snapshot that has it, NULL where there are more, or none, or it is not known. */
struct snapshot *versions_sole_owner(const struct versions *versions,
                                     const struct version *version);
/* What only one snapshot has is counted with it. */
void versions_count_own(struct versions *versions, const struct version *version);

#endif
