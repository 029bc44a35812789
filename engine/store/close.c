/* Closing a store: the last checkpoint, the tail cut, the index saved, the mark that it is clean. */
#include <errno.h>

#include "engine/base/culprit.h"
#include "engine/store/local.h"
#include "engine/store/store.h"

/* A disk may have no room for the index: the next open does without. */
static int save_index(struct quiver *store, struct superblock *next)
{
	static const char *const names[] = { "index", "index.new" };
	int r = catalog_keep_index(&store->catalog, next);

	if (r == 0)
		return 0;
	r = health_judge(&store->health, HEALTH_INDEX_SAVE, r);
	/* One of an earlier state is of no use either. */
	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
		r = store->io->unlink(store->io, store->dir_fd, names[i]);
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

/* After a checkpoint: the tail cut, the index written, the store marked clean. LSNs go on with
 * next_lsn. Checkpoint lock. */
static int mark_closed(struct quiver *store, uint64_t wal_first, uint64_t next_lsn)
{
	struct superblock *sb = &store->superblock.now;
	struct slots_counts counts;
	uint64_t freed = 0;
	/* Not to be ignored here: the files of a store that is closed cleanly end with their rows. */
	int r = space_cut(&store->space, 0, &freed);

	if (r)
		return r;
	slots_counts(&store->catalog.slots, &counts);
	sb->slots_used = counts.used;
	sb->count = atomic_load(&store->catalog.index.count);
	r = save_index(store, sb);
	if (r)
		return r;
	r = columns_sync(&store->catalog.columns, true, true);
	if (r) {
		(void)catalog_keep_end(&store->catalog,
		                       INDEX_UNNAMED); /* what failed first is the reason */
		return r;
	}
	sb->clean = true;
	sb->wal_first = wal_first;
	sb->lsn_ceiling = next_lsn;
	r = superblock_write(store->io, store->superblock.fd, sb);
	/* The next open finds it by either name. */
	(void)catalog_keep_end(&store->catalog, r == 0 ? INDEX_NAMED : INDEX_MAYBE_NAMED);
	return r;
}

/* The last checkpoint, and what closes the store. */
static int end_life(struct quiver *store)
{
	uint64_t freed = 0;
	int r = checkpoint_run(&store->checkpointer);

	if (r)
		return r;
	pthread_mutex_lock(&store->checkpointer.lock);
	(void)health_judge(&store->health, HEALTH_PUNCH, space_punch(&store->space, 0, &freed));
	/* Not the checkpoint's LSN and one: those that a crash took back are used up all the same. */
	r = mark_closed(store, wal_first_above(&store->wal, UINT64_MAX - 1) + 2,
	                store->commits.next_lsn);
	pthread_mutex_unlock(&store->checkpointer.lock);
	return r;
}

int store_end_recovery(struct quiver *store)
{
	struct superblock begun = store->superblock.now;
	int r;

	pthread_mutex_lock(&store->checkpointer.lock);
	r = mark_closed(store, begun.wal_first, checkpoint_begin_life(&begun));
	pthread_mutex_unlock(&store->checkpointer.lock);
	return r;
}

int local_close(struct quiver *store)
{
	bool ended = false;
	int closed;
	int r = 0;

	job_end(&store->job);
	nearest_index_end(store);
	background_stop(store);
	culprit_forget();
	if (!store->health.read_only) {
		r = end_life(store);
		ended = r == 0;
	}
	if (ended)
		nearest_index_save(store);
	if (r && culprit_name(r))
		report_add(&store->health.report, "%s: %s", culprit_name(r), culprit_why(r));
	closed = store_close_files(store, ended);
	store_free(store);
	return r ? r : closed;
}
