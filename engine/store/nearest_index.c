/* quiver_nearest_index_*: the index of nearest neighbours of a store in a local folder. */
#include <errno.h>
#include <string.h>

#include "engine/base/sized.h"
#include "engine/lists/search.h"
#include "engine/store/elsewhere.h"
#include "engine/store/store.h"

void nearest_index_init(struct quiver *store)
{
	struct nearest_index *index = &store->nearest_index;

	upkeep_init(&index->upkeep, &store->catalog, store->io, &store->commits.lsn);
	pthread_mutex_init(&index->control_lock, NULL);
	nearest_thread_init(&index->thread);
}

void nearest_index_destroy(struct quiver *store)
{
	struct nearest_index *index = &store->nearest_index;

	upkeep_destroy(&index->upkeep);
	nearest_thread_destroy(&index->thread);
	pthread_mutex_destroy(&index->control_lock);
}

void nearest_index_open(struct quiver *store)
{
	struct nearest_index *index = &store->nearest_index;
	int r = 0;

	upkeep_open(&index->upkeep, store->dir_fd, !store->health.read_only);
	upkeep_look(&index->upkeep, store->description.metric);
	if (!store->health.read_only && upkeep_has_files(&index->upkeep))
		r = nearest_thread_start(store);
	if (r)
		report_add(&store->health.report,
		           "nearest: the index has no thread: %s; all vectors are compared",
		           quiver_strerror(r));
}

void nearest_index_end(struct quiver *store)
{
	upkeep_end(&store->nearest_index.upkeep);
	nearest_thread_stop(store);
}

void nearest_index_save(struct quiver *store)
{
	if (health_writable(&store->health) == 0)
		upkeep_save(&store->nearest_index.upkeep);
}

/* ---- questions ---- */

struct asking {
	struct quiver *store;
	const struct source *exact;
	struct lists *lists;
	uint32_t k;
	uint32_t probes;
};

static int pass(void *arg, struct round *round, const uint64_t *ids, size_t id_count)
{
	struct asking *asking = arg;
	int r;

	/* There is no second pass. */
	round->in_double = true;
	r = search_pass(asking->lists, round, asking->k, asking->probes, elsewhere_is_interrupted);

	if (r != -EAGAIN && r != -EOVERFLOW)
		return r;
	for (size_t j = 0; j < round->count; j++)
		round->tops[j].count = 0;
	return asking->exact->pass(asking->exact->arg, round, ids, id_count);
}

static int copy(void *arg, const uint64_t *ids, size_t count, void *to, int *results)
{
	const struct asking *asking = arg;

	return asking->exact->copy(asking->exact->arg, ids, count, to, results);
}

/* Whether all found as many as they asked for. With a bound on the distance there may be fewer. */
static bool has_all(const struct quiver_question *question, const uint32_t *found)
{
	if (question->flags & QUIVER_NEAREST_WITHIN)
		return true;
	for (size_t j = 0; j < question->count; j++)
		if (found[j] < question->k)
			return false;
	return true;
}

int nearest_index_ask(struct quiver *store, const struct source *exact,
                      const struct distance *distance, const struct quiver_question *question,
                      struct quiver_neighbour *answers, uint32_t *found)
{
	struct asking asking = { .store = store, .exact = exact, .k = question->k };
	const struct source source = { .arg = &asking,
		                       .pass = pass,
		                       .copy = copy,
		                       .questions_max = exact->questions_max,
		                       .is_approximate = true };
	int r = 0;

	if (!(question->flags & QUIVER_NEAREST_EXACT) && !question->ids)
		asking.lists = upkeep_take(&store->nearest_index.upkeep, distance->metric);
	if (asking.lists)
		asking.probes = search_probes(asking.lists, question->k, question->count);
	if (asking.probes > 0)
		r = ask(&source, distance, question, answers, found);
	if (asking.lists)
		upkeep_give(asking.lists);
	if (r || (asking.probes > 0 && has_all(question, found)))
		return r;
	return ask(exact, distance, question, answers, found);
}

/* ---- the calls ---- */

/* NULL of another kind of store. */
static struct nearest_index *index_of(struct quiver *store)
{
	return ((const struct quiver_head *)store)->kind ? NULL : &store->nearest_index;
}

int quiver_nearest_index_start(struct quiver *store)
{
	struct nearest_index *index = index_of(store);
	int r;

	if (!index)
		return -EOPNOTSUPP;
	if (health_writable(&store->health) != 0)
		return -EROFS;
	if (catalog_count(&store->catalog) < NEAREST_INDEX_LEAST)
		return -ENODATA;
	pthread_mutex_lock(&index->control_lock);
	r = upkeep_want(&index->upkeep);
	if (r == 0) {
		r = nearest_thread_start(store);
		if (r)
			upkeep_resume(&index->upkeep);
	}
	pthread_mutex_unlock(&index->control_lock);
	return r;
}

int quiver_nearest_index_stop(struct quiver *store)
{
	struct nearest_index *index = index_of(store);

	if (!index)
		return -EOPNOTSUPP;
	upkeep_stop(&index->upkeep);
	return 0;
}

int quiver_nearest_index_off(struct quiver *store)
{
	struct nearest_index *index = index_of(store);
	int r;

	if (!index)
		return -EOPNOTSUPP;
	if (health_writable(&store->health) != 0)
		return -EROFS;
	pthread_mutex_lock(&index->control_lock);
	nearest_index_end(store);
	r = upkeep_off(&index->upkeep);
	upkeep_resume(&index->upkeep);
	pthread_mutex_unlock(&index->control_lock);
	return r;
}

void quiver_nearest_status(struct quiver *store, struct quiver_nearest_status *status)
{
	struct quiver_nearest_status all = { .size = status->size };
	struct nearest_index *index = index_of(store);

	if (index)
		upkeep_status(&index->upkeep, &all);
	sized_give(status, status->size, &all, sizeof(all));
}
