#include "engine/nearest/scan.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/epoch.h"
#include "engine/base/latency.h"
#include "engine/disk/columns.h"

/* What one thread takes at a time: long enough that taking it costs nothing, short enough that all end
 * at the same time. */
#define PART_BYTES (UINT64_C(1) << 20)
/* Fewer bytes for each thread take less time than waking it. */
#define THREAD_BYTES (UINT64_C(512) << 10)
/* Pages that were there are taken to be there for so long. */
#define SEEN_SECONDS 60u
/* Read from the disk ahead of where the threads are. */
#define AHEAD_PARTS 8u

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

static_assert(DISTANCE_ROWS_MAX == 64, "those of one word of the live map");

/* One pass. */
struct pass {
	struct scanner *scanner;
	struct catalog *catalog;
	struct round *round;
	const struct distance_questions *questions;
	uint64_t slots; /* those below are gone through */
	uint64_t pinned; /* the highest in use, so that no file is cut below it; or SLOT_NONE */
	uint64_t told; /* published slots that came before */
	uint64_t part_slots;
	_Atomic uint64_t next_part;
	_Atomic bool stop;
	bool (*stopped)(void *arg);
	void *arg;
	pthread_mutex_t lock; /* merge lock */
	int result; /* merge lock; the first error */
};

/* One thread's. */
struct walk {
	struct pass *pass;
	struct comparing comparing;
	size_t count;
	uint64_t slots[DISTANCE_ROWS_MAX];
	const void *rows[DISTANCE_ROWS_MAX];
};

void scanner_init(struct scanner *scanner, struct catalog *catalog, const struct quiver_io *io)
{
	scanner->catalog = catalog;
	scanner->io = io;
	pool_init(&scanner->pool);
}

void scanner_destroy(struct scanner *scanner)
{
	pool_destroy(&scanner->pool);
}

/* ---- rows ---- */

const void *scan_row(const struct catalog *catalog, uint64_t slot)
{
	return columns_vector(&catalog->columns, slot);
}

static bool identify(void *arg, struct comparing *comparing, size_t i, size_t j, uint64_t *id)
{
	const struct walk *walk = arg;
	struct catalog *catalog = walk->pass->catalog;
	uint64_t slot = walk->slots[i], now = SLOT_NONE;

	index_settle(&catalog->index);
	epoch_enter();
	*id = columns_id(&catalog->columns, slot);
	if (*id <= QUIVER_ID_MAX)
		now = index_find(&catalog->index, *id);
	/* It is in another slot by now, which this pass may have gone by before it was. */
	if (now != slot && now != SLOT_NONE)
		comparing_offer(comparing, j, *id, scan_row(catalog, now));
	epoch_leave();
	return now == slot;
}

/* Compare what was gathered. Not in an epoch section, since many questions take long: where a slot has
 * other bytes by now, what was in it, and what is, were published since the pass began. */
static void flush(struct walk *walk)
{
	if (walk->count > 0)
		comparing_rows(&walk->comparing, walk->rows, walk->count);
	walk->count = 0;
}

static void gather(struct walk *walk, uint64_t slot)
{
	walk->slots[walk->count] = slot;
	walk->rows[walk->count++] = scan_row(walk->pass->catalog, slot);
	if (walk->count == DISTANCE_ROWS_MAX)
		flush(walk);
}

/* ---- pages ---- */

/* Have the pages of a part in memory and in the map: a fault for each is far slower. */
static void fetch_part(struct walk *walk, uint64_t part)
{
	struct pass *pass = walk->pass;
	struct scanner *scanner = pass->scanner;
	const struct column *vectors = &pass->catalog->columns.vectors;
	uint32_t second = (uint32_t)(clock_monotonic_ns() / 1000000000) + SEEN_SECONDS;
	_Atomic uint32_t *seen = &scanner->seen[part % SCAN_PARTS_SEEN];
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uint64_t bytes = pass->part_slots * vectors->row_bytes;
	uint64_t from = columns_vector_offset(&pass->catalog->columns, part * pass->part_slots);
	uint64_t end = columns_vector_offset(&pass->catalog->columns, pass->slots);
	uintptr_t at = ((uintptr_t)vectors->map + from) & ~(page - 1);

	if (second - atomic_load_explicit(seen, memory_order_relaxed) < SEEN_SECONDS)
		return;
	scanner->io->hint(scanner->io, vectors->fd, from + AHEAD_PARTS * bytes, bytes,
	                  IO_WILL_READ);
	if (from + bytes < end)
		end = from + bytes;
	/* What cannot be read is told when it is. */
	(void)madvise((void *)at, (uintptr_t)vectors->map + end - at, MADV_POPULATE_READ);
	atomic_store_explicit(seen, second, memory_order_relaxed);
}

