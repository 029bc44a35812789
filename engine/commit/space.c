/* Room on disk: growing ahead, blocks behind free slots, giving blocks back, cutting. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/sizes.h"
#include "engine/store/store.h"

static void *reserve_words(uint64_t words)
{
	void *p = mmap(NULL, words * 8, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int space_init(struct quiver *store)
{
	store->chunk_words = store->catalog.columns.vectors.reserved_bytes / CHUNK_BYTES / 64 + 1;
	store->backed = reserve_words(store->chunk_words);
	store->punched = reserve_words(store->chunk_words);
	return store->backed && store->punched ? 0 : -ENOMEM;
}

void space_destroy(struct quiver *store)
{
	if (store->backed && munmap((void *)(uintptr_t)store->backed, store->chunk_words * 8) != 0)
		assert(!"munmap of the chunk map");
	if (store->punched &&
	    munmap((void *)(uintptr_t)store->punched, store->chunk_words * 8) != 0)
		assert(!"munmap of the chunk map");
	store->backed = store->punched = NULL;
}

static bool bit_get(const _Atomic uint64_t *map, uint64_t at)
{
	return atomic_load_explicit(&map[at / 64], memory_order_relaxed) >> (at % 64) & 1;
}

static void bit_put(_Atomic uint64_t *map, uint64_t at, bool on)
{
	uint64_t bit = UINT64_C(1) << (at % 64);

	if (on)
		atomic_fetch_or_explicit(&map[at / 64], bit, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(&map[at / 64], ~bit, memory_order_relaxed);
}

static uint64_t offset_of(const struct quiver *store, uint64_t slot)
{
	return COLUMN_HEADER_BYTES + slot * store->geometry.vector_bytes;
}

/* Blocks behind the chunks that a slot lies in: what was punched is a hole, and a hole that a
 * full disk cannot fill must be an -ENOSPC here, not a SIGBUS later. */
static int back_slot(struct quiver *store, uint64_t slot)
{
	uint64_t first = offset_of(store, slot) / CHUNK_BYTES;
	uint64_t last = (offset_of(store, slot + 1) - 1) / CHUNK_BYTES;
	uint64_t file_end = offset_of(store, atomic_load(&store->catalog.columns.rows));
	int r = 0;

	for (uint64_t chunk = first; r == 0 && chunk <= last; chunk++) {
		uint64_t from = chunk * CHUNK_BYTES;
		uint64_t to = from + CHUNK_BYTES < file_end ? from + CHUNK_BYTES : file_end;

		if (bit_get(store->backed, chunk))
			continue;
		r = store->io->allocate(store->io, store->catalog.columns.vectors.fd, from,
		                        to - from);
		/* The last chunk is not whole yet: ask again after growing. */
		if (r == 0 && to == from + CHUNK_BYTES)
			bit_put(store->backed, chunk, true);
		bit_put(store->punched, chunk, false);
	}
	return r;
}

static int back_slots(struct quiver *store, size_t count, const uint64_t *slots)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = back_slot(store, slots[i]);
	for (size_t i = 0; r && i < count; i++)
		slots_give(&store->catalog.slots, slots[i]);
	return r;
}

/* Take slots, growing and, where the disk is full, freeing what is superseded. */
static int take_waiting(struct quiver *store, size_t count, uint64_t *slots)
{
	int r = slots_take(&store->catalog.slots, count, slots);

	for (int tries = 0; r == -ENOSPC && tries < 3; tries++) {
		r = space_grow(store, count, false);
		if (r && health_verdict(HEALTH_GROWTH, r) == HEALTH_RETRY &&
		    atomic_load(&store->deferred_count) > 0) {
			r = checkpoint_run(store);
			if (r)
				return r;
		} else if (r) {
			return r;
		}
		r = slots_take(&store->catalog.slots, count, slots);
	}
	return r;
}

int space_take(struct quiver *store, size_t count, bool nowait, uint64_t *slots)
{
	int r;

	if (nowait) {
		r = slots_take(&store->catalog.slots, count, slots);
		if (r == -ENOSPC) {
			wish_growth(&store->wishes);
			return -EAGAIN;
		}
	} else {
		r = take_waiting(store, count, slots);
	}
	if (r)
		return r;
	r = back_slots(store, count, slots);
	prefetch_taken(store, slots, count);
	if (space_is_low(store))
		wish_growth(&store->wishes);
	return r;
}

int64_t space_take_below(struct quiver *store, uint64_t below, size_t count, uint64_t *slots)
{
	size_t got = slots_take_below(&store->catalog.slots, below, count, slots);
	int r = back_slots(store, got, slots);

	if (r == 0)
		prefetch_taken(store, slots, got);
	return r ? r : (int64_t)got;
}

/* Of a slot, in all three files: beside very small vectors the other two are the larger ones. */
static uint64_t slot_bytes(const struct quiver *store)
{
	return store->geometry.vector_bytes + sizeof(uint64_t) + META_ROW_BYTES;
}

uint64_t space_headroom(const struct quiver *store)
{
	uint64_t rows = atomic_load(&store->catalog.columns.rows);
	uint64_t most = HEADROOM_MAX_BYTES / slot_bytes(store);

	return (rows / 4 < most ? rows / 4 : most) + 1;
}

bool space_is_low(struct quiver *store)
{
	struct slots_counts counts;

	slots_counts(&store->catalog.slots, &counts);
	return counts.free_below + (counts.rows - counts.used) < space_headroom(store);
}

/* Every whole chunk of [from, to) has blocks now. */
static void note_backed(struct quiver *store, uint64_t from, uint64_t to)
{
	uint64_t chunk = (from + CHUNK_BYTES - 1) / CHUNK_BYTES;

	for (; (chunk + 1) * CHUNK_BYTES <= to; chunk++)
		bit_put(store->backed, chunk, true);
}

