/*
 * Checkpoint: make everything up to an LSN durable in the data files, so that the log behind
 * it can go and superseded slots can be used again. DESIGN section 4 gives the order; writers
 * are stopped only while `begin` copies lists.
 */
#include "engine/commit/checkpoint.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/commit/none_log.h"
#include "engine/commit/slot_order.h"

/* What a group of commits adds at most to what the next checkpoint has to log: a batch that
 * replaces each of its vectors. */
#define GROUP_RECORDS_MAX (2 * (uint64_t)QUIVER_BATCH_VECTORS_MAX)
/* Attributes are set by 64 commits at once at most. */
static_assert(WAL_HEADER_BYTES + (COMMITTER_NONE_MAX + GROUP_RECORDS_MAX + 64 + 1) *
                                         WAL_RECORD_HEADER_BYTES <=
                      WAL_FILE_BYTES_MAX,
              "the records of a checkpoint of mode none fit into one segment");
static_assert(WAL_HEADER_BYTES + QUIVER_BATCH_BYTES_MAX +
                              QUIVER_BATCH_VECTORS_MAX * (UINT64_C(8) + WAL_RECORD_HEADER_BYTES) <=
                      WAL_FILE_BYTES_MAX,
              "a batch fits into one segment");

/* A checkpoint writes the index where that costs no more than half of what commits have written since
 * it was last kept, and this: in a small store always. */
#define INDEX_SHARE 2
#define INDEX_FREE_BYTES (UINT64_C(64) << 20)

/* Rows of superseded slots that are zeroed in one write; others wait so long for the rows lock. */
#define FREE_AT_ONCE 256u

struct checkpoint {
	uint64_t lsn;
	uint64_t log_bytes; /* wal.appended_bytes then */
	uint64_t count;
	uint64_t slots_used;
	struct quiver_attr dir;
	int64_t ctime_max_ns;
	struct deferred_free_list deferred; /* owned */
	struct slot_list unlogged; /* owned */
	struct attr_delta *rows; /* owned */
	size_t row_count;
	uint64_t *row_order; /* owned; slot_order.h; of rows */
	uint64_t *deferred_order; /* owned; of deferred.items */
	struct index_table *former; /* owned */
	bool notes_index; /* regions are noted for the generation of the index that it keeps */
	bool keeps_index; /* it has begun to keep one */
	bool wrote_index; /* ... or could not write it, and keeps none */
	bool wrote_superblock; /* maybe */
	uint64_t written_bytes; /* what commits had written then */
	uint64_t generation; /* of that index */
};

void checkpointer_init(struct checkpointer *checkpointer, struct committer *commits,
                       struct space *space, struct superblock_file *superblock)
{
	checkpointer->commits = commits;
	checkpointer->space = space;
	checkpointer->superblock = superblock;
	backlog_init(&checkpointer->backlog);
	pthread_mutex_init(&checkpointer->lock, NULL);
}

void checkpointer_destroy(struct checkpointer *checkpointer)
{
	pthread_mutex_destroy(&checkpointer->lock);
	free(checkpointer->pinned.items);
}

/* From here on what is there now is kept for the snapshot. Slots at the end that are free are none of
 * its rows, since the files may be cut there. Writer lock. */
static void add_snapshot(struct checkpointer *checkpointer, struct snapshot *snapshot)
{
	struct catalog *catalog = checkpointer->commits->catalog;
	struct slots_counts counts;
	uint64_t last;

	slots_counts(&catalog->slots, &counts);
	last = slots_highest_live(&catalog->slots, counts.used);
	snapshot->page.lsn = atomic_load(&checkpointer->commits->lsn);
	snapshot->page.count = atomic_load(&catalog->index.count);
	snapshot->page.slots_used = last == SLOT_NONE ? 0 : last + 1;
	snapshot->page.dir = checkpointer->commits->dir;
	versions_snapshot_add(&catalog->versions, snapshot);
}