/* ---- slots ---- */

static bool part_is_empty(const struct pass *pass, uint64_t first, uint64_t end)
{
	for (uint64_t word = first / 64; word * 64 < end; word++)
		if (atomic_load_explicit(&pass->catalog->slots.live[word], memory_order_acquire))
			return false;
	return true;
}

/* Of a word all of whose slots hold a vector, which is what most are. */
static void gather_word(struct walk *walk, uint64_t first)
{
	const struct column *vectors = &walk->pass->catalog->columns.vectors;
	const uint8_t *row = scan_row(walk->pass->catalog, first);

	for (uint64_t i = 0; i < 64; i++) {
		walk->slots[i] = first + i;
		walk->rows[i] = row + i * vectors->row_bytes;
	}
	walk->count = 64;
	flush(walk);
}

static void walk_part(struct walk *walk, uint64_t part)
{
	struct pass *pass = walk->pass;
	uint64_t first = part * pass->part_slots, end = first + pass->part_slots;

	if (end > pass->slots)
		end = pass->slots;
	if (part_is_empty(pass, first, end))
		return;
	fetch_part(walk, part);
	for (uint64_t word = first / 64; word * 64 < end; word++) {
		uint64_t bits = atomic_load_explicit(&pass->catalog->slots.live[word],
		                                     memory_order_acquire);

		if (bits == UINT64_MAX && walk->count == 0 && word * 64 + 64 <= end) {
			gather_word(walk, word * 64);
			continue;
		}
		for (; bits; bits &= bits - 1) {
			uint64_t slot = word * 64 + (uint64_t)__builtin_ctzll(bits);

			if (slot < end)
				gather(walk, slot);
		}
	}
	flush(walk);
}

static int walk_init(struct walk *walk, struct pass *pass, bool own)
{
	const struct column *vectors = &pass->catalog->columns.vectors;
	int r = comparing_init(&walk->comparing, pass->questions, pass->round, own, identify, walk);

	walk->pass = pass;
	walk->count = 0;
	return r ? r : comparing_guard(&walk->comparing, vectors->map, vectors->reserved_bytes);
}

/* One thread: parts, until there are none. */
static void work(void *arg, unsigned number)
{
	struct pass *pass = arg;
	struct walk walk = { .comparing = { .round = pass->round, .tops = pass->round->tops } };
	int r = walk_init(&walk, pass, true);

	(void)number;
	while (r == 0 && !atomic_load_explicit(&pass->stop, memory_order_relaxed)) {
		uint64_t part = atomic_fetch_add(&pass->next_part, 1);

		if (part * pass->part_slots >= pass->slots)
			break;
		walk_part(&walk, part);
	}
	pthread_mutex_lock(&pass->lock);
	if (r == 0)
		comparing_merge(&walk.comparing, pass->round);
	else if (pass->result == 0)
		pass->result = r;
	pthread_mutex_unlock(&pass->lock);
	comparing_free(&walk.comparing);
}

/* ---- what was published meanwhile ---- */

/* In an epoch section: of a slot that holds a vector the bytes stay where they are. False where one holds
 * none any more: what has taken its place was told behind it. */
static bool compare_published(struct walk *walk, const uint32_t *slots, uint64_t count)
{
	struct catalog *catalog = walk->pass->catalog;
	bool all = true;

	for (uint64_t i = 0; i < count; i++) {
		if (!slots_is_live(&catalog->slots, slots[i])) {
			all = false;
			continue;
		}
		walk->slots[walk->count] = slots[i];
		walk->rows[walk->count++] = scan_row(catalog, slots[i]);
	}
	if (walk->count > 0)
		comparing_rows(&walk->comparing, walk->rows, walk->count);
	walk->count = 0;
	return all;
}

static uint64_t published_count(const struct catalog *catalog)
{
	return atomic_load_explicit(&catalog->published.count, memory_order_acquire);
}

