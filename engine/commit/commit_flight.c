#include "engine/commit/commit_flight.h"

#include <assert.h>

void commit_flights_init(struct commit_flights *flights)
{
	flights->first = NULL;
	flights->last = &flights->first;
	flights->ops = 0;
	flights->settling = 0;
	pthread_cond_init(&flights->landed, NULL);
}

void commit_flights_destroy(struct commit_flights *flights)
{
	assert(!flights->first);
	pthread_cond_destroy(&flights->landed);
}

/* Of a batch each ID would have to be compared. */
static bool clashes(const struct commit_request *a, const struct commit_request *b)
{
	return (a->count > 1 && !a->each) || (b->count > 1 && !b->each) ||
	       commit_requests_clash(a, b);
}

bool commit_flights_hinder(const struct commit_flights *flights,
                           struct commit_request *const *group, size_t count)
{
	/* While somebody commits all the time it would never be his turn. */
	if (flights->settling > 0)
		return true;
	for (const struct commit_flight *flight = flights->first; flight; flight = flight->next)
		for (size_t i = 0; i < flight->count; i++)
			for (size_t k = 0; k < count; k++)
				if (clashes(flight->group[i], group[k]))
					return true;
	return false;
}

void commit_flights_add(struct commit_flights *flights, struct commit_flight *flight)
{
	flight->landed = false;
	flight->next = NULL;
	*flights->last = flight;
	flights->last = &flight->next;
	flights->ops += flight->plan.count;
}

void commit_flights_land(struct commit_flights *flights, int result)
{
	struct commit_flight *flight = flights->first;

	flights->first = flight->next;
	if (!flights->first)
		flights->last = &flights->first;
	flights->ops -= flight->plan.count;
	flight->result = result;
	flight->landed = true;
}