/* What commits have written, to the log and to their slots. */
static uint64_t written_bytes(struct checkpointer *checkpointer)
{
	struct committer *commits = checkpointer->commits;

	return atomic_load(&commits->wal->appended_bytes) +
	       atomic_load(&commits->catalog->health->counters.puts) *
	               commits->catalog->columns.geometry.vector_bytes;
}

/* Why no index is kept: once, until it can be again. */
static void tell_of_index(struct checkpointer *checkpointer, int r)
{
	if (r && !checkpointer->lacks_index)
		(void)health_judge(checkpointer->commits->catalog->health, HEALTH_INDEX_KEEP, r);
	checkpointer->lacks_index = r != 0;
}

/* Regions are noted for an index that may be kept. */
static void prepare_index(struct checkpointer *checkpointer, struct checkpoint *cp)
{
	struct committer *commits = checkpointer->commits;
	int r = -ENOENT;

	cp->generation = checkpointer->superblock->now.sequence + 1;
	if (regions_are_noted(&commits->regions))
		r = regions_prepare(&commits->regions, cp->generation);
	cp->notes_index = r == 0;
	if (r && r != -ENOENT)
		tell_of_index(checkpointer, r);
}

/* Writer lock. */
static void begin_index(struct checkpointer *checkpointer, struct checkpoint *cp)
{
	struct committer *commits = checkpointer->commits;
	struct index_keep_as as = { .generation = cp->generation,
		                    .lsn = cp->lsn,
		                    .slots_used = cp->slots_used,
		                    .count = cp->count,
		                    .ctime_max_ns = cp->ctime_max_ns };
	int r = 0;

	cp->written_bytes = written_bytes(checkpointer);
	if (!cp->notes_index)
		return;
	/* Either superblock may be needed, and of the one there is a cut may have left fewer. */
	regions_begin(&commits->regions, cp->slots_used > checkpointer->superblock->now.slots_used
	                                         ? cp->slots_used
	                                         : checkpointer->superblock->now.slots_used);
	memcpy(as.uuid, checkpointer->superblock->now.geometry.uuid, sizeof(as.uuid));
	r = catalog_keep_begin(commits->catalog, &as,
	                       (cp->written_bytes - checkpointer->kept_bytes) / INDEX_SHARE +
	                               INDEX_FREE_BYTES);
	cp->keeps_index = r == 1;
	if (r < 0)
		tell_of_index(checkpointer, r);
}

/* The state as of one LSN. Writers wait for the copying of small lists only. */
static int begin(struct checkpointer *checkpointer, struct snapshot *snapshot,
                 struct checkpoint *cp)
{
	struct slots_counts counts;
	int r;

	memset(cp, 0, sizeof(*cp));
	prepare_index(checkpointer, cp);
	committer_lock_settled(checkpointer->commits);
	r = attr_deltas_copy(&checkpointer->commits->catalog->attr_deltas, &cp->rows,
	                     &cp->row_count);
	if (r == 0) {
		cp->lsn = atomic_load(&checkpointer->commits->lsn);
		cp->log_bytes = atomic_load(&checkpointer->commits->wal->appended_bytes);
		cp->count = atomic_load(&checkpointer->commits->catalog->index.count);
		cp->dir = checkpointer->commits->dir;
		cp->ctime_max_ns = checkpointer->commits->ctime_max_ns;
		slots_counts(&checkpointer->commits->catalog->slots, &counts);
		cp->slots_used = counts.used;
		cp->deferred = checkpointer->commits->deferred;
		cp->unlogged = checkpointer->commits->unlogged;
		atomic_store(&checkpointer->commits->taken_count,
		             cp->deferred.count + cp->unlogged.count);
		cp->former = index_take_former(&checkpointer->commits->catalog->index);
		memset(&checkpointer->commits->deferred, 0,
		       sizeof(checkpointer->commits->deferred));
		memset(&checkpointer->commits->unlogged, 0,
		       sizeof(checkpointer->commits->unlogged));
		atomic_store(&checkpointer->commits->unlogged_count, 0);
		wal_rotate(checkpointer->commits->wal);
		begin_index(checkpointer, cp);
		if (snapshot)
			add_snapshot(checkpointer, snapshot);
	}
	pthread_mutex_unlock(&checkpointer->commits->catalog->writer_lock);
	return r;
}

