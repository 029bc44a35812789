#include "engine/nearest/nearest.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Rounds in one pass, and what their heaps may have in all: each thread has as many of its own. */
#define ROUNDS_MAX 256u
#define KEPT_MAX (UINT64_C(4) << 20)

/* Who asks so many is answered as soon as can be. */
#define FEW_QUESTIONS 16u

/* Of a thread that waits for its round. */
struct waiting_round {
	struct waiting_round *next; /* lock */
	struct round *round;
	bool taken; /* lock; it is in a pass */
	bool done; /* lock */
	bool given_up; /* lock; its thread only waits for the pass to end */
	int result; /* lock */
};

/* What one pass is for. */
struct group {
	struct nearest *nearest;
	struct waiting_round *rounds[ROUNDS_MAX];
	size_t count;
	size_t questions;
	uint64_t kept;
	struct waiting_round *own; /* of the thread that leads */
	bool (*stopped)(void); /* that thread's */
};

void nearest_init(struct nearest *nearest, struct catalog *catalog, const struct quiver_io *io)
{
	pthread_condattr_t attr;

	scanner_init(&nearest->scanner, catalog, io);
	pthread_mutex_init(&nearest->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&nearest->ended, &attr);
	pthread_condattr_destroy(&attr);
}

void nearest_destroy(struct nearest *nearest)
{
	scanner_destroy(&nearest->scanner);
	pthread_cond_destroy(&nearest->ended);
	pthread_mutex_destroy(&nearest->lock);
}

static uint64_t kept_by(const struct round *round)
{
	uint64_t kept = 0;

	for (size_t j = 0; j < round->count; j++)
		kept += round->tops[j].room;
	return kept;
}

/* ---- who waits ---- */

static void enqueue(struct nearest *nearest, struct waiting_round *waiting)
{
	if (nearest->last)
		nearest->last->next = waiting;
	else
		nearest->first = waiting;
	nearest->last = waiting;
}

/* Take out the one behind `before`, or the first. */
static struct waiting_round *dequeue(struct nearest *nearest, struct waiting_round *before)
{
	struct waiting_round *waiting = before ? before->next : nearest->first;

	if (before)
		before->next = waiting->next;
	else
		nearest->first = waiting->next;
	if (nearest->last == waiting)
		nearest->last = before;
	waiting->next = NULL;
	return waiting;
}

static void withdraw(struct nearest *nearest, struct waiting_round *waiting)
{
	struct waiting_round *before = NULL;

	for (struct waiting_round *w = nearest->first; w != waiting; w = w->next)
		before = w;
	(void)dequeue(nearest, before);
}

/* Whether it can be in the same pass: of the metric and precision of those that are, as there is room. */
static bool fits(const struct group *group, const struct round *round, uint64_t kept)
{
	const struct round *first = group->count > 0 ? group->rounds[0]->round : round;

	return group->count < ROUNDS_MAX && round->distance->metric == first->distance->metric &&
	       round->in_double == first->in_double &&
	       group->questions + round->count <= DISTANCE_QUESTIONS_MAX &&
	       (group->count == 0 || group->kept + kept <= KEPT_MAX);
}

/* Take those out that fit, of at most `most` questions each, while the group has less than `until`. */
static void take(struct nearest *nearest, struct group *group, size_t most, size_t until)
{
	struct waiting_round *before = NULL;
	struct waiting_round *waiting = nearest->first;

	while (waiting) {
		struct waiting_round *next = waiting->next;
		uint64_t kept = kept_by(waiting->round);

		if (waiting->round->count > most || group->questions >= until ||
		    !fits(group, waiting->round, kept)) {
			before = waiting;
		} else {
			(void)dequeue(nearest, before);
			waiting->taken = true;
			group->rounds[group->count++] = waiting;
			group->questions += waiting->round->count;
			group->kept += kept;
		}
		waiting = next;
	}
}

/* Those that go together. Who has few questions waits for one pass at most that is not his: he goes before
 * those with many, who have room in each pass. */
static void take_group(struct nearest *nearest, struct group *group)
{
	take(nearest, group, FEW_QUESTIONS, DISTANCE_QUESTIONS_MAX - NEAREST_ROUND_MAX);
	take(nearest, group, DISTANCE_QUESTIONS_MAX, DISTANCE_QUESTIONS_MAX);
}

/* ---- one pass ---- */