static uint64_t grow_target(const struct quiver *store, uint64_t rows, uint64_t need)
{
	uint64_t step = rows * slot_bytes(store);

	if (step < GROW_MIN_BYTES)
		step = GROW_MIN_BYTES;
	if (step > GROW_MAX_BYTES)
		step = GROW_MAX_BYTES;
	rows += step / slot_bytes(store);
	if (rows < need)
		rows = need;
	return rows < store->catalog.columns.rows_max ? rows : store->catalog.columns.rows_max;
}

int space_grow(struct quiver *store, uint64_t count, bool exactly)
{
	uint64_t began = clock_monotonic_ns();
	struct slots_counts counts;
	uint64_t need;
	uint64_t target;
	int r = 0;

	pthread_mutex_lock(&store->grow_lock);
	slots_counts(&store->catalog.slots, &counts);
	need = counts.used + (count > counts.free_below ? count - counts.free_below : 0);
	if (need <= counts.rows)
		goto out;
	if (need > store->catalog.columns.rows_max) {
		r = -ENOSPC;
		goto out;
	}
	target = exactly ? need : grow_target(store, counts.rows, need);
	r = columns_grow(&store->catalog.columns, target);
	/* By halves: with one slot at a time a disk that is nearly full would be slow. */
	while (r == -ENOSPC && target > need) {
		target = need + (target - need) / 2;
		r = columns_grow(&store->catalog.columns, target);
	}
	if (r)
		goto out;
	note_backed(store, offset_of(store, counts.rows), offset_of(store, target));
	slots_set_rows(&store->catalog.slots, target);
	atomic_fetch_add(&store->health.counters.growths, 1);
	latency_add(&store->health.counters.growth, clock_monotonic_ns() - began);
out:
	pthread_mutex_unlock(&store->grow_lock);
	return r;
}

int space_cut(struct quiver *store, uint64_t keep, uint64_t *freed)
{
	uint64_t rows;
	uint64_t before;
	int r = 0;

	pthread_mutex_lock(&store->grow_lock);
	pthread_mutex_lock(&store->hold_lock);
	before = atomic_load(&store->catalog.columns.rows);
	rows = slots_trim(&store->catalog.slots) + keep;
	if (rows >= before)
		goto out;
	store->cut_wanted = store->holds > 0;
	if (store->holds > 0 || !slots_cut(&store->catalog.slots, rows))
		goto out;
	/* The superblock must not ask for more rows than there are. */
	if (store->superblock.now.slots_used > rows) {
		store->superblock.now.slots_used = rows;
		r = health_judge(
			&store->health, HEALTH_SUPERBLOCK,
			superblock_write(store->io, store->superblock.fd, &store->superblock.now));
	}
	if (r == 0)
		r = columns_cut(&store->catalog.columns, rows);
	prefetch_cut(store, rows);
	if (r) {
		slots_set_rows(&store->catalog.slots, atomic_load(&store->catalog.columns.rows));
		goto out;
	}
	for (uint64_t at = offset_of(store, rows) / CHUNK_BYTES;
	     at <= offset_of(store, before) / CHUNK_BYTES; at++) {
		bit_put(store->backed, at, false);
		bit_put(store->punched, at, false);
	}
	*freed += (before - rows) * slot_bytes(store);
out:
	pthread_mutex_unlock(&store->hold_lock);
	pthread_mutex_unlock(&store->grow_lock);
	return r;
}

void space_cut_later(struct quiver *store)
{
	pthread_mutex_lock(&store->hold_lock);
	store->cut_wanted = true;
	pthread_mutex_unlock(&store->hold_lock);
}

/* Punch the chunks that lie wholly in [first, first + count), which are taken by us. */
static int punch_run(struct quiver *store, uint64_t first, uint64_t count, uint64_t *freed)
{
	uint64_t from = (offset_of(store, first) + CHUNK_BYTES - 1) / CHUNK_BYTES;
	uint64_t to = offset_of(store, first + count) / CHUNK_BYTES;
	int r = 0;

	while (r == 0 && from < to) {
		uint64_t end;

		if (bit_get(store->punched, from)) {
			from++;
			continue;
		}
		for (end = from; end < to && !bit_get(store->punched, end); end++) {
			bit_put(store->backed, end, false);
			bit_put(store->punched, end, true);
		}
		r = store->io->punch(store->io, store->catalog.columns.vectors.fd,
		                     from * CHUNK_BYTES, (end - from) * CHUNK_BYTES);
		if (r == 0) {
			*freed += (end - from) * CHUNK_BYTES;
			atomic_fetch_add(&store->health.counters.punches, 1);
		}
		from = end;
	}
	return r;
}

int space_punch(struct quiver *store, uint64_t keep, uint64_t *freed)
{
	uint64_t min = CHUNK_BYTES / store->geometry.vector_bytes + 2;
	uint64_t max = GROW_MAX_BYTES / store->geometry.vector_bytes + min;
	uint64_t seen = 0;
	uint64_t from = 0;
	uint64_t count;
	int r = 0;

	pthread_mutex_lock(&store->grow_lock);
	while (r == 0 && (count = slots_take_run(&store->catalog.slots, &from, min, max)) > 0) {
		seen += count;
		if (seen > keep)
			r = punch_run(store, from, count, freed);
		slots_give_run(&store->catalog.slots, from, count);
		from += count;
	}
	pthread_mutex_unlock(&store->grow_lock);
	return r == -EOPNOTSUPP ? 0 : r;
}
