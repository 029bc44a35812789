/* A snapshot of what is going on. */
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/store/local.h"
#include "engine/store/store.h"

static uint64_t blocks_of(const struct quiver *store, int fd)
{
	struct stat st;

	return store->io->stat(store->io, fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static void count_space(struct quiver *store, struct quiver_stats *stats)
{
	struct slots_counts counts;
	uint64_t wal_file_bytes = 0;

	slots_counts(&store->catalog.slots, &counts);
	stats->slots = counts.rows;
	stats->slots_used = counts.used;
	stats->slots_free = counts.free_below;
	stats->slots_retired = atomic_load(&store->commits.deferred_count);
	stats->fragmentation =
		counts.used == 0
			? 0.0
			: (double)(stats->slots_free + stats->slots_retired) / (double)counts.used;
	if (store->wal_started) {
		wal_usage(&store->wal, &stats->wal_segments, &wal_file_bytes);
		stats->wal_bytes = atomic_load(&store->wal.appended_bytes) -
		                   atomic_load(&store->checkpointer.log_bytes);
	}
	stats->store_bytes = wal_file_bytes + SUPERBLOCK_FILE_BYTES +
	                     blocks_of(store, store->catalog.columns.vectors.fd) +
	                     blocks_of(store, store->catalog.columns.ids.fd) +
	                     blocks_of(store, store->catalog.columns.meta.fd);
	stats->snapshots = versions_count(&store->catalog.versions);
	stats->slots_held = atomic_load(&store->catalog.versions.held);
	stats->versions_bytes = versions_bytes(&store->catalog.versions);
	stats->store_bytes += stats->versions_bytes + stats->snapshots * SNAPSHOT_FILE_BYTES;
	/* Two bits for each slot; the counts of pins take memory only where they are used. */
	epoch_enter(); /* the table may be replaced */
	stats->index_bytes = index_bytes(&store->catalog.index) + counts.used / 4;
	epoch_leave();
}

void local_stats(struct quiver *store, struct quiver_stats *stats)
{
	struct counters *counters = &store->health.counters;

	memset(stats, 0, sizeof(*stats));
	stats->count = atomic_load(&store->catalog.index.count);
	stats->vector_bytes = store->geometry.vector_bytes;
	count_space(store, stats);
	stats->lsn = atomic_load(&store->commits.lsn);
	stats->lsn_checkpoint = atomic_load(&store->checkpointer.lsn);
	stats->lsn_durable = store->wal_started ? atomic_load(&store->wal.durable_lsn) : 0;
	if (stats->lsn_durable < stats->lsn_checkpoint)
		stats->lsn_durable = stats->lsn_checkpoint;
	stats->puts = atomic_load(&counters->puts);
	stats->removes = atomic_load(&counters->removes);
	stats->renames = atomic_load(&counters->renames);
	stats->set_attrs = atomic_load(&counters->set_attrs);
	stats->batches = atomic_load(&counters->batches);
	stats->gets = readers_gets(&store->catalog.readers);
	stats->get_misses = readers_misses(&store->catalog.readers);
	stats->syncs = store->wal_started ? atomic_load(&store->wal.syncs) : 0;
	stats->checkpoints = atomic_load(&counters->checkpoints);
	stats->compactions = atomic_load(&counters->compactions);
	stats->growths = atomic_load(&counters->growths);
	stats->punches = atomic_load(&counters->punches);
	stats->moved = atomic_load(&counters->moved);
	stats->replayed = atomic_load(&counters->replayed);
	stats->rows_scanned = atomic_load(&counters->rows_scanned);
	stats->index_kept = atomic_load(&counters->index_kept);
	stats->checksum_errors = atomic_load(&counters->checksum_errors);
	stats->io_errors = atomic_load(&counters->io_errors);
	stats->errors = report_total(&store->health.report);
	latency_read(&counters->commit, &stats->commit);
	latency_read(&counters->sync, &stats->sync);
	latency_read(&counters->growth, &stats->growth);
	latency_read(&counters->checkpoint, &stats->checkpoint);
	latency_read(&counters->compact_step, &stats->compact_step);
	stats->durability = (enum quiver_durability)atomic_load(&store->commits.durability);
	stats->autocompact_percent = atomic_load(&store->autocompact_percent);
	stats->read_only = store->health.read_only;
	stats->failed = health_failed(&store->health);
	stats->format_version = store->superblock.now.version;
}
