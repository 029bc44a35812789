/* Room on disk: growing ahead, blocks behind free slots, giving blocks back, cutting. */
#include "engine/commit/space.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/sizes.h"

static void *reserve_words(uint64_t words)
{
	void *p = mmap(NULL, words * 8, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void space_init(struct space *space, struct catalog *catalog, struct superblock_file *superblock,
                struct wishes *wishes, struct row_watch *row_watch)
{
	space->catalog = catalog;
	space->superblock = superblock;
	space->wishes = wishes;
	space->row_watch = row_watch;
	space->slots_max = SLOT_MAX + 1;
	pthread_mutex_init(&space->grow_lock, NULL);
	pthread_mutex_init(&space->hold_lock, NULL);
}

int space_open(struct space *space)
{
	space->chunk_words = space->catalog->columns.vectors.reserved_bytes / CHUNK_BYTES / 64 + 1;
	space->backed = reserve_words(space->chunk_words);
	space->punched = reserve_words(space->chunk_words);
	prefetch_init(&space->prefetch, space->catalog, space->wishes);
	return space->backed && space->punched ? 0 : -ENOMEM;
}

void space_destroy(struct space *space)
{
	if (space->backed && munmap((void *)(uintptr_t)space->backed, space->chunk_words * 8) != 0)
		assert(!"munmap of the chunk map");
	if (space->punched &&
	    munmap((void *)(uintptr_t)space->punched, space->chunk_words * 8) != 0)
		assert(!"munmap of the chunk map");
	space->backed = space->punched = NULL;
	pthread_mutex_destroy(&space->grow_lock);
	pthread_mutex_destroy(&space->hold_lock);
}

/* Who sees the bit may go on with what was done before it was put: neighbouring slots share
 * chunks, and are taken by different threads. */
static bool bit_get(const _Atomic uint64_t *map, uint64_t at)
{
	return atomic_load_explicit(&map[at / 64], memory_order_acquire) >> (at % 64) & 1;
}

static void bit_put(_Atomic uint64_t *map, uint64_t at, bool on)
{
	uint64_t bit = UINT64_C(1) << (at % 64);

	if (on)
		atomic_fetch_or_explicit(&map[at / 64], bit, memory_order_release);
	else
		atomic_fetch_and_explicit(&map[at / 64], ~bit, memory_order_release);
}

static uint64_t offset_of(const struct space *space, uint64_t slot)
{
	return COLUMN_HEADER_BYTES + slot * space->catalog->columns.geometry.vector_bytes;
}

/* Blocks behind the chunks that a slot lies in: what was punched is a hole, and a hole that a
 * full disk cannot fill must be an -ENOSPC here, not a SIGBUS later. */
static int back_slot(struct space *space, uint64_t slot)
{
	uint64_t first = offset_of(space, slot) / CHUNK_BYTES;
	uint64_t last = (offset_of(space, slot + 1) - 1) / CHUNK_BYTES;
	uint64_t file_end = offset_of(space, atomic_load(&space->catalog->columns.rows));
	int r = 0;

	for (uint64_t chunk = first; r == 0 && chunk <= last; chunk++) {
		uint64_t from = chunk * CHUNK_BYTES;
		uint64_t to = from + CHUNK_BYTES < file_end ? from + CHUNK_BYTES : file_end;

		if (bit_get(space->backed, chunk))
			continue;
		r = space->superblock->io->allocate(
			space->superblock->io, space->catalog->columns.vectors.fd, from, to - from);
		/* The last chunk is not whole yet: ask again after growing. */
		if (r == 0 && to == from + CHUNK_BYTES)
			bit_put(space->backed, chunk, true);
		bit_put(space->punched, chunk, false);
	}
	return r;
}

static int back_slots(struct space *space, size_t count, const uint64_t *slots)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = health_judge(space->catalog->health, HEALTH_BLOCKS, back_slot(space, slots[i]));
	for (size_t i = 0; r && i < count; i++)
		slots_give(&space->catalog->slots, slots[i]);
	return r;
}

int space_take(struct space *space, size_t count, uint64_t *slots)
{
	int r = slots_take(&space->catalog->slots, count, slots);

	if (r)
		return -EAGAIN; /* -ENOSPC is what the disk says */
	r = back_slots(space, count, slots);
	prefetch_taken(&space->prefetch, slots, count);
	return r;
}

int64_t space_take_below(struct space *space, uint64_t below, size_t count, uint64_t *slots)
{
	size_t got = slots_take_below(&space->catalog->slots, below, count, slots);
	int r = back_slots(space, got, slots);

	if (r == 0)
		prefetch_taken(&space->prefetch, slots, got);
	return r ? r : (int64_t)got;
}

/* Of a slot, in all three files: beside very small vectors the other two are the larger ones. */
static uint64_t slot_bytes(const struct space *space)
{
	return space->catalog->columns.geometry.vector_bytes + sizeof(uint64_t) + META_ROW_BYTES;
}

uint64_t space_headroom(const struct space *space)
{
	uint64_t rows = atomic_load(&space->catalog->columns.rows);
	uint64_t most = HEADROOM_MAX_BYTES / slot_bytes(space);

	return (rows / 4 < most ? rows / 4 : most) + 1;
}

bool space_is_low(struct space *space)
{
	struct slots_counts counts;

	slots_counts(&space->catalog->slots, &counts);
	return counts.free_below + (counts.rows - counts.used) < space_headroom(space);
}

/* Every whole chunk of [from, to) has blocks now. */
static void note_backed(struct space *space, uint64_t from, uint64_t to)
{
	uint64_t chunk = (from + CHUNK_BYTES - 1) / CHUNK_BYTES;

	for (; (chunk + 1) * CHUNK_BYTES <= to; chunk++)
		bit_put(space->backed, chunk, true);
}

/* What the numbers of slots allow, and the addresses of the process. */
static uint64_t rows_max(const struct space *space)
{
	uint64_t most = space->catalog->columns.rows_max;

	return most < space->slots_max ? most : space->slots_max;
}

/* At most half of what the disk has, for rows that nobody needs yet. A filesystem that is asked for more
 * than it has may first give all that there is (ext4 does): until that is cut off again nobody else has any,
 * and the log, a snapshot or another program meets a full disk that is none. */
static uint64_t within_disk(const struct space *space, uint64_t rows, uint64_t target)
{
	const struct quiver_io *io = space->superblock->io;
	uint64_t total, free, available;
	uint64_t most;

	if (io->space(io, space->catalog->columns.vectors.fd, &total, &free, &available) < 0)
		return target; /* growing finds out */
	most = rows + available / 2 / slot_bytes(space);
	return target < most ? target : most;
}

static uint64_t grow_target(const struct space *space, uint64_t rows, uint64_t need)
{
	uint64_t step = rows * slot_bytes(space);

	if (step < GROW_MIN_BYTES)
		step = GROW_MIN_BYTES;
	if (step > GROW_MAX_BYTES)
		step = GROW_MAX_BYTES;
	rows = within_disk(space, rows, rows + step / slot_bytes(space));
	if (rows < need)
		rows = need;
	return rows < rows_max(space) ? rows : rows_max(space);
}

/* That there may be room on the disk all the same. Grow lock held. */
static void tell_no_more(struct space *space)
{
	if (space->told_no_more)
		return;
	space->told_no_more = true;
	if (rows_max(space) == space->slots_max)
		report_add(&space->catalog->health->report,
		           "vectors.npy: a store can have at most %" PRIu64
		           " rows, counting vectors that were overwritten or removed since the "
		           "last checkpoint; remove vectors, or put new ones into another store",
		           space->slots_max);
	else
		report_add(&space->catalog->health->report,
		           "vectors.npy: this process has addresses for at most %" PRIu64
		           " rows, reserved when the store was opened; if a limit is the reason "
		           "(ulimit -v, LimitAS=), raise it and open the store again",
		           rows_max(space));
}

/* space_grow with the grow lock held. */
static int grow(struct space *space, uint64_t count, bool exactly)
{
	uint64_t began = clock_monotonic_ns();
	struct slots_counts counts;
	uint64_t need;
	uint64_t target;
	int r = 0;

	slots_counts(&space->catalog->slots, &counts);
	need = counts.used + (count > counts.free_below ? count - counts.free_below : 0);
	if (need <= counts.rows)
		return 0;
	if (need > rows_max(space)) {
		tell_no_more(space);
		return -ENOSPC;
	}
	target = exactly ? need : grow_target(space, counts.rows, need);
	r = columns_grow(&space->catalog->columns, target);
	/* By halves: with one slot at a time a disk that is nearly full would be slow. */
	while (r == -ENOSPC && target > need) {
		target = need + (target - need) / 2;
		r = columns_grow(&space->catalog->columns, target);
	}
	if (r)
		return r;
	note_backed(space, offset_of(space, counts.rows), offset_of(space, target));
	row_watch_changed(space->row_watch, 0, target); /* the header tells how many */
	r = slots_set_rows(&space->catalog->slots, target);
	if (r)
		return r;
	atomic_fetch_add(&space->catalog->health->counters.growths, 1);
	latency_add(&space->catalog->health->counters.growth, clock_monotonic_ns() - began);
	return 0;
}

int space_grow(struct space *space, uint64_t count, bool exactly)
{
	int r;

	pthread_mutex_lock(&space->grow_lock);
	r = grow(space, count, exactly);
	pthread_mutex_unlock(&space->grow_lock);
	row_watch_settle(space->row_watch);
	return r;
}

int space_grow_ahead(struct space *space, uint64_t cuts)
{
	struct slots_counts counts;
	int r = 0;

	pthread_mutex_lock(&space->grow_lock);
	if (wishes_growth_is_open(space->wishes, cuts) && space_is_low(space)) {
		slots_counts(&space->catalog->slots, &counts);
		/* One more than there are makes it take its step. */
		r = grow(space, counts.free_below + (counts.rows - counts.used) + 1, false);
	}
	pthread_mutex_unlock(&space->grow_lock);
	row_watch_settle(space->row_watch);
	return r;
}

int space_cut(struct space *space, uint64_t keep, uint64_t *freed)
{
	uint64_t rows;
	uint64_t before;
	int r = 0;

	pthread_mutex_lock(&space->grow_lock);
	pthread_mutex_lock(&space->hold_lock);
	before = atomic_load(&space->catalog->columns.rows);
	rows = slots_trim(&space->catalog->slots) + keep;
	if (rows >= before && !columns_uncut(&space->catalog->columns))
		goto out;
	if (rows > before)
		rows = before;
	space->cut_wanted = space->holds > 0;
	if (space->holds > 0 || !slots_cut(&space->catalog->slots, rows))
		goto out;
	/* The superblock must not ask for more rows than there are. */
	if (space->superblock->now.slots_used > rows) {
		space->superblock->now.slots_used = rows;
		r = health_judge(space->catalog->health, HEALTH_SUPERBLOCK,
		                 superblock_write(space->superblock->io, space->superblock->fd,
		                                  &space->superblock->now));
	}
	if (r == 0)
		r = columns_cut(&space->catalog->columns, rows);
	prefetch_cut(&space->prefetch, rows);
	if (r) {
		/* There was as much before, so it cannot fail. */
		(void)slots_set_rows(&space->catalog->slots,
		                     atomic_load(&space->catalog->columns.rows));
		goto out;
	}
	for (uint64_t at = offset_of(space, rows) / CHUNK_BYTES;
	     at <= offset_of(space, before) / CHUNK_BYTES; at++) {
		bit_put(space->backed, at, false);
		bit_put(space->punched, at, false);
	}
	wishes_end_growth(space->wishes);
	*freed += (before - rows) * slot_bytes(space);
out:
	pthread_mutex_unlock(&space->hold_lock);
	pthread_mutex_unlock(&space->grow_lock);
	return r;
}

void space_cut_later(struct space *space)
{
	pthread_mutex_lock(&space->hold_lock);
	space->cut_wanted = true;
	pthread_mutex_unlock(&space->hold_lock);
}

bool space_cut_is_due(struct space *space, bool begin)
{
	bool due;

	pthread_mutex_lock(&space->hold_lock);
	due = space->cut_wanted && space->holds == 0;
	if (begin)
		space->cut_wanted = false;
	pthread_mutex_unlock(&space->hold_lock);
	return due;
}

void space_hold(struct space *space)
{
	pthread_mutex_lock(&space->hold_lock);
	space->holds++;
	pthread_mutex_unlock(&space->hold_lock);
}

void space_release(struct space *space)
{
	pthread_mutex_lock(&space->hold_lock);
	space->holds--;
	pthread_mutex_unlock(&space->hold_lock);
}

/* Punch the chunks that lie wholly in [first, first + count), which are taken by us. Whoever
 * calls settles. */
static int punch_run(struct space *space, uint64_t first, uint64_t count, uint64_t *freed)
{
	uint64_t from = (offset_of(space, first) + CHUNK_BYTES - 1) / CHUNK_BYTES;
	uint64_t to = offset_of(space, first + count) / CHUNK_BYTES;
	int r = 0;

	while (r == 0 && from < to) {
		uint64_t end;

		if (bit_get(space->punched, from)) {
			from++;
			continue;
		}
		for (end = from; end < to && !bit_get(space->punched, end); end++)
			bit_put(space->backed, end, false);
		r = space->superblock->io->punch(space->superblock->io,
		                                 space->catalog->columns.vectors.fd,
		                                 from * CHUNK_BYTES, (end - from) * CHUNK_BYTES);
		if (r == 0) {
			row_watch_changed(space->row_watch, first, count);
			*freed += (end - from) * CHUNK_BYTES;
			atomic_fetch_add(&space->catalog->health->counters.punches, 1);
		}
		/* What failed is tried again at the next checkpoint, what cannot be is not. */
		for (uint64_t at = from; at < end && (r == 0 || r == -EOPNOTSUPP); at++)
			bit_put(space->punched, at, true);
		from = end;
	}
	return r;
}

int space_punch(struct space *space, uint64_t keep, uint64_t *freed)
{
	uint64_t min = CHUNK_BYTES / space->catalog->columns.geometry.vector_bytes + 2;
	uint64_t max = GROW_MAX_BYTES / space->catalog->columns.geometry.vector_bytes + min;
	uint64_t seen = 0;
	uint64_t from = 0;
	uint64_t count;
	int r = 0;

	pthread_mutex_lock(&space->grow_lock);
	while (r == 0 && (count = slots_take_run(&space->catalog->slots, &from, min, max)) > 0) {
		seen += count;
		if (seen > keep)
			r = punch_run(space, from, count, freed);
		slots_give_run(&space->catalog->slots, from, count);
		from += count;
	}
	pthread_mutex_unlock(&space->grow_lock);
	return r == -EOPNOTSUPP ? 0 : r;
}
