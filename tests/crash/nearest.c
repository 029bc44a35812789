/* Questions are compared with what the store gives by ID. */
#include "nearest.h"

#include <errno.h>
#include <stdio.h>

#include "chance.h"
#include "tests/common/nearest_oracle.h"

#define QUESTIONS 3
#define K_MAX 100u

/* All vectors that there are. */
static int gather(struct quiver *store, const uint64_t *ids, size_t count, struct nearest_set *set)
{
	const struct quiver_geometry *geometry = quiver_geometry(store);

	*set = (struct nearest_set){ .dtype = geometry->dtype,
		                     .dim = geometry->dim,
		                     .n = geometry->vector_bytes,
		                     .ids = malloc(count * sizeof(*set->ids) + 1),
		                     .vectors = malloc(count * geometry->vector_bytes + 1) };
	if (!set->ids || !set->vectors)
		abort();
	for (size_t i = 0; i < count; i++) {
		int r = quiver_get_copy(store, ids[i], set->vectors + set->count * set->n, NULL,
		                        NULL);

		if (r == -ENOENT)
			continue;
		if (r)
			return r;
		set->ids[set->count++] = ids[i];
	}
	return 0;
}

static void make_vector(const struct nearest_set *set, struct chance *chance, uint8_t *to)
{
	if (set->count > 0 && chance_percent(chance, 70)) {
		memcpy(to, nearest_vector(set, chance_below(chance, set->count)), set->n);
		return;
	}
	for (uint32_t i = 0; i < set->n; i++)
		to[i] = (uint8_t)chance_next(chance);
}

/* Why the answer to one question is wrong, or NULL. */
static const char *judge(const struct nearest_set *set, const struct quiver_question *question,
                         const struct quiver_neighbour *answers, uint32_t found)
{
	struct oracle_distance *truth = calloc(set->count + 1, sizeof(*truth));
	bool *meant = malloc(set->count + 1);
	struct nearest_case c = { .set = set,
		                  .question = question,
		                  .metric = question->metric,
		                  .meant = meant,
		                  .truth = truth };
	const char *why;

	if (!truth || !meant)
		abort();
	oracle_filter(set, question, meant);
	oracle_measure(&c);
	why = oracle_judge(&c, answers, found, !(question->flags & QUIVER_NEAREST_EXACT));
	free(truth);
	free(meant);
	return why;
}

/* The same of one that is still to be asked. */
static const char *ask(struct quiver *store, const struct nearest_set *set, uint8_t *vector,
                       struct chance *chance)
{
	struct quiver_neighbour answers[K_MAX];
	struct quiver_question question = { .size = sizeof(question),
		                            .vectors = vector,
		                            .count = 1,
		                            .k = 1 + (uint32_t)chance_below(chance, K_MAX) };
	struct quiver_description description;
	struct oracle_distance self;
	uint32_t found = 0;
	int r;

	/* An index is of the store's metric. */
	quiver_describe(store, &description);
	question.metric = chance_percent(chance, 70) ? (int)description.metric
	                                             : (int)chance_below(chance, QUIVER_HAMMING);
	if (chance_percent(chance, 40))
		question.flags = QUIVER_NEAREST_EXACT;
	make_vector(set, chance, vector);
	self = oracle_distance(set, question.metric, vector, vector);
	if (isinf(self.slack))
		return NULL; /* whether it has distances depends on how they are added up */
	r = quiver_nearest(store, &question, answers, &found);
	if (isnan(self.distance))
		return r == -EINVAL ? NULL : "a question without distances is answered";
	if (r)
		return strerror(-r);
	return judge(set, &question, answers, found);
}

int nearest_look(struct quiver *store, const uint64_t *ids, size_t count, uint64_t seed, char *why,
                 size_t room)
{
	struct chance chance = chance_of(seed, 0);
	struct nearest_set set;
	const char *wrong = NULL;
	uint8_t *vector;
	int r = gather(store, ids, count, &set);

	if (r)
		wrong = strerror(-r);
	vector = malloc(set.n);
	if (!vector)
		abort();
	for (int i = 0; !wrong && i < QUESTIONS; i++)
		wrong = ask(store, &set, vector, &chance);
	if (wrong)
		(void)snprintf(why, room, "the nearest: %s", wrong);
	free(vector);
	free(set.ids);
	free(set.vectors);
	return wrong ? -1 : 0;
}
