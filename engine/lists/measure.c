#include "engine/lists/measure.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "engine/lists/sample.h"
#include "engine/lists/search.h"
#include "engine/nearest/scan.h"

#define QUESTIONS 256u
#define NEIGHBOURS 1000u /* the last of nearest_probes_for */
#define FEW 10u
/* Questions whose time is taken, and how often: the shortest counts, since whoever else uses the
 * processor's caches can only make it longer. */
#define TIMED 32u
#define TIMES 3u
/* What one question is compared with for its time. */
#define TIMED_BYTES (UINT64_C(64) << 20)

struct measuring {
	struct lists *lists;
	struct catalog *catalog;
	struct lists_work *work;
	uint64_t end; /* slots below it are compared; no file is cut there */
	size_t count;
	uint8_t *bytes; /* malloc'd; the questions */
	const void *vectors[QUESTIONS];
	uint64_t except[QUESTIONS];
	struct top tops[QUESTIONS];
	struct candidate *heaps; /* malloc'd */
	uint32_t *lists_of; /* malloc'd; of one question, all of them in order */
	uint32_t *rank_of; /* malloc'd; of each list, for that question */
	uint64_t
		*found; /* malloc'd; of each of nearest_probes_for, how many are in the list of each
	                    rank */
	uint64_t slots[DISTANCE_ROWS_MAX]; /* of the rows that are being compared */
};

static double processor_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* ---- the questions ---- */

static void choose(struct measuring *measuring, uint64_t *random)
{
	const struct distance *distance = &measuring->lists->points.vectors;
	uint32_t slots[QUESTIONS];
	size_t n = sample_slots(measuring->catalog, random, measuring->end, QUESTIONS, slots);

	for (size_t i = 0; i < n; i++) {
		size_t j = measuring->count;
		uint8_t *to = measuring->bytes + j * distance->vector_bytes;

		sample_fetch(measuring->catalog, slots[i], slots[i]);
		if (!sample_read(measuring->catalog, slots[i], to, &measuring->except[j]) ||
		    !distance_has_any(distance, to))
			continue;
		measuring->vectors[j] = to;
		measuring->tops[j] = (struct top){ .heap = measuring->heaps + j * NEIGHBOURS,
			                           .room = NEIGHBOURS };
		measuring->count++;
	}
}

/* ---- their neighbours, as slots ---- */

/* The slot itself, so that its list is known. */
static bool identify(void *arg, struct comparing *comparing, size_t i, size_t j, uint64_t *id)
{
	const struct measuring *measuring = arg;
	uint64_t slot = measuring->slots[i];
	uint64_t whose = columns_id(&measuring->catalog->columns, slot);

	(void)comparing;
	*id = slot;
	return whose <= QUIVER_ID_MAX && whose != measuring->except[j] &&
	       slots_is_live(&measuring->catalog->slots, slot) &&
	       slot < cells_end(measuring->lists->cells);
}

static void compare_slots(struct measuring *measuring, struct comparing *comparing, uint64_t first,
                          uint64_t end)
{
	const void *rows[DISTANCE_ROWS_MAX];
	size_t n = 0;

	for (uint64_t slot = first; slot < end; slot++) {
		if (!slots_is_live(&measuring->catalog->slots, slot))
			continue;
		measuring->slots[n] = slot;
		rows[n++] = scan_row(measuring->catalog, slot);
	}
	if (n > 0)
		comparing_rows(comparing, rows, n);
}

/* Compare slots below `end` with `count` questions; *ms, the time that took without the disk's. */
static int compare_all(struct measuring *measuring, size_t count, uint64_t end, double *ms)
{
	const struct column *vectors = &measuring->catalog->columns.vectors;
	struct round round = { .distance = &measuring->lists->points.vectors,
		               .vectors = measuring->vectors,
		               .count = count,
		               .in_double = true,
		               .tops = measuring->tops };
	struct comparing comparing = { .round = &round, .tops = round.tops };
	struct distance_questions questions = { .prepared = NULL };
	double began;
	int r = distance_questions_init(&questions, round.distance, round.vectors, count);

	if (r == 0)
		r = comparing_init(&comparing, &questions, &round, false, identify, measuring);
	if (r == 0)
		r = comparing_guard(&comparing, vectors->map, vectors->reserved_bytes);
	began = processor_ms();
	for (uint64_t first = 0; r == 0 && first < end; first += DISTANCE_ROWS_MAX) {
		uint64_t last = first + DISTANCE_ROWS_MAX < end ? first + DISTANCE_ROWS_MAX : end;

		if (ms == NULL) {
			sample_fetch(measuring->catalog, first, last - 1);
			atomic_fetch_add(&measuring->work->done, last - first);
		}
		if (atomic_load(&measuring->work->stop))
			r = -EINTR;
		else
			compare_slots(measuring, &comparing, first, last);
	}
	if (ms)
		*ms = processor_ms() - began;
	comparing_free(&comparing);
	distance_questions_free(&questions);
	return r;
}