static int catch_up(struct pass *pass)
{
	struct walk walk = { .comparing = { .round = pass->round, .tops = pass->round->tops } };
	struct catalog *catalog = pass->catalog;
	uint32_t slots[DISTANCE_ROWS_MAX];
	uint64_t at_once = comparing_rows_at_once(pass->questions);
	int64_t n = 0;
	int r = walk_init(&walk, pass, false);

	/* Those that come while this goes on need not be looked at, but in the place of one that has gone
	 * meanwhile. */
	uint64_t end = published_count(catalog);

	while (r == 0 && pass->told < end && !pass->stopped(pass->arg)) {
		n = published_take(&catalog->published, &pass->told, slots, at_once);
		if (n < 0)
			break;
		index_settle(&catalog->index);
		epoch_enter();
		if (!compare_published(&walk, slots, (uint64_t)n))
			end = published_count(catalog);
		epoch_leave();
	}
	if (r == 0 && n < 0)
		r = (int)n;
	if (r == 0)
		comparing_merge(&walk.comparing, pass->round);
	comparing_free(&walk.comparing);
	return r;
}

/* ---- the pass ---- */

/* A moment between two commits. */
static int begin(struct pass *pass)
{
	struct catalog *catalog = pass->catalog;
	struct slots_counts counts;
	int r;

	pthread_mutex_lock(&catalog->publish_lock);
	r = published_open(&catalog->published);
	pass->told = atomic_load(&catalog->published.count);
	slots_counts(&catalog->slots, &counts);
	pass->pinned = slots_highest_live(&catalog->slots, counts.used);
	if (r == 0 && pass->pinned != SLOT_NONE) {
		epoch_enter();
		slots_pin(&catalog->slots, pass->pinned);
		epoch_leave();
	}
	pthread_mutex_unlock(&catalog->publish_lock);
	pass->slots = pass->pinned == SLOT_NONE ? 0 : pass->pinned + 1;
	return r;
}

static void end(struct pass *pass)
{
	if (pass->pinned != SLOT_NONE)
		slots_unpin(&pass->catalog->slots, pass->pinned);
}

static void look(void *arg)
{
	struct pass *pass = arg;

	if (pass->stopped(pass->arg))
		atomic_store(&pass->stop, true);
}

static unsigned threads_for(const struct pass *pass)
{
	uint64_t bytes = pass->slots * pass->catalog->columns.geometry.vector_bytes *
	                 (1 + pass->questions->count / 8);

	return bytes < 2 * THREAD_BYTES
	               ? 1
	               : pool_threads((unsigned)(bytes / THREAD_BYTES < POOL_THREADS_MAX
	                                                 ? bytes / THREAD_BYTES
	                                                 : POOL_THREADS_MAX));
}

static int walk_all(struct pass *pass)
{
	unsigned threads = threads_for(pass);
	uint64_t bytes = pass->catalog->columns.geometry.vector_bytes;
	int r = 0;

	/* Whole words of the live map. */
	pass->part_slots = PART_BYTES / bytes / 64 * 64;
	if (pass->part_slots == 0)
		pass->part_slots = 64;
	if (pass->slots * bytes < THREAD_BYTES)
		work(pass, 0); /* sooner than a thread would wake */
	else
		r = pool_run(&pass->scanner->pool, &threads, work, pass, look);
	if (r == 0)
		r = pass->result;
	if (r == 0 && (atomic_load(&pass->stop) || pass->stopped(pass->arg)))
		r = -EINTR;
	return r ? r : catch_up(pass);
}

int scanner_pass(struct scanner *scanner, struct round *round, bool (*stopped)(void *arg),
                 void *arg)
{
	struct distance_questions questions;
	struct pass pass = { .scanner = scanner,
		             .catalog = scanner->catalog,
		             .round = round,
		             .questions = &questions,
		             .stopped = stopped,
		             .arg = arg };
	int r = distance_questions_init(&questions, round->distance, round->vectors, round->count);

	if (r == 0)
		r = begin(&pass);
	if (r == 0) {
		pthread_mutex_init(&pass.lock, NULL);
		r = walk_all(&pass);
		pthread_mutex_destroy(&pass.lock);
		end(&pass);
	}
	distance_questions_free(&questions);
	return r;
}
