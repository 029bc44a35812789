#include "engine/nearest/ask.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Kept beside those that are asked for: they are near enough for single precision to mistake their order,
 * or take the place of one that is gone when it is proven. */
#define SPARE_LEAST 16u
#define SPARE_SHARE 8u /* one in so many */
/* Where that does not do even in double, since they were changed meanwhile, so many times as many are kept
 * in the next pass. */
#define MORE 8u
/* What the heaps of one pass may take on each processor. */
#define HEAP_BYTES_MAX (UINT64_C(64) << 20)

/* One call. */
struct asking {
	const struct source *source;
	const struct distance *distance;
	const struct quiver_question *question;
	uint64_t *ids; /* malloc'd: those of the question, ascending, each once; NULL: all */
	size_t id_count;
	uint8_t *copies; /* malloc'd: ASK_COPIES vectors that are being proven */
	uint32_t *open; /* malloc'd: questions without an answer yet */
	size_t open_count;
	bool in_double; /* the passes */
	struct quiver_neighbour *answers;
	uint32_t *found;
};

static const void *vector_of(const struct asking *asking, size_t j)
{
	return (const uint8_t *)asking->question->vectors + j * asking->distance->vector_bytes;
}

static int compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int take_ids(struct asking *asking)
{
	const struct quiver_question *question = asking->question;

	if (!question->ids)
		return 0;
	asking->ids = malloc(question->id_count * sizeof(uint64_t) + 1);
	if (!asking->ids)
		return -ENOMEM;
	if (question->id_count > 0)
		memcpy(asking->ids, question->ids, question->id_count * sizeof(uint64_t));
	qsort(asking->ids, question->id_count, sizeof(uint64_t), compare_ids);
	for (size_t i = 0; i < question->id_count; i++)
		if (asking->id_count == 0 || asking->ids[asking->id_count - 1] != asking->ids[i])
			asking->ids[asking->id_count++] = asking->ids[i];
	return 0;
}

/* ---- proving ---- */

/* The same candidate twice: its versions were at different scores. */
static uint32_t keep_each_once(struct candidate *candidates, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++)
		if (kept == 0 || candidates[kept - 1].id != candidates[i].id)
			candidates[kept++] = candidates[i];
	return kept;
}

static int compare_by_id(const void *a, const void *b)
{
	return compare_ids(&((const struct candidate *)a)->id, &((const struct candidate *)b)->id);
}

/* What `count` candidates from `first` on are now: of those that are none the score is a NaN. */
static int measure_some(struct asking *asking, const void *question, struct candidate *candidates,
                        size_t count)
{
	uint64_t ids[ASK_COPIES];
	int results[ASK_COPIES];
	int r;

	for (size_t i = 0; i < count; i++)
		ids[i] = candidates[i].id;
	r = asking->source->copy(asking->source->arg, ids, count, asking->copies, results);
	for (size_t i = 0; r == 0 && i < count; i++) {
		const uint8_t *copy = asking->copies + i * asking->distance->vector_bytes;

		candidates[i].score =
			results[i] == 0 ? distance_score(asking->distance, question, copy) : NAN;
	}
	return r;
}

/* What all candidates of a question are now. */
static int measure(struct asking *asking, const void *question, struct top *top)
{
	uint32_t proven = 0;
	int r = 0;

	qsort(top->heap, top->count, sizeof(*top->heap), compare_by_id);
	top->count = keep_each_once(top->heap, top->count);
	for (uint32_t i = 0; r == 0 && i < top->count; i += ASK_COPIES)
		r = measure_some(asking, question, top->heap + i,
		                 top->count - i < ASK_COPIES ? top->count - i : ASK_COPIES);
	for (uint32_t i = 0; r == 0 && i < top->count; i++)
		if (!isnan(top->heap[i].score))
			top->heap[proven++] = top->heap[i];
	top->count = proven;
	top_sort(top);
	return r;
}

/* Whether no vector that the pass did not keep can be nearer than the `k` nearest of those proven. All
 * that it did not keep seemed to come after `limit`. */
static bool is_complete(const struct asking *asking, const void *question, const struct top *top,
                        struct candidate limit, float norm_max)
{
	uint32_t k = asking->question->k;
	double error = asking->in_double
	                       ? 0
	                       : distance_error(asking->distance, question, limit.score, norm_max);

	if (top->count < k)
		return false;
	return error > 0 ? top->heap[k - 1].score < limit.score - error
	                 : !candidate_is_after(&top->heap[k - 1], &limit);
}

/* Tell the caller. */
static void answer(struct asking *asking, uint32_t j, const struct top *top)
{
	const struct quiver_question *question = asking->question;
	enum quiver_metric metric = asking->distance->metric;
	struct quiver_neighbour *answers = asking->answers + (size_t)j * question->k;
	double farthest = question->flags & QUIVER_NEAREST_WITHIN
	                          ? distance_to_score(metric, question->within)
	                          : INFINITY;
	uint32_t n = 0;

	while (n < question->k && n < top->count && top->heap[n].score <= farthest) {
		answers[n].id = top->heap[n].id;
		answers[n].distance = distance_of_score(metric, top->heap[n].score);
		n++;
	}
	asking->found[j] = n;
}

