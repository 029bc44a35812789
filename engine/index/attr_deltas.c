#include "engine/index/attr_deltas.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PLACES_MIN 64u
#define SPARSE 32u /* where only every so manyth place is used, a burst is over */
#define DROPS_AT_ONCE 64u /* under the lock, some microseconds */
/* So much of the marks becomes usable at once: those of 16 million slots. */
#define OPEN_STEP_BYTES (UINT64_C(2) << 20)
#define SPREAD UINT64_C(0x9e3779b97f4a7c15) /* 2^64 over the golden ratio; Knuth 6.4 */

void attr_deltas_init(struct attr_deltas *deltas)
{
	pthread_mutex_init(&deltas->lock, NULL);
	deltas->rows = NULL;
	deltas->places = 0;
	atomic_init(&deltas->count, 0);
	deltas->marks = NULL;
	deltas->marks_bytes = deltas->open_bytes = 0;
}

static uint64_t whole_steps(uint64_t rows)
{
	return (rows / 8 + OPEN_STEP_BYTES) / OPEN_STEP_BYTES * OPEN_STEP_BYTES;
}

/* What can only be read does not count as used where the system hands out no more memory than
 * there is (vm.overcommit_memory 2). */
int attr_deltas_open(struct attr_deltas *deltas, uint64_t rows_max)
{
	uint64_t bytes = whole_steps(rows_max);
	void *p = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	/* One slot shall not take a huge page; where the kernel has none, it fails. */
	(void)madvise(p, bytes, MADV_NOHUGEPAGE);
	deltas->marks = p;
	deltas->marks_bytes = bytes;
	return 0;
}

void attr_deltas_destroy(struct attr_deltas *deltas)
{
	if (deltas->marks && munmap((void *)(uintptr_t)deltas->marks, deltas->marks_bytes) != 0)
		assert(!"munmap of the marks of attributes");
	free(deltas->rows);
	pthread_mutex_destroy(&deltas->lock);
}

static size_t home(const struct attr_deltas *deltas, uint64_t slot)
{
	return (size_t)((slot * SPREAD) >> 20) & (deltas->places - 1);
}

/* Place of `slot`, or the empty place where it would go. Lock held, places > 0. */
static size_t find(const struct attr_deltas *deltas, uint64_t slot)
{
	size_t at = home(deltas, slot);

	while (deltas->rows[at].slot != SLOT_NONE && deltas->rows[at].slot != slot)
		at = (at + 1) & (deltas->places - 1);
	return at;
}

/* Lock held. */
static int resize(struct attr_deltas *deltas, size_t places)
{
	struct attr_delta *old = deltas->rows;
	size_t old_places = deltas->places;
	struct attr_delta *rows = malloc(places * sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < places; i++)
		rows[i].slot = SLOT_NONE;
	deltas->rows = rows;
	deltas->places = places;
	for (size_t i = 0; i < old_places; i++)
		if (old[i].slot != SLOT_NONE)
			rows[find(deltas, old[i].slot)] = old[i];
	free(old);
	return 0;
}

/* Have the marks of slots below `rows` such that they can be changed. 0 or -ENOMEM. Lock held. */
static int open_marks(struct attr_deltas *deltas, uint64_t rows)
{
	uint64_t want = whole_steps(rows);
	uint8_t *marks = (uint8_t *)(uintptr_t)deltas->marks;

	if (want <= deltas->open_bytes)
		return 0;
	assert(want <= deltas->marks_bytes);
	if (mprotect(marks + deltas->open_bytes, want - deltas->open_bytes,
	             PROT_READ | PROT_WRITE) != 0)
		return -ENOMEM;
	deltas->open_bytes = want;
	return 0;
}

int attr_deltas_make_room(struct attr_deltas *deltas, size_t count, uint64_t rows)
{
	size_t need;
	size_t places;
	int r = 0;

	pthread_mutex_lock(&deltas->lock);
	need = atomic_load(&deltas->count) + count;
	places = deltas->places ? deltas->places : PLACES_MIN;
	while (places / 2 < need)
		places *= 2;
	if (places != deltas->places)
		r = resize(deltas, places);
	else if (places > PLACES_MIN && need < places / SPARSE)
		(void)resize(deltas, places / SPARSE * 4); /* without memory it stays large */
	if (r == 0)
		r = open_marks(deltas, rows);
	pthread_mutex_unlock(&deltas->lock);
	return r;
}