/* Mode none: so that a crash while rows are freed is told from damage. */
static int log_none(struct checkpointer *checkpointer, const struct checkpoint *cp)
{
	struct committer *commits = checkpointer->commits;
	struct none_log what = { .columns = &commits->catalog->columns,
		                 .unlogged = &cp->unlogged,
		                 .deferred = &cp->deferred,
		                 .rows = cp->rows,
		                 .row_count = cp->row_count,
		                 .dir = cp->dir,
		                 .lsn = cp->lsn };
	uint32_t *row_order;
	int r = none_log_order(&what, &row_order);

	if (r)
		return r;
	pthread_mutex_lock(&commits->catalog->writer_lock);
	r = wal_make_room(commits->wal, none_log_bytes(&what), false);
	if (r == 0)
		r = none_log_append(&what, row_order, commits->wal);
	pthread_mutex_unlock(&commits->catalog->writer_lock);
	free(row_order);
	return r;
}

/* Both lists in the order of their slots. 0 or -ENOMEM. */
static int order(struct checkpoint *cp)
{
	size_t most = cp->row_count > cp->deferred.count ? cp->row_count : cp->deferred.count;
	uint64_t *spare;

	if (most == 0)
		return 0;
	spare = malloc(most * sizeof(*spare));
	cp->row_order = malloc((cp->row_count + 1) * sizeof(*cp->row_order));
	cp->deferred_order = malloc((cp->deferred.count + 1) * sizeof(*cp->deferred_order));
	if (!spare || !cp->row_order || !cp->deferred_order) {
		free(spare);
		return -ENOMEM;
	}
	for (size_t i = 0; i < cp->row_count; i++)
		cp->row_order[i] = slot_order_key(cp->rows[i].slot, i);
	slot_order_sort(cp->row_order, spare, cp->row_count);
	for (size_t i = 0; i < cp->deferred.count; i++)
		cp->deferred_order[i] = slot_order_key(cp->deferred.items[i].slot, i);
	slot_order_sort(cp->deferred_order, spare, cp->deferred.count);
	free(spare);
	return 0;
}

/* Superseded rows are about to be zeroed. Listings that begin from now on do not have them. */
static void tell_listings(struct checkpointer *checkpointer, const struct checkpoint *cp)
{
	struct catalog *catalog = checkpointer->commits->catalog;

	if (!catalog_is_being_listed(catalog))
		return;
	for (size_t i = 0; i < cp->deferred.count; i++)
		catalog_row_goes(catalog, cp->deferred.items[i].slot, cp->deferred.items[i].id);
}

/* Neighbours among the superseded slots, from the one at `at` in their order on; at most
 * FREE_AT_ONCE. */
static size_t neighbours(const struct checkpoint *cp, size_t at)
{
	uint64_t first = slot_order_slot(cp->deferred_order[at]);
	size_t n = 1;

	while (n < FREE_AT_ONCE && at + n < cp->deferred.count &&
	       slot_order_slot(cp->deferred_order[at + n]) == first + n)
		n++;
	return n;
}

/* Zero the superseded rows, neighbours in one write. */
static int free_rows(struct checkpointer *checkpointer, const struct checkpoint *cp)
{
	uint64_t none[FREE_AT_ONCE];
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < FREE_AT_ONCE; i++)
		none[i] = QUIVER_ID_NONE;
	for (size_t i = 0; r == 0 && i < cp->deferred.count; i += n) {
		uint64_t first = slot_order_slot(cp->deferred_order[i]);

		n = neighbours(cp, i);
		r = columns_write_rows(&checkpointer->commits->catalog->columns, first, none, NULL,
		                       n);
		if (r == 0)
			row_watch_changed(checkpointer->commits->row_watch, first, n);
	}
	return r;
}