/* Prove one question after a pass that kept `kept`; *done where it has its answer. */
static int prove(struct asking *asking, uint32_t j, struct top *top, float norm_max, bool *done)
{
	bool passed_by = top_is_full(top);
	struct candidate limit = { 0 };
	int r;

	if (passed_by)
		limit = top->heap[0];
	r = measure(asking, vector_of(asking, j), top);
	if (r)
		return r;
	*done = !passed_by || asking->source->is_approximate ||
	        is_complete(asking, vector_of(asking, j), top, limit, norm_max);
	if (*done)
		answer(asking, j, top);
	return 0;
}

/* ---- passes ---- */

/* Some of the open questions, compared in one pass. */
struct part {
	struct round round;
	const void *vectors[DISTANCE_QUESTIONS_MAX];
	uint64_t except[DISTANCE_QUESTIONS_MAX];
	float farthest[DISTANCE_QUESTIONS_MAX];
	struct top tops[DISTANCE_QUESTIONS_MAX];
};

/* What the pass need not keep of a question that has a `within`. Of products it is not known by how
 * much single precision is wrong before the vectors are seen. */
static float farthest_of(const struct asking *asking, const void *question)
{
	const struct distance *distance = asking->distance;
	double score = distance_to_score(distance->metric, asking->question->within);

	if (distance->metric == QUIVER_IP)
		return INFINITY;
	score += distance_error(distance, question, score, 0);
	return nextafterf((float)score, INFINITY);
}

static void part_init(struct part *part, const struct asking *asking, size_t first, size_t count,
                      uint32_t kept, struct candidate *heaps)
{
	const uint64_t *except = asking->question->except;
	bool within = asking->question->flags & QUIVER_NEAREST_WITHIN;

	for (size_t i = 0; i < count; i++) {
		uint32_t j = asking->open[first + i];

		part->vectors[i] = vector_of(asking, j);
		part->except[i] = except ? except[j] : QUIVER_ID_NONE;
		part->farthest[i] = within ? farthest_of(asking, part->vectors[i]) : INFINITY;
		part->tops[i] = (struct top){ .heap = heaps + i * kept, .room = kept };
	}
	part->round = (struct round){
		.distance = asking->distance,
		.vectors = part->vectors,
		.except = except ? part->except : NULL,
		.farthest = within ? part->farthest : NULL,
		.in_double = asking->in_double,
		.count = count,
		.tops = part->tops,
	};
}

/* One pass, and proof: the questions that have no answer yet go to asking->open[*left ...]. */
static int pass(struct asking *asking, struct part *part, size_t first, size_t *left)
{
	int r = asking->source->pass(asking->source->arg, &part->round, asking->ids,
	                             asking->id_count);

	for (size_t i = 0; r == 0 && i < part->round.count; i++) {
		uint32_t j = asking->open[first + i];
		bool done = false;

		r = prove(asking, j, &part->tops[i], part->round.norm_max, &done);
		if (r == 0 && !done)
			asking->open[(*left)++] = j;
	}
	return r;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Passes that keep `kept` of each question, until all open ones have been in one. */
static int pass_all(struct asking *asking, uint32_t kept)
{
	uint64_t most = HEAP_BYTES_MAX / (kept * sizeof(struct candidate));
	size_t at_once = least(least(most, asking->source->questions_max), asking->open_count);
	struct candidate *heaps;
	struct part *part = malloc(sizeof(*part));
	size_t left = 0;
	int r = 0;

	if (at_once == 0)
		at_once = 1;
	heaps = malloc(at_once * kept * sizeof(*heaps));
	if (!heaps || !part)
		r = -ENOMEM;
	for (size_t first = 0; r == 0 && first < asking->open_count; first += at_once) {
		size_t n = asking->open_count - first < at_once ? asking->open_count - first
		                                                : at_once;

		part_init(part, asking, first, n, kept, heaps);
		r = pass(asking, part, first, &left);
	}
	asking->open_count = left;
	free(part);
	free(heaps);
	return r;
}

static uint32_t more(uint32_t kept)
{
	return kept > UINT32_MAX / MORE ? UINT32_MAX : kept * MORE;
}

int ask(const struct source *source, const struct distance *distance,
        const struct quiver_question *question, struct quiver_neighbour *answers, uint32_t *found)
{
	struct asking asking = { .source = source,
		                 .distance = distance,
		                 .question = question,
		                 .answers = answers,
		                 .found = found };
	uint32_t kept = question->k + question->k / SPARE_SHARE + SPARE_LEAST;
	int r = take_ids(&asking);

	asking.copies = malloc((size_t)ASK_COPIES * distance->vector_bytes);
	asking.open = calloc(question->count, sizeof(*asking.open));
	if (r == 0 && (!asking.copies || !asking.open))
		r = -ENOMEM;
	for (size_t j = 0; r == 0 && j < question->count; j++)
		asking.open[asking.open_count++] = (uint32_t)j;
	for (; r == 0 && asking.open_count > 0; asking.in_double = true) {
		r = pass_all(&asking, kept);
		if (asking.in_double)
			kept = more(kept);
	}
	free(asking.open);
	free(asking.copies);
	free(asking.ids);
	return r;
}
