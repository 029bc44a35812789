/*
 * prefetch.c - pages in memory before slots in them are written, of vectors.npy and of the rows. Who
 * writes a part of a page that is not there waits until the disk has read it, several times as
 * long as the whole commit takes otherwise; and where the writer is a thread that others wait
 * for, so do they.
 *
 * It is known which slots are taken next: the holes that removed and replaced vectors have left,
 * each between vectors of others, and the tail.
 * All that is remembered are hints: a slot that was not fetched for is written all the same.
 */
#include "engine/commit/prefetch.h"

#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/latency.h"
#include "engine/base/sizes.h"
#include "engine/disk/write_window.h"

/* Of the tail. It has blocks that were never written, so the disk has nothing to do. */
#define TAIL_BYTES (WRITE_WINDOWS * WRITE_WINDOW_BYTES)
/* Asked for at a time; the kernel may cut larger requests short. */
#define PIECE_BYTES (UINT64_C(256) << 10)
/* Holes that are fetched for at once: the disk reads them beside each other, for some 10 ms, in
 * which the half that was fetched for before is taken. */
#define HOLES_AHEAD 512u
/* What lies between two holes is read with them where it is less: the disk takes as long for
 * another request as for so much. */
#define GAP_BYTES (UINT64_C(32) << 10)
/* Where the pages of so many are in memory those of the others are taken to be there, too: a store
 * that is written all the time need not ask for each. */
#define HOLES_SAMPLE 8u
/* Only for those who take less than this at once: of more, whole pages are written, and of pages
 * that are not there yet the kernel makes larger ones at half the cost. */
#define FOR_BYTES (UINT64_C(64) << 10)

/* Who takes WRITE_WINDOW_BYTES in less time writes through windows: their pages become dirty before
 * they are filled, and the kernel writes what is dirty out after some 5 to 30 s, so all of them
 * should be full by then. However small the vectors are, or whoever else uses the machine. */
#define FAST_NS UINT64_C(2000000000)
/* A sync writes all windows, full or not: they are for those who take so much more between two. */
#define PARTS_A_SYNC (2 * WRITE_WINDOWS)

static uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

void prefetch_init(struct prefetch *prefetch, struct catalog *catalog, struct wishes *wishes)
{
	prefetch->catalog = catalog;
	prefetch->wishes = wishes;
	/* The first who takes a slot asks. */
	atomic_init(&prefetch->ask_at, 0);
	atomic_init(&prefetch->tail, 0);
	atomic_init(&prefetch->holes_enough, 0);
	atomic_init(&prefetch->tail_seen, 0);
	prefetch->holes_to = 0;
	prefetch->asked_ns = 0;
	prefetch->syncs = 0;
	prefetch->parts = 0;
}

void prefetch_cut(struct prefetch *prefetch, uint64_t rows)
{
	if (atomic_load(&prefetch->tail) > rows)
		atomic_store(&prefetch->tail, rows);
	atomic_store(&prefetch->ask_at, 0);
}

void prefetch_freed(struct prefetch *prefetch)
{
	atomic_store(&prefetch->holes_enough, 0);
}

/* ---- asking ---- */

static uint64_t tail_slots(const struct prefetch *prefetch)
{
	return TAIL_BYTES / prefetch->catalog->columns.geometry.vector_bytes + 1;
}

static uint64_t part_slots(const struct prefetch *prefetch)
{
	return WRITE_WINDOW_BYTES / prefetch->catalog->columns.geometry.vector_bytes + 1;
}

/* Whether another part of WRITE_WINDOW_BYTES of the tail has been taken since pages were asked for. */
static bool tail_is_low(const struct prefetch *prefetch, uint64_t slot)
{
	return slot >= atomic_load_explicit(&prefetch->ask_at, memory_order_relaxed);
}

static bool holes_are_low(const struct prefetch *prefetch)
{
	return slots_given(&prefetch->catalog->slots) >=
	       atomic_load_explicit(&prefetch->holes_enough, memory_order_relaxed);
}

void prefetch_taken(struct prefetch *prefetch, const uint64_t *slots, size_t count)
{
	if (count == 0 || count * prefetch->catalog->columns.geometry.vector_bytes >= FOR_BYTES)
		return;
	if (tail_is_low(prefetch, slots[count - 1]) || holes_are_low(prefetch))
		wish_prefetch(prefetch->wishes);
}

/* ---- the tail ---- */