/* Zero the superseded rows and write the rows whose attributes changed, in the order of the files:
 * a page that is come back to is written once more. */
static int write_rows(struct checkpointer *checkpointer, const struct checkpoint *cp)
{
	struct columns *columns = &checkpointer->commits->catalog->columns;
	size_t n = 0;
	int r = free_rows(checkpointer, cp);

	for (size_t i = 0; r == 0 && i < cp->row_count; i += n) {
		uint64_t slots[COLUMNS_META_ROWS_MAX];
		struct meta_row rows[COLUMNS_META_ROWS_MAX];

		for (n = 0; n < COLUMNS_META_ROWS_MAX && i + n < cp->row_count; n++) {
			slots[n] = slot_order_slot(cp->row_order[i + n]);
			rows[n] = cp->rows[slot_order_place(cp->row_order[i + n])].row;
		}
		r = columns_write_meta(columns, slots, rows, n);
	}
	return r;
}

/* Rows superseded after begin keep their attributes to themselves: a row whose free is deferred
 * between is freed by the next checkpoint, whatever is written to it now. */
static void drop_rows(struct checkpointer *checkpointer, const struct checkpoint *cp)
{
	attr_deltas_drop_rows(&checkpointer->commits->catalog->attr_deltas, cp->rows,
	                      cp->row_count);
}

/* What the superblock says of snapshots. Whether that is news. */
static bool tell_of_snapshots(struct checkpointer *checkpointer, uint64_t lsn)
{
	struct versions *versions = &checkpointer->commits->catalog->versions;
	struct superblock *sb = &checkpointer->superblock->now;
	const struct superblock before = *sb;
	struct versions_extent extent = { 0 };

	if (versions_any(versions)) {
		sb->features_to_change |= SUPERBLOCK_HAS_SNAPSHOTS;
		extent = versions_file_extent(&versions->file, lsn);
	} else {
		sb->features_to_change &= ~SUPERBLOCK_HAS_SNAPSHOTS;
	}
	superblock_set_versions(sb, extent);
	return sb->features_to_change != before.features_to_change ||
	       memcmp(sb->kept, before.kept, sizeof(sb->kept)) != 0;
}

/* Where it cannot be written the checkpoint goes on without: only the time of an open after a crash
 * depends on it. */
static void write_index(struct checkpointer *checkpointer, struct checkpoint *cp)
{
	struct catalog *catalog = checkpointer->commits->catalog;
	int r;

	if (!cp->keeps_index || cp->wrote_index)
		return;
	cp->wrote_index = true;
	r = index_keep_write(&catalog->keep, catalog->columns.ids.fd);
	if (r == 0)
		return;
	cp->keeps_index = false;
	(void)catalog_keep_end(catalog, INDEX_UNNAMED); /* what failed first is the reason */
	/* Writers were faster: no fault, and nobody can do anything about it. */
	if (r != -EAGAIN)
		tell_of_index(checkpointer, r);
}

/* Until a page is written it is copied before it changes: so the index is written first, or under a load
 * there would be more copies than memory for them. But last where the disk may get full, or a quota that
 * it does not tell of: what the checkpoint cannot do without, and who commits meanwhile, has to find
 * room. */
static void write_index_early(struct checkpointer *checkpointer, struct checkpoint *cp)
{
	const struct catalog *catalog = checkpointer->commits->catalog;
	const struct quiver_io *io = catalog->keep.io;
	uint64_t total, free_bytes, available;

	if (cp->keeps_index && !checkpointer->index_last &&
	    io->space(io, catalog->columns.vectors.fd, &total, &free_bytes, &available) == 0 &&
	    available >= catalog->keep.bytes + INDEX_EARLY_SPARE_BYTES)
		write_index(checkpointer, cp);
}

