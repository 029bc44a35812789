#include "engine/lists/search.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/epoch.h"
#include "engine/lists/fetch.h"
#include "engine/lists/sample.h"
#include "engine/nearest/scan.h"

/* Many questions that are compared with all take less time each. */
#define MANY_QUESTIONS 16u
#define MANY_FACTOR 4u
/* Where one in so many vectors is in no list yet, all are compared: in order they come faster. */
#define PENDING_SHARE 4u
/* So many times as many vectors as are asked for have to be in the lists. */
#define ENOUGH 4u
/* Lists that are looked at where others have too few. */
#define RANKS_FACTOR 2u
#define RANKS_MORE 8u
/* What the ranks of some questions may take. */
#define RANKS_MAX (UINT64_C(1) << 20)

/* One pass. */
struct pass {
	struct lists *lists;
	struct catalog *catalog;
	struct round *round;
	uint32_t k;
	uint32_t probes; /* lists that are looked at */
	uint32_t ranks; /* ... and at most */
	bool (*stopped)(void);
	uint64_t pinned; /* as in scan.c */
	uint64_t told;
	uint64_t always; /* vectors that were compared with each question */
	uint32_t *slots; /* malloc'd; of a list */
	size_t room; /* in it */
};

/* Rows that are compared with the questions of a round, 64 at a time. */
struct walk {
	struct pass *pass;
	struct round round;
	struct distance_questions questions;
	struct comparing comparing;
	uint64_t compared;
	size_t count;
	uint64_t slots[DISTANCE_ROWS_MAX];
	const void *rows[DISTANCE_ROWS_MAX];
};

/* ---- how many lists ---- */

/* Whether questions that look at `probes` lists gain anything. Their time is taken to grow as the lists. */
static bool gains(const struct lists *lists, uint64_t probes, size_t count)
{
	uint64_t by_index = probes * 100, all = atomic_load(&lists->gain_percent);

	if (count >= MANY_QUESTIONS)
		by_index *= MANY_FACTOR;
	return by_index < all * atomic_load(&lists->probes[0]);
}

uint32_t search_probes(const struct lists *lists, uint32_t k, size_t count)
{
	uint64_t pending = atomic_load(&lists->cells->pending_count);
	uint32_t probes = 0;

	for (size_t i = 0; probes == 0 && i < NEAREST_PROBES; i++)
		if (k <= nearest_probes_for[i])
			probes = atomic_load(&lists->probes[i]);
	if (atomic_load(&lists->cells->lost) ||
	    pending > catalog_count(lists->catalog) / PENDING_SHARE || !gains(lists, probes, count))
		return 0;
	return probes;
}

/* ---- which lists ---- */

static bool name_list(void *arg, struct comparing *comparing, size_t i, size_t j, uint64_t *id)
{
	const uint64_t *first = arg;

	(void)comparing;
	(void)j;
	*id = *first + i;
	return true;
}

/* The nearest centroids of each question of a round over points. */
static int rank_round(const struct lists *lists, struct round *round)
{
	const void *rows[DISTANCE_ROWS_MAX];
	struct distance_questions questions = { .prepared = NULL };
	struct comparing comparing = { .round = round, .tops = round->tops };
	uint64_t first = 0;
	int r = distance_questions_init(&questions, round->distance, round->vectors, round->count);

	if (r == 0)
		r = comparing_init(&comparing, &questions, round, false, name_list, &first);
	for (; r == 0 && first < lists->page.rows; first += DISTANCE_ROWS_MAX) {
		uint64_t left = lists->page.rows - first;
		size_t n = left < DISTANCE_ROWS_MAX ? (size_t)left : DISTANCE_ROWS_MAX;

		for (size_t i = 0; i < n; i++)
			rows[i] = lists->centroids + (first + i) * lists->page.width;
		comparing_rows(&comparing, rows, n);
	}
	comparing_free(&comparing);
	distance_questions_free(&questions);
	return r;
}

static void tell_ranks(struct top *top, uint32_t probes, uint32_t *lists_of)
{
	top_sort(top);
	/* Where single precision can tell nothing there are fewer: any list will do. */
	for (uint32_t i = 0; i < probes; i++)
		lists_of[i] = i < top->count ? (uint32_t)top->heap[i].id : i;
}