/* ---- in which lists they are ---- */

/* Of one question: at which rank each neighbour's list comes. One that is in no list is compared always,
 * so it comes first. */
static int find_ranks(struct measuring *measuring, size_t j)
{
	const struct lists *lists = measuring->lists;
	struct top *top = &measuring->tops[j];
	uint32_t count = (uint32_t)lists->page.rows;
	int r = search_rank(lists, &measuring->vectors[j], 1, count, measuring->lists_of);

	for (uint32_t rank = 0; r == 0 && rank < count; rank++)
		measuring->rank_of[measuring->lists_of[rank]] = rank;
	top_sort(top);
	for (uint32_t i = 0; r == 0 && i < top->count; i++) {
		uint32_t cell = cells_of(lists->cells, top->heap[i].id);
		uint32_t rank = cell_is_list(cell) && cell <= count ? measuring->rank_of[cell - 1]
		                                                    : 0;

		for (size_t p = 0; p < NEAREST_PROBES; p++)
			measuring->found[p * count + rank] += i < nearest_probes_for[p];
	}
	return r;
}

static double share(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 1 : (double)part / (double)whole;
}

/* How many probes find as much as is to be found; *recall by then, and *recall_before with `before`. */
static uint32_t probes_of(const uint64_t *found, uint32_t lists, uint32_t before, double *recall,
                          double *recall_before)
{
	uint64_t whole = 0, sum = 0;
	uint32_t probes = 0;

	for (uint32_t i = 0; i < lists; i++)
		whole += found[i];
	*recall = *recall_before = 1;
	for (uint32_t i = 0; i < lists; i++) {
		sum += found[i];
		if (i + 1 == before)
			*recall_before = share(sum, whole);
		if (probes == 0 && share(sum, whole) >= MEASURE_SET) {
			probes = i + 1;
			*recall = share(sum, whole);
		}
	}
	return probes;
}

static int find_probes(struct measuring *measuring, struct measures *measures)
{
	struct lists *lists = measuring->lists;
	uint32_t count = (uint32_t)lists->page.rows;
	int r = 0;

	for (size_t j = 0; r == 0 && j < measuring->count; j++)
		r = atomic_load(&measuring->work->stop) ? -EINTR : find_ranks(measuring, j);
	for (size_t p = NEAREST_PROBES; r == 0 && p-- > 0;)
		/* The fewest neighbours last, as it is them that are told of. */
		measures->probes[p] = probes_of(measuring->found + p * count, count,
		                                atomic_load(&lists->probes[p]), &measures->recall,
		                                &measures->recall_before);
	for (size_t p = 1; r == 0 && p < NEAREST_PROBES; p++)
		if (measures->probes[p] < measures->probes[p - 1])
			measures->probes[p] = measures->probes[p - 1];
	return r;
}

/* ---- how fast ---- */

static void empty_tops(struct measuring *measuring, uint32_t room)
{
	for (size_t j = 0; j < measuring->count; j++) {
		measuring->tops[j].count = 0;
		measuring->tops[j].room = room;
	}
}