/* The superblock is written, or the checkpoint has failed before. */
static void end_index(struct checkpointer *checkpointer, const struct checkpoint *cp, bool written)
{
	struct committer *commits = checkpointer->commits;
	int r = 0;

	if (cp->keeps_index)
		r = catalog_keep_end(commits->catalog, written                ? INDEX_NAMED
		                                       : cp->wrote_superblock ? INDEX_MAYBE_NAMED
		                                                              : INDEX_UNNAMED);
	/* By its other name it is found as well. */
	if (cp->keeps_index && written)
		tell_of_index(checkpointer, r);
	if (written)
		atomic_store(&commits->catalog->health->counters.index_kept, cp->keeps_index);
	if (written && cp->keeps_index)
		checkpointer->kept_bytes = cp->written_bytes;
	if (written && cp->notes_index)
		regions_end(&commits->regions, cp->keeps_index);
}

static int write_superblock(struct checkpointer *checkpointer, const struct checkpoint *cp)
{
	struct superblock *sb = &checkpointer->superblock->now;
	const struct index_keep *keep = &checkpointer->commits->catalog->keep;

	(void)tell_of_snapshots(checkpointer, cp->lsn); /* written in any case */

	sb->slots_used = cp->slots_used;
	sb->count = cp->count;
	sb->checkpoint_lsn = cp->lsn;
	sb->index_generation = cp->keeps_index ? keep->next.generation : 0;
	sb->index_salt = cp->keeps_index ? keep->next.salt : 0;
	sb->lsn_ceiling = cp->lsn + CHECKPOINT_LSN_STEP > sb->lsn_ceiling
	                          ? cp->lsn + CHECKPOINT_LSN_STEP
	                          : sb->lsn_ceiling;
	sb->wal_first = wal_first_above(checkpointer->commits->wal, cp->lsn);
	sb->dir = cp->dir;
	sb->ctime_max_ns = cp->ctime_max_ns;
	return superblock_write(checkpointer->superblock->io, checkpointer->superblock->fd, sb);
}

/* Until here the old checkpoint holds; on failure nothing may be reused, so the store stops. */
static int make_durable(struct checkpointer *checkpointer, struct checkpoint *cp)
{
	struct committer *commits = checkpointer->commits;
	struct health *health = commits->catalog->health;
	struct columns *columns = &commits->catalog->columns;
	int r = health_judge(health, HEALTH_CHECKPOINT_SLOTS, columns_write_out(columns));

	if (r == 0)
		r = health_judge(health, HEALTH_CHECKPOINT_SLOTS,
		                 columns_sync(columns, true, true));
	if (r == 0 && committer_mode(commits) == QUIVER_NONE)
		r = health_judge(health, HEALTH_CHECKPOINT_LOG, log_none(checkpointer, cp));
	if (r == 0)
		r = wal_sync(commits->wal, cp->lsn);
	if (r == 0)
		r = health_judge(health, HEALTH_CHECKPOINT_VERSIONS,
		                 versions_persist(&commits->catalog->versions, cp->lsn));
	if (r)
		return r;
	/* Readers who looked past an attribute change may be in the row still. */
	epoch_wait();
	tell_listings(checkpointer, cp);
	r = health_judge(health, HEALTH_CHECKPOINT_ROWS, write_rows(checkpointer, cp));
	if (r == 0)
		r = health_judge(health, HEALTH_CHECKPOINT_ROWS_SYNC,
		                 columns_sync(columns, false, true));
	if (r)
		return r;
	write_index(checkpointer, cp);
	cp->wrote_superblock = true;
	return health_judge(health, HEALTH_SUPERBLOCK, write_superblock(checkpointer, cp));
}

static bool is_among(uint64_t slot, const uint32_t *slots, size_t count)
{
	size_t from = 0;

	while (from < count) {
		size_t middle = from + (count - from) / 2;

		if (slots[middle] == slot)
			return true;
		if (slots[middle] < slot)
			from = middle + 1;
		else
			count = middle;
	}
	return false;
}