/* Whether slots have been taken fast since the last time, and they are seldom synced. */
static bool is_taken_fast(struct prefetch *prefetch)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t syncs = atomic_load(&prefetch->catalog->columns.vector_syncs);
	bool synced = syncs != prefetch->syncs;
	bool seldom = !synced || prefetch->parts >= PARTS_A_SYNC;
	bool fast = seldom && now - prefetch->asked_ns < FAST_NS;

	prefetch->asked_ns = now;
	prefetch->syncs = syncs;
	prefetch->parts = synced ? 0 : prefetch->parts + 1;
	return fast;
}

static uint64_t offset_of(const struct prefetch *prefetch, uint64_t slot)
{
	return columns_vector_offset(&prefetch->catalog->columns, slot);
}

/* Windows over what follows the slot that is taken next; whether there are any. */
static bool follow(struct prefetch *prefetch, const struct slots_counts *counts)
{
	uint64_t at = offset_of(prefetch, counts->used);
	uint64_t end = (at / WRITE_WINDOW_BYTES + WRITE_WINDOWS) * WRITE_WINDOW_BYTES;

	if (!write_windows_follow(&prefetch->catalog->columns, at,
	                          offset_of(prefetch, counts->rows)))
		return false;
	end = end < offset_of(prefetch, counts->rows) ? end : offset_of(prefetch, counts->rows);
	atomic_store(&prefetch->tail, (end - COLUMN_HEADER_BYTES) /
	                                      prefetch->catalog->columns.geometry.vector_bytes);
	return true;
}

/* In vain where the file was cut meanwhile: it is a matter of speed alone. */
static void will_need(const struct column *column, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to; at += PIECE_BYTES) {
		void *piece = (void *)(uintptr_t)(column->map + at);

		(void)madvise(piece, to - at < PIECE_BYTES ? to - at : PIECE_BYTES, MADV_WILLNEED);
	}
}

static void prefetch_tail(struct prefetch *prefetch, const struct slots_counts *counts)
{
	uint64_t from = atomic_load(&prefetch->tail);
	uint64_t to;

	/* Also where there is no tail: else whoever takes a slot would ask, and in vain. */
	atomic_store(&prefetch->ask_at, counts->used + part_slots(prefetch));
	if (is_taken_fast(prefetch) && follow(prefetch, counts))
		return;
	from = from > counts->used ? from : counts->used;
	to = counts->used + tail_slots(prefetch);
	to = to < counts->rows ? to : counts->rows;
	atomic_store(&prefetch->tail, to);
	if (from >= to)
		return;
	will_need(&prefetch->catalog->columns.vectors,
	          offset_of(prefetch, from) / PIECE_BYTES * PIECE_BYTES, offset_of(prefetch, to));
}

/* ---- holes ---- */

/* The pages that a slot's part of a column shares with others: its first and its last. */
struct edges {
	uint64_t first, last; /* offsets */
};

static struct edges edges_of(const struct column *column, uint64_t slot)
{
	uint64_t at = COLUMN_HEADER_BYTES + slot * column->row_bytes;
	uint64_t page = page_bytes();

	return (struct edges){ .first = at / page * page,
		               .last = (at + column->row_bytes - 1) / page * page };
}

static bool is_resident(const struct column *column, uint64_t offset)
{
	unsigned char resident;
	void *page = (void *)(uintptr_t)(column->map + offset);

	return mincore(page, page_bytes(), &resident) == 0 && (resident & 1);
}

/* Whether the pages of the next of them are in memory. */
static bool are_resident(const struct column *column, const uint64_t *holes, size_t count)
{
	for (size_t i = 0; i < count && i < HOLES_SAMPLE; i++) {
		struct edges edges = edges_of(column, holes[i]);

		if (!is_resident(column, edges.first) || !is_resident(column, edges.last))
			return false;
	}
	return true;
}

/* What was asked for so far, to be asked of the disk with what follows close behind. */
struct range {
	uint64_t from, to; /* offsets; nothing where they are equal */
};

static void add_page(const struct column *column, struct range *range, uint64_t page)
{
	/* Another segment may lie below. */
	if (page > range->to + GAP_BYTES || page < range->from || range->from == range->to) {
		will_need(column, range->from, range->to);
		range->from = page;
	}
	range->to = page + page_bytes();
}