static int time_exact(struct measuring *measuring, struct measures *measures)
{
	uint64_t bytes = measuring->lists->points.vectors.vector_bytes;
	uint64_t end;
	double ms;
	int r = 0;

	end = measuring->end;
	if (end > TIMED_BYTES / bytes + DISTANCE_ROWS_MAX)
		end = TIMED_BYTES / bytes + DISTANCE_ROWS_MAX;
	for (unsigned time = 0; r == 0 && time < TIMES; time++) {
		empty_tops(measuring, FEW);
		r = compare_all(measuring, 1, end, &ms);
		if (r == 0 && (time == 0 || ms < measures->exact_ms))
			measures->exact_ms = ms;
	}
	if (r == 0 && end > 0)
		measures->exact_ms *= (double)measuring->end / (double)end;
	return r;
}

static bool goes_on(void)
{
	return false;
}

/* With as many probes as were found to do. */
static int time_index(struct measuring *measuring, struct measures *measures)
{
	struct lists *lists = measuring->lists;
	size_t n = measuring->count < TIMED ? measuring->count : TIMED;
	int r = 0;

	empty_tops(measuring, FEW);
	/* Once before, for what is read from the disk. */
	for (unsigned time = 0; r == 0 && time < 1 + TIMES; time++) {
		double began = processor_ms();
		double ms;

		for (size_t j = 0; r == 0 && j < n; j++) {
			struct round round = { .distance = &lists->points.vectors,
				               .vectors = &measuring->vectors[j],
				               .count = 1,
				               .in_double = true,
				               .tops = &measuring->tops[j] };

			measuring->tops[j].count = 0;
			r = search_pass(lists, &round, FEW, measures->probes[0], goes_on);
		}
		ms = (processor_ms() - began) / (double)n;
		if (time <= 1 || ms < measures->index_ms)
			measures->index_ms = ms;
	}
	/* Then they do not help. */
	if (r == -EAGAIN || r == -EOVERFLOW) {
		measures->index_ms = measures->exact_ms;
		r = 0;
	}
	return r;
}

/* ---- all of it ---- */

static int measuring_init(struct measuring *measuring, struct lists *lists, struct lists_work *work)
{
	size_t count = lists->page.rows;

	measuring->lists = lists;
	measuring->catalog = lists->catalog;
	measuring->work = work;
	measuring->bytes = malloc((size_t)QUESTIONS * lists->points.vectors.vector_bytes);
	measuring->heaps = calloc((size_t)QUESTIONS * NEIGHBOURS, sizeof(*measuring->heaps));
	measuring->lists_of = calloc(count, sizeof(*measuring->lists_of));
	measuring->rank_of = calloc(count, sizeof(*measuring->rank_of));
	measuring->found = calloc(count * NEAREST_PROBES, sizeof(*measuring->found));
	return measuring->bytes && measuring->heaps && measuring->lists_of && measuring->rank_of &&
	                       measuring->found
	               ? 0
	               : -ENOMEM;
}

static void measuring_free(struct measuring *measuring)
{
	free(measuring->found);
	free(measuring->rank_of);
	free(measuring->lists_of);
	free(measuring->heaps);
	free(measuring->bytes);
	free(measuring);
}

int measure(struct lists *lists, uint64_t *random, struct measures *measures,
            struct lists_work *work)
{
	struct measuring *measuring = calloc(1, sizeof(*measuring));
	uint64_t pinned = SLOT_NONE, told;
	int r;

	if (!measuring)
		return -ENOMEM;
	r = measuring_init(measuring, lists, work);
	if (r == 0)
		r = sample_pin(lists->catalog, &pinned, &told);
	if (r == 0 && pinned != SLOT_NONE) {
		measuring->end = pinned + 1;
		choose(measuring, random);
	}
	if (r == 0 && measuring->count == 0)
		r = -ENODATA;
	if (r == 0)
		r = compare_all(measuring, measuring->count, measuring->end, NULL);
	if (r == 0)
		r = find_probes(measuring, measures);
	if (r == 0)
		r = time_exact(measuring, measures);
	if (r == 0)
		r = time_index(measuring, measures);
	sample_unpin(lists->catalog, pinned);
	measuring_free(measuring);
	return r;
}

void measure_set(struct lists *lists, const struct measures *measures)
{
	struct nearest_page *page = &lists->page;

	page->recall = measures->recall;
	page->exact_ms = measures->exact_ms;
	page->index_ms = measures->index_ms;
	for (size_t i = 0; i < NEAREST_PROBES; i++)
		page->probes[i] = measures->probes[i];
	lists_go_by(lists);
}