/* Neighbouring slots that become free together. */
struct free_run {
	uint64_t first, count;
};

static void end_run(struct checkpointer *checkpointer, struct free_run *run)
{
	if (run->count > 0) {
		slots_give_run(&checkpointer->commits->catalog->slots, run->first, run->count);
		atomic_fetch_sub(&checkpointer->commits->deferred_count, run->count);
	}
	run->count = 0;
}

static void add_to_run(struct checkpointer *checkpointer, struct free_run *run, uint64_t slot)
{
	if (slot != run->first + run->count)
		end_run(checkpointer, run);
	if (run->count == 0)
		run->first = slot;
	run->count++;
}

void checkpoint_free_unpinned(struct checkpointer *checkpointer)
{
	struct deferred_free_list *list = &checkpointer->pinned;
	uint32_t pinned[READERS_PINS_MAX];
	size_t count = readers_pinned(&checkpointer->commits->catalog->readers, pinned);
	struct free_run run = { 0 };
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		uint64_t slot = list->items[i].slot;

		/* Snapshots have it, and give it back when they are gone. */
		if (versions_hold(&checkpointer->commits->catalog->versions, slot))
			atomic_fetch_sub(&checkpointer->commits->deferred_count, 1);
		else if (slots_pinned(&checkpointer->commits->catalog->slots, slot) ||
		         is_among(slot, pinned, count))
			list->items[kept++] = list->items[i];
		else
			add_to_run(checkpointer, &run, slot);
	}
	end_run(checkpointer, &run);
	if (kept < list->count)
		prefetch_freed(&checkpointer->space->prefetch);
	list->count = kept;
}

static void release_slots(struct checkpointer *checkpointer, const struct checkpoint *cp)
{
	/* Room was made before the checkpoint became durable. In the order of the slots, so that
	 * neighbours become free together. */
	for (size_t i = 0; i < cp->deferred.count; i++)
		checkpointer->pinned.items[checkpointer->pinned.count++] =
			cp->deferred.items[slot_order_place(cp->deferred_order[i])];
	epoch_wait();
	checkpoint_free_unpinned(checkpointer);
}

/* A checkpoint that could not begin, or failed: what was taken goes back in front. Without
 * memory for that the slots would be lost to the next one, so the store stops. */
static void put_back(struct checkpointer *checkpointer, struct checkpoint *cp)
{
	int r;

	committer_lock_settled(checkpointer->commits);
	r = deferred_frees_make_room(&cp->deferred, checkpointer->commits->deferred.count);
	if (r == 0)
		r = slot_list_make_room(&cp->unlogged, checkpointer->commits->unlogged.count);
	if (r) {
		pthread_mutex_unlock(&checkpointer->commits->catalog->writer_lock);
		(void)health_judge(checkpointer->commits->catalog->health, HEALTH_CHECKPOINT_LISTS,
		                   r);
		return;
	}
	for (size_t i = 0; i < checkpointer->commits->deferred.count; i++)
		cp->deferred.items[cp->deferred.count++] = checkpointer->commits->deferred.items[i];
	free(checkpointer->commits->deferred.items);
	checkpointer->commits->deferred = cp->deferred;
	memset(&cp->deferred, 0, sizeof(cp->deferred));
	for (size_t i = 0; i < checkpointer->commits->unlogged.count; i++)
		cp->unlogged.items[cp->unlogged.count++] = checkpointer->commits->unlogged.items[i];
	free(checkpointer->commits->unlogged.items);
	checkpointer->commits->unlogged = cp->unlogged;
	atomic_store(&checkpointer->commits->unlogged_count, checkpointer->commits->unlogged.count);
	atomic_store(&checkpointer->commits->taken_count, 0);
	memset(&cp->unlogged, 0, sizeof(cp->unlogged));
	pthread_mutex_unlock(&checkpointer->commits->catalog->writer_lock);
}