static void prefetch_edges(const struct column *column, const uint64_t *holes, size_t count)
{
	struct range range = { 0, 0 };

	/* Whole pages are written and not read. */
	if (column->row_bytes % page_bytes() == 0 || are_resident(column, holes, count))
		return;
	for (size_t i = 0; i < count; i++) {
		struct edges edges = edges_of(column, holes[i]);

		add_page(column, &range, edges.first);
		add_page(column, &range, edges.last);
	}
	will_need(column, range.from, range.to);
}

static bool has_rows(struct prefetch *prefetch, uint64_t slot)
{
	return residency_has_row(&prefetch->catalog->residency, &prefetch->catalog->columns, slot,
	                         residency_second());
}

/* Whether what the column has of `slot` begins with a page of its own, or in one that is in
 * memory. */
static bool begin_is_resident(const struct column *column, uint64_t slot)
{
	struct edges edges = edges_of(column, slot);

	return edges.first == column_row_offset(column, slot) || is_resident(column, edges.first);
}

/* The same of all of them, for the last slot: the pages behind are new, or were asked for. What was
 * seen of a page of rows counts for a moment, as in residency.h. */
static bool tail_is_there(struct prefetch *prefetch, uint64_t slot)
{
	const struct columns *columns = &prefetch->catalog->columns;
	uint64_t page = edges_of(&columns->meta, slot).first / page_bytes();
	uint64_t mark = page << 32 | residency_second();

	if (atomic_load_explicit(&prefetch->tail_seen, memory_order_relaxed) == mark)
		return true;
	if (!begin_is_resident(&columns->ids, slot) || !begin_is_resident(&columns->meta, slot) ||
	    !begin_is_resident(&columns->vectors, slot))
		return false;
	atomic_store_explicit(&prefetch->tail_seen, mark, memory_order_relaxed);
	return true;
}

bool prefetch_has(struct prefetch *prefetch, uint64_t slot)
{
	const struct column *vectors = &prefetch->catalog->columns.vectors;
	struct slots_counts counts;

	slots_counts(&prefetch->catalog->slots, &counts);
	if (slot + 1 >= counts.used)
		return tail_is_there(prefetch, slot);
	return has_rows(prefetch, slot) &&
	       (vectors->row_bytes % page_bytes() == 0 || are_resident(vectors, &slot, 1));
}

void prefetch_rows(struct prefetch *prefetch, uint64_t slot)
{
	const struct columns *columns = &prefetch->catalog->columns;
	uint8_t row[META_ROW_BYTES];
	size_t length;

	if (!atomic_load_explicit(&prefetch->catalog->has_hasty, memory_order_relaxed) ||
	    has_rows(prefetch, slot))
		return;
	(void)columns_id(columns, slot);
	(void)columns_meta_bytes(columns, slot, row, &length); /* the store tells what is wrong */
}

static void prefetch_holes(struct prefetch *prefetch)
{
	uint64_t holes[HOLES_AHEAD];
	struct slots_ahead ahead;
	bool freed = atomic_load(&prefetch->holes_enough) == 0;
	size_t count = slots_peek(&prefetch->catalog->slots, HOLES_AHEAD, holes, &ahead);
	size_t known = 0;

	if (ahead.tail > HOLES_AHEAD) { /* of which there is nothing to be read: not yet */
		atomic_store(&prefetch->holes_enough, ahead.given + ahead.tail - HOLES_AHEAD / 2);
		return;
	}
	/* Unless more have come free they are as they were. */
	if (!freed && prefetch->holes_to > ahead.given + ahead.tail)
		known = prefetch->holes_to - (ahead.given + ahead.tail);
	known = known < count ? known : count;
	prefetch_edges(&prefetch->catalog->columns.vectors, holes + known, count - known);
	prefetch_edges(&prefetch->catalog->columns.ids, holes + known, count - known);
	prefetch_edges(&prefetch->catalog->columns.meta, holes + known, count - known);
	prefetch->holes_to = ahead.given + ahead.tail + count;
	/* Where there are none it takes a checkpoint until there are. */
	atomic_store(&prefetch->holes_enough,
	             count > 0 ? ahead.given + ahead.tail + count / 2 : UINT64_MAX);
}

void prefetch_ahead(struct prefetch *prefetch)
{
	struct slots_counts counts;

	slots_counts(&prefetch->catalog->slots, &counts);
	prefetch_holes(prefetch);
	if (tail_is_low(prefetch, counts.used))
		prefetch_tail(prefetch, &counts);
}