/* Who sees the mark takes the lock; who does not may go by the row in the columns. Lock held. */
static void mark(struct attr_deltas *deltas, uint64_t slot, bool has)
{
	uint64_t bit = UINT64_C(1) << slot % 64;
	uint64_t word = atomic_load_explicit(&deltas->marks[slot / 64], memory_order_relaxed);

	assert(slot / 8 < deltas->open_bytes);
	atomic_store_explicit(&deltas->marks[slot / 64], has ? word | bit : word & ~bit,
	                      memory_order_release);
}

void attr_deltas_put(struct attr_deltas *deltas, const struct attr_delta *row)
{
	size_t at;

	pthread_mutex_lock(&deltas->lock);
	at = find(deltas, row->slot);
	if (deltas->rows[at].slot == SLOT_NONE)
		atomic_fetch_add(&deltas->count, 1);
	deltas->rows[at] = *row;
	mark(deltas, row->slot, true);
	pthread_mutex_unlock(&deltas->lock);
}

bool attr_deltas_find(struct attr_deltas *deltas, uint64_t slot, struct meta_row *row)
{
	bool found = false;

	pthread_mutex_lock(&deltas->lock);
	if (deltas->places > 0) {
		const struct attr_delta *there = &deltas->rows[find(deltas, slot)];

		found = there->slot == slot;
		if (found)
			*row = there->row;
	}
	pthread_mutex_unlock(&deltas->lock);
	return found;
}

/* Close the gap at `gap` so that probes need no tombstones (Knuth 6.4, algorithm R). */
static void close_gap(struct attr_deltas *deltas, size_t gap)
{
	size_t mask = deltas->places - 1;
	size_t at = gap;

	for (;;) {
		size_t want;

		at = (at + 1) & mask;
		if (deltas->rows[at].slot == SLOT_NONE)
			break;
		want = home(deltas, deltas->rows[at].slot);
		if (((at - want) & mask) >= ((at - gap) & mask)) {
			deltas->rows[gap] = deltas->rows[at];
			gap = at;
		}
	}
	deltas->rows[gap].slot = SLOT_NONE;
}

/* Lock held. */
static void drop(struct attr_deltas *deltas, uint64_t slot, uint64_t lsn)
{
	size_t at;

	if (deltas->places == 0)
		return;
	at = find(deltas, slot);
	if (deltas->rows[at].slot == slot && deltas->rows[at].row.attr_lsn <= lsn) {
		close_gap(deltas, at);
		mark(deltas, slot, false);
		atomic_fetch_sub(&deltas->count, 1);
	}
}

void attr_deltas_drop(struct attr_deltas *deltas, uint64_t slot)
{
	/* Only the writer marks. */
	if (!attr_deltas_marks(deltas, slot))
		return;
	pthread_mutex_lock(&deltas->lock);
	drop(deltas, slot, UINT64_MAX);
	pthread_mutex_unlock(&deltas->lock);
}

/* The memory of marks that are all zero goes: they are read as zeros then, too. */
static void forget_marks(struct attr_deltas *deltas)
{
	pthread_mutex_lock(&deltas->lock);
	if (atomic_load(&deltas->count) == 0 && deltas->open_bytes > 0)
		(void)madvise((void *)(uintptr_t)deltas->marks, deltas->open_bytes, MADV_DONTNEED);
	pthread_mutex_unlock(&deltas->lock);
}

void attr_deltas_drop_rows(struct attr_deltas *deltas, const struct attr_delta *rows, size_t count)
{
	for (size_t i = 0; i < count;) {
		size_t end = i + DROPS_AT_ONCE < count ? i + DROPS_AT_ONCE : count;

		pthread_mutex_lock(&deltas->lock);
		for (; i < end; i++)
			drop(deltas, rows[i].slot, rows[i].row.attr_lsn);
		pthread_mutex_unlock(&deltas->lock);
	}
	if (count > 0)
		forget_marks(deltas);
}

int attr_deltas_copy(struct attr_deltas *deltas, struct attr_delta **rows, size_t *count)
{
	size_t n = 0;
	int r = 0;

	*rows = NULL;
	*count = 0;
	pthread_mutex_lock(&deltas->lock);
	if (atomic_load(&deltas->count) > 0) {
		*rows = malloc(atomic_load(&deltas->count) * sizeof(**rows));
		r = *rows ? 0 : -ENOMEM;
	}
	for (size_t i = 0; *rows && i < deltas->places; i++)
		if (deltas->rows[i].slot != SLOT_NONE)
			(*rows)[n++] = deltas->rows[i];
	assert(!*rows || n == atomic_load(&deltas->count));
	*count = n;
	pthread_mutex_unlock(&deltas->lock);
	return r;
}