/* Whether nobody wants what the pass is for. By the leading thread. */
static bool group_stopped(void *arg)
{
	struct group *group = arg;
	bool all = true;

	pthread_mutex_lock(&group->nearest->lock);
	if (group->own && group->stopped && group->stopped())
		group->own->given_up = true;
	for (size_t i = 0; all && i < group->count; i++)
		all = group->rounds[i]->given_up;
	pthread_mutex_unlock(&group->nearest->lock);
	return all;
}

/* All rounds as one. */
struct merged {
	struct round round;
	const void *vectors[DISTANCE_QUESTIONS_MAX];
	uint64_t except[DISTANCE_QUESTIONS_MAX];
	float farthest[DISTANCE_QUESTIONS_MAX];
	struct top tops[DISTANCE_QUESTIONS_MAX];
};

static void merge(struct merged *merged, const struct group *group)
{
	size_t n = 0;

	assert(group->count > 0 && group->rounds[0]);
	for (size_t i = 0; i < group->count; i++) {
		const struct round *round = group->rounds[i]->round;

		for (size_t j = 0; j < round->count; j++, n++) {
			merged->vectors[n] = round->vectors[j];
			merged->except[n] = round->except ? round->except[j] : QUIVER_ID_NONE;
			merged->farthest[n] = round->farthest ? round->farthest[j] : INFINITY;
			merged->tops[n] = round->tops[j];
		}
	}
	merged->round = (struct round){ .distance = group->rounds[0]->round->distance,
		                        .vectors = merged->vectors,
		                        .except = merged->except,
		                        .farthest = merged->farthest,
		                        .in_double = group->rounds[0]->round->in_double,
		                        .count = n,
		                        .tops = merged->tops };
}

static void part(const struct merged *merged, const struct group *group)
{
	size_t n = 0;

	for (size_t i = 0; i < group->count; i++) {
		struct round *round = group->rounds[i]->round;

		for (size_t j = 0; j < round->count; j++, n++)
			round->tops[j].count = merged->tops[n].count;
		round->norm_max = merged->round.norm_max;
	}
}

static int run_group(struct group *group)
{
	struct scanner *scanner = &group->nearest->scanner;
	struct merged *merged;
	int r;

	if (group->count == 1)
		return scanner_pass(scanner, group->rounds[0]->round, group_stopped, group);
	merged = malloc(sizeof(*merged));
	if (!merged)
		return -ENOMEM;
	merge(merged, group);
	r = scanner_pass(scanner, &merged->round, group_stopped, group);
	if (r == 0)
		part(merged, group);
	free(merged);
	return r;
}

/* Lead a pass for those who wait, which may be others than the caller. Lock held, not busy. */
static void lead(struct nearest *nearest, struct waiting_round *own, bool (*stopped)(void))
{
	struct group group = { .nearest = nearest, .stopped = stopped };
	int r;

	take_group(nearest, &group);
	group.own = own->taken ? own : NULL;
	nearest->busy = true;
	pthread_mutex_unlock(&nearest->lock);
	r = run_group(&group);
	pthread_mutex_lock(&nearest->lock);
	nearest->busy = false;
	for (size_t i = 0; i < group.count; i++) {
		group.rounds[i]->result = r;
		group.rounds[i]->done = true;
	}
	pthread_cond_broadcast(&nearest->ended);
}

static void wait_a_moment(struct nearest *nearest)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += POOL_LOOK_MS * 1000000L;
	if (at.tv_nsec >= 1000000000L) {
		at.tv_nsec -= 1000000000L;
		at.tv_sec++;
	}
	(void)pthread_cond_timedwait(&nearest->ended, &nearest->lock, &at);
}

int nearest_pass(struct nearest *nearest, struct round *round, bool (*stopped)(void))
{
	struct waiting_round own = { .round = round };
	int r;

	pthread_mutex_lock(&nearest->lock);
	enqueue(nearest, &own);
	while (!own.done) {
		if (!nearest->busy && !own.taken) {
			lead(nearest, &own, stopped);
			continue;
		}
		wait_a_moment(nearest);
		if (own.done || !stopped())
			continue;
		own.given_up = true;
		if (own.taken)
			continue;
		withdraw(nearest, &own);
		own.result = -EINTR;
		own.done = true;
	}
	/* Others of its pass may have wanted it on. */
	r = own.given_up ? -EINTR : own.result;
	pthread_mutex_unlock(&nearest->lock);
	return r;
}