int search_rank(const struct lists *lists, const void *const *questions, size_t n, uint32_t probes,
                uint32_t *lists_of)
{
	float *points = malloc(n * lists->page.width * sizeof(*points));
	struct candidate *heaps = malloc(n * probes * sizeof(*heaps));
	struct top *tops = malloc(n * sizeof(*tops));
	const void **rows = malloc(n * sizeof(*rows));
	struct round round = {
		.distance = &lists->points.l2, .vectors = rows, .count = n, .tops = tops
	};
	int r = points && heaps && tops && rows ? 0 : -ENOMEM;

	for (size_t j = 0; r == 0 && j < n; j++) {
		point_of_question(&lists->points, questions[j], points + j * lists->page.width);
		rows[j] = points + j * lists->page.width;
		tops[j] = (struct top){ .heap = heaps + j * probes, .room = probes };
	}
	if (r == 0)
		r = rank_round(lists, &round);
	for (size_t j = 0; r == 0 && j < n; j++)
		tell_ranks(&tops[j], probes, lists_of + j * probes);
	free(rows);
	free(tops);
	free(heaps);
	free(points);
	return r;
}

/* ---- rows ---- */

/* By its row alone: the index is not asked, as a row of a live slot is what the index names, but for a
 * moment. What has taken its place since is published. */
static bool identify(void *arg, struct comparing *comparing, size_t i, size_t j, uint64_t *id)
{
	const struct walk *walk = arg;
	const struct catalog *catalog = walk->pass->catalog;

	(void)comparing;
	(void)j;
	*id = columns_id(&catalog->columns, walk->slots[i]);
	return *id <= QUIVER_ID_MAX && slots_is_live(&catalog->slots, walk->slots[i]);
}

/* Of a walk with nothing but its pass: `count` of the questions. To be ended also where it fails. */
static int walk_init(struct walk *walk, size_t first, size_t count)
{
	struct pass *pass = walk->pass;
	const struct column *vectors = &pass->catalog->columns.vectors;
	struct round *round = pass->round;
	int r;

	walk->round = (struct round){ .distance = round->distance,
		                      .vectors = round->vectors + first,
		                      .except = round->except ? round->except + first : NULL,
		                      .farthest = round->farthest ? round->farthest + first : NULL,
		                      .count = count,
		                      .in_double = round->in_double,
		                      .tops = round->tops + first };
	walk->comparing = (struct comparing){ .round = &walk->round, .tops = walk->round.tops };
	r = distance_questions_init(&walk->questions, round->distance, walk->round.vectors, count);
	if (r == 0)
		r = comparing_init(&walk->comparing, &walk->questions, &walk->round, false,
		                   identify, walk);
	return r ? r : comparing_guard(&walk->comparing, vectors->map, vectors->reserved_bytes);
}

static void walk_end(struct walk *walk)
{
	comparing_merge(&walk->comparing, walk->pass->round);
	comparing_free(&walk->comparing);
	distance_questions_free(&walk->questions);
}

/* Compare what was gathered: in no epoch section, as in scan.c. */
static void flush(struct walk *walk)
{
	if (walk->count > 0)
		comparing_rows(&walk->comparing, walk->rows, walk->count);
	walk->compared += walk->count;
	walk->count = 0;
}

/* Only of what holds a vector, or its file may end before it. */
static void gather(struct walk *walk, uint64_t slot)
{
	struct catalog *catalog = walk->pass->catalog;

	/* What came since the pass began may lie in what is cut again; it is published, and comes then. */
	if (slot > walk->pass->pinned || !slots_is_live(&catalog->slots, slot))
		return;
	columns_prefetch_vector(&catalog->columns, slot);
	walk->slots[walk->count] = slot;
	walk->rows[walk->count++] = scan_row(catalog, slot);
	if (walk->count == DISTANCE_ROWS_MAX)
		flush(walk);
}

/* ---- the parts of a pass ---- */

/* What is in no list yet. */
static int compare_pending(struct pass *pass)
{
	uint32_t slots[DISTANCE_ROWS_MAX] = { 0 };
	uint64_t from = 0;
	struct walk walk = { .pass = pass };
	size_t n;
	int r;

	if (atomic_load(&pass->lists->cells->pending_count) == 0)
		return 0;
	r = walk_init(&walk, 0, pass->round->count);
	while (r == 0 && (n = cells_next(pass->lists->cells, &from, slots, DISTANCE_ROWS_MAX)) > 0)
		for (size_t i = 0; i < n; i++)
			gather(&walk, slots[i]);
	if (r == 0)
		flush(&walk);
	pass->always = walk.compared;
	walk_end(&walk);
	return r;
}