/* Space back to the filesystem; failures here lose nothing and are only reported. */
static void punch(struct checkpointer *checkpointer)
{
	uint64_t freed = 0;

	(void)health_judge(
		checkpointer->commits->catalog->health, HEALTH_PUNCH,
		space_punch(checkpointer->space, space_headroom(checkpointer->space), &freed));
}

static void give_back_space(struct checkpointer *checkpointer)
{
	(void)health_judge(
		checkpointer->commits->catalog->health, HEALTH_LOG_CUT,
		wal_cut(checkpointer->commits->wal, checkpointer->superblock->now.checkpoint_lsn));
	punch(checkpointer);
}

/* What no snapshot has any more goes the way of what is superseded: where a reader is still in it it
 * stays until he has left. *count: so many slots. */
static int drop_versions(struct checkpointer *checkpointer, size_t *count)
{
	struct committer *commits = checkpointer->commits;
	struct version *gone;
	int tidied = health_judge(commits->catalog->health, HEALTH_CHECKPOINT_VERSIONS,
	                          versions_tidy(&commits->catalog->versions, &gone, count));
	int r = deferred_frees_make_room(&checkpointer->pinned, *count);

	if (r && *count > 0)
		report_add(&commits->catalog->health->report,
		           "versions: no memory for the %zu slots that snapshots gave back; they "
		           "become free when the store is opened again",
		           *count);
	for (size_t i = 0; r == 0 && i < *count; i++)
		checkpointer->pinned.items[checkpointer->pinned.count++] = (struct deferred_free){
			.slot = gone[i].slot, .id = gone[i].id, .lsn = gone[i].until
		};
	if (r == 0)
		atomic_fetch_add(&commits->deferred_count, *count);
	free(gone);
	return tidied ? tidied : r;
}

int checkpoint_tidy(struct checkpointer *checkpointer)
{
	struct health *health = checkpointer->commits->catalog->health;
	struct superblock_file *superblock = checkpointer->superblock;
	struct versions *versions = &checkpointer->commits->catalog->versions;
	size_t freed;
	int r = drop_versions(checkpointer, &freed);

	if (r == 0 && tell_of_snapshots(checkpointer, superblock->now.checkpoint_lsn))
		r = health_judge(
			health, HEALTH_SUPERBLOCK,
			superblock_write(superblock->io, superblock->fd, &superblock->now));
	if (r == 0)
		r = health_judge(health, HEALTH_VERSIONS_CUT, versions_drop_file(versions));
	epoch_wait();
	checkpoint_free_unpinned(checkpointer);
	/* Who removes a snapshot on a full disk looks for it, and maybe nothing is committed any more. */
	if (r == 0 && freed > 0)
		punch(checkpointer);
	return r;
}

static bool nothing_to_do(struct checkpointer *checkpointer, struct snapshot *snapshot)
{
	bool nothing;

	committer_lock_settled(checkpointer->commits);
	nothing = atomic_load(&checkpointer->commits->lsn) ==
	                  checkpointer->superblock->now.checkpoint_lsn &&
	          checkpointer->commits->deferred.count == 0;
	if (nothing && snapshot)
		add_snapshot(checkpointer, snapshot);
	pthread_mutex_unlock(&checkpointer->commits->catalog->writer_lock);
	return nothing;
}

