/* The remaining calls: durability, space, the columns as files. */
#include <errno.h>
#include <string.h>

#include "engine/base/fault.h"
#include "engine/commit/group.h"
#include "engine/store/local.h"
#include "engine/store/store.h"

int local_flush(struct quiver *store)
{
	if (store->health.read_only)
		return 0;
	if (health_failed(&store->health))
		return -EROFS;
	switch (atomic_load(&store->commits.durability)) {
	case QUIVER_ALWAYS:
	case QUIVER_FLUSH:
		return 0;
	case QUIVER_NONE:
		return checkpoint_run(&store->checkpointer);
	default:
		/* What is put from now on is not covered. */
		atomic_store(&store->commits.unsynced_bytes, 0);
		return wal_sync(&store->wal, atomic_load(&store->commits.lsn));
	}
}

enum quiver_durability local_durability(struct quiver *store)
{
	return (enum quiver_durability)atomic_load(&store->commits.durability);
}

int local_set_durability(struct quiver *store, enum quiver_durability mode)
{
	int r = health_writable(&store->health);

	if (r || atomic_load(&store->commits.durability) == (int)mode)
		return r;
	/* Most of the work while writers go on; then what has come since, while they wait: no
	 * commit of mode none may lie behind one that has a log record. */
	r = checkpoint_run(&store->checkpointer);
	if (r)
		return r;
	commit_pause(&store->commits);
	r = checkpoint_run(&store->checkpointer);
	if (r == 0)
		atomic_store(&store->commits.durability, (int)mode);
	commit_resume(&store->commits);
	return r;
}

int local_reserve(struct quiver *store, uint64_t count)
{
	int r = health_writable(&store->health);

	return r ? r
	         : health_judge(&store->health, HEALTH_GROWTH,
	                        space_grow(&store->space, count, true));
}

int local_set_autocompact(struct quiver *store, uint32_t percent)
{
	atomic_store(&store->autocompact_percent, percent);
	return 0;
}

int local_space(struct quiver *store, struct quiver_space *space)
{
	struct slots_counts counts;

	slots_counts(&store->catalog.slots, &counts);
	space->slots_free = counts.free_below + (counts.rows - counts.used);
	return store->io->space(store->io, store->dir_fd, &space->total_bytes, &space->free_bytes,
	                        &space->available_bytes);
}

static const struct column *column_of(const struct quiver *store, enum quiver_column column)
{
	return column == QUIVER_COLUMN_IDS ? &store->catalog.columns.ids
	                                   : &store->catalog.columns.vectors;
}

uint64_t local_column_bytes(struct quiver *store, enum quiver_column column)
{
	return COLUMN_HEADER_BYTES +
	       atomic_load(&store->catalog.columns.rows) * column_of(store, column)->row_bytes;
}

int local_column_hold(struct quiver *store, enum quiver_column column, int *fd,
                      uint64_t *size_bytes)
{
	space_hold(&store->space);
	*fd = column_of(store, column)->fd;
	*size_bytes = local_column_bytes(store, column);
	return 0;
}

void local_column_release(struct quiver *store, enum quiver_column column)
{
	(void)column; /* both are held together: they are cut together */
	space_release(&store->space);
}

int64_t local_column_read(struct quiver *store, enum quiver_column column, uint64_t offset,
                          size_t length, void *to)
{
	uint64_t size = local_column_bytes(store, column);
	int r;

	if (offset >= size)
		return 0;
	if (length > size - offset)
		length = size - offset;
	r = fault_copy(to, column_of(store, column)->map + offset, length);
	if (r)
		atomic_fetch_add(&store->health.counters.io_errors, 1);
	return r ? r : (int64_t)length;
}

int local_column_watch(struct quiver *store, const struct quiver_watcher *watcher)
{
	row_watch_start(&store->row_watch, watcher);
	/* Who has not seen that in the queue, where it is looked at, has left it. */
	commit_pause(&store->commits);
	commit_resume(&store->commits);
	return 0;
}

void local_column_unwatch(struct quiver *store, bool wait)
{
	row_watch_end(&store->row_watch, wait);
}