static int walk_list(struct walk *walk, uint32_t list)
{
	struct pass *pass = walk->pass;
	int64_t n = lists_slots(pass->lists, list, &pass->slots, &pass->room);

	if (n < 0)
		return (int)n;
	fetch_slots(pass->lists, pass->slots, (size_t)n);
	for (int64_t i = 0; i < n; i++)
		gather(walk, pass->slots[i]);
	return 0;
}

static bool has_enough(const struct walk *walk)
{
	return walk->compared + walk->count + walk->pass->always >=
	       (uint64_t)walk->pass->k * ENOUGH;
}

/* One question, and the lists near it. */
static int compare_lists(struct pass *pass, size_t j, const uint32_t *lists_of)
{
	struct walk walk = { .pass = pass };
	int r = walk_init(&walk, j, 1);

	/* On where those had hardly anything. */
	for (uint32_t i = 0; r == 0 && i < pass->ranks && (i < pass->probes || !has_enough(&walk));
	     i++)
		r = walk_list(&walk, lists_of[i]);
	if (r == 0)
		flush(&walk);
	if (r == 0 && !has_enough(&walk))
		r = -EAGAIN;
	walk_end(&walk);
	return r;
}

static int compare_near(struct pass *pass)
{
	uint64_t at_once = RANKS_MAX / pass->ranks + 1;
	uint32_t *lists_of;
	int r = 0;

	if (at_once > points_at_once(&pass->lists->points))
		at_once = points_at_once(&pass->lists->points);
	lists_of = calloc(at_once * pass->ranks, sizeof(*lists_of));
	if (!lists_of)
		return -ENOMEM;
	for (size_t first = 0; r == 0 && first < pass->round->count; first += at_once) {
		size_t left = pass->round->count - first;
		size_t n = left < at_once ? left : at_once;

		r = search_rank(pass->lists, pass->round->vectors + first, n, pass->ranks,
		                lists_of);
		for (size_t j = 0; r == 0 && j < n; j++)
			r = pass->stopped()
			            ? -EINTR
			            : compare_lists(pass, first + j, lists_of + j * pass->ranks);
	}
	free(lists_of);
	return r;
}

/* In an epoch section, as in scan.c: false where one of them is gone. */
static bool compare_published(struct walk *walk, const uint32_t *slots, int64_t count)
{
	struct catalog *catalog = walk->pass->catalog;
	bool all = true;

	for (int64_t i = 0; i < count; i++) {
		if (!slots_is_live(&catalog->slots, slots[i])) {
			all = false;
			continue;
		}
		walk->slots[walk->count] = slots[i];
		walk->rows[walk->count++] = scan_row(catalog, slots[i]);
	}
	flush(walk);
	return all;
}

static uint64_t published_count(const struct catalog *catalog)
{
	return atomic_load_explicit(&catalog->published.count, memory_order_acquire);
}

static int catch_up(struct pass *pass)
{
	struct catalog *catalog = pass->catalog;
	uint64_t end = published_count(catalog);
	uint32_t slots[DISTANCE_ROWS_MAX] = { 0 };
	struct walk walk = { .pass = pass };
	int64_t n = 0;
	int r;

	if (pass->told == end)
		return 0;
	r = walk_init(&walk, 0, pass->round->count);
	while (r == 0 && pass->told < end) {
		n = published_take(&catalog->published, &pass->told, slots,
		                   comparing_rows_at_once(&walk.questions));
		r = pass->stopped() ? -EINTR : n < 0 ? (int)n : 0;
		if (r)
			break;
		index_settle(&catalog->index);
		epoch_enter();
		if (!compare_published(&walk, slots, n))
			end = published_count(catalog);
		epoch_leave();
	}
	walk_end(&walk);
	return r;
}

/* ---- the pass ---- */

int search_pass(struct lists *lists, struct round *round, uint32_t k, uint32_t probes,
                bool (*stopped)(void))
{
	struct pass pass = { .lists = lists,
		             .catalog = lists->catalog,
		             .round = round,
		             .k = k,
		             .probes = probes,
		             .stopped = stopped };
	int r;

	pass.ranks = probes * RANKS_FACTOR + RANKS_MORE;
	if (pass.ranks > lists->page.rows)
		pass.ranks = (uint32_t)lists->page.rows;
	r = sample_pin(pass.catalog, &pass.pinned, &pass.told);

	if (r)
		return r;
	if (pass.pinned == SLOT_NONE)
		return 0; /* nothing is there */
	r = compare_pending(&pass);
	if (r == 0)
		r = compare_near(&pass);
	if (r == 0)
		r = catch_up(&pass);
	sample_unpin(pass.catalog, pass.pinned);
	free(pass.slots);
	return r;
}