static int run_locked(struct checkpointer *checkpointer, struct snapshot *snapshot)
{
	struct checkpoint cp;
	uint64_t began = clock_monotonic_ns();
	int r;

	checkpointer->last_ns = (int64_t)began;
	if (nothing_to_do(checkpointer, snapshot))
		return checkpoint_tidy(checkpointer);
	r = begin(checkpointer, snapshot, &cp);
	if (r)
		return r;
	write_index_early(checkpointer, &cp);
	r = order(&cp);
	if (r == 0)
		r = deferred_frees_make_room(&checkpointer->pinned, cp.deferred.count);
	if (r == 0)
		r = make_durable(checkpointer, &cp);
	end_index(checkpointer, &cp, r == 0);
	checkpointer->index_last = r && cp.wrote_index;
	if (r) {
		put_back(checkpointer, &cp);
		goto out;
	}
	atomic_store(&checkpointer->commits->lsn_ceiling,
	             checkpointer->superblock->now.lsn_ceiling);
	atomic_store(&checkpointer->commits->taken_count, 0);
	atomic_store(&checkpointer->lsn, cp.lsn);
	backlog_learn(&checkpointer->backlog, cp.log_bytes - atomic_load(&checkpointer->log_bytes),
	              clock_monotonic_ns() - began);
	atomic_store(&checkpointer->log_bytes, cp.log_bytes);
	drop_rows(checkpointer, &cp);
	/* Who still sees an ID in a row must not find another's bytes there. */
	row_watch_settle(checkpointer->commits->row_watch);
	release_slots(checkpointer, &cp);
	/* What cannot be let go of now is the next time. */
	(void)checkpoint_tidy(checkpointer);
	give_back_space(checkpointer);
	atomic_fetch_add(&checkpointer->commits->catalog->health->counters.checkpoints, 1);
	latency_add(&checkpointer->commits->catalog->health->counters.checkpoint,
	            clock_monotonic_ns() - began);
out:
	if (cp.former)
		epoch_wait();
	index_free_former(&checkpointer->commits->catalog->index, cp.former);
	free(cp.deferred.items);
	free(cp.unlogged.items);
	free(cp.rows);
	free(cp.row_order);
	free(cp.deferred_order);
	return r;
}

int checkpoint_run(struct checkpointer *checkpointer)
{
	int r = health_writable(checkpointer->commits->catalog->health);

	if (r)
		return checkpointer->commits->catalog->health->read_only &&
		                       !health_failed(checkpointer->commits->catalog->health)
		               ? 0
		               : r;
	pthread_mutex_lock(&checkpointer->lock);
	r = health_writable(checkpointer->commits->catalog->health);
	if (r == 0)
		r = run_locked(checkpointer, NULL);
	pthread_mutex_unlock(&checkpointer->lock);
	row_watch_settle(checkpointer->commits->row_watch);
	return r;
}

int checkpoint_run_while(struct checkpointer *checkpointer,
                         bool (*wanted)(const struct checkpointer *checkpointer))
{
	struct health *health = checkpointer->commits->catalog->health;
	int r = 0;

	pthread_mutex_lock(&checkpointer->lock);
	while (r == 0 && wanted(checkpointer)) {
		r = health_writable(health);
		if (r == 0)
			r = run_locked(checkpointer, NULL);
	}
	pthread_mutex_unlock(&checkpointer->lock);
	row_watch_settle(checkpointer->commits->row_watch);
	return r;
}

int checkpoint_run_for(struct checkpointer *checkpointer, struct snapshot *snapshot)
{
	struct catalog *catalog = checkpointer->commits->catalog;
	int r = health_writable(catalog->health);

	if (r == 0)
		r = run_locked(checkpointer, snapshot);
	if (r) {
		pthread_mutex_lock(&catalog->writer_lock);
		versions_snapshot_forget(&catalog->versions, snapshot);
		pthread_mutex_unlock(&catalog->writer_lock);
	}
	return r;
}

uint64_t checkpoint_begin_life(struct superblock *sb)
{
	/* A clean close left the next one as the ceiling. */
	uint64_t next_lsn = sb->clean ? sb->lsn_ceiling : sb->lsn_ceiling - CHECKPOINT_LSN_STEP;

	if (next_lsn <= sb->checkpoint_lsn)
		next_lsn = sb->checkpoint_lsn + 1;
	if (sb->lsn_ceiling < next_lsn + CHECKPOINT_LSN_STEP)
		sb->lsn_ceiling = next_lsn + CHECKPOINT_LSN_STEP;
	sb->clean = false;
	return next_lsn;
}
