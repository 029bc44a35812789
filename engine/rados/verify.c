#include "engine/rados/verify.h"

#include <errno.h>

#include "engine/base/latency.h"
#include "engine/rados/damage.h"
#include "engine/rados/flight.h"
#include "engine/rados/inspect.h"

void verify_init(struct collection *collection)
{
	(void)pthread_mutex_init(&collection->verifying.lock, NULL); /* never fails on Linux */
	atomic_init(&collection->verifying.stop, false);
}

void verify_destroy(struct collection *collection)
{
	(void)pthread_mutex_destroy(&collection->verifying.lock);
}

static int look_at(void *arg, uint64_t id, const char *fault)
{
	struct collection *collection = arg;
	struct verifying *verifying = &collection->verifying;
	struct quiver_job_status *status = &verifying->status;

	pthread_mutex_lock(&verifying->lock);
	status->done++;
	if (status->total < status->done)
		status->total = status->done; /* how many there are nobody knows before */
	status->mismatches += fault != NULL;
	pthread_mutex_unlock(&verifying->lock);
	if (fault)
		(void)damage_report(collection, id); /* the job goes on */
	/* Flights that land without a wait do not look. */
	return flight_is_stopped() ? -EINTR : 0;
}

static void *run(void *arg)
{
	struct collection *collection = arg;
	struct verifying *verifying = &collection->verifying;
	struct quiver_job_status *status = &verifying->status;
	const struct inspection inspection = { .collection = collection,
		                               .vector = look_at,
		                               .arg = collection };
	uint64_t begun_ns = clock_monotonic_ns();
	bool stopped;
	int r;

	flight_stop(&verifying->stop);
	r = inspect(&inspection);
	stopped = r == -EINTR && atomic_load(&verifying->stop);
	pthread_mutex_lock(&verifying->lock);
	if (r == 0 && status->mismatches > 0)
		r = -EIO;
	if (r == 0)
		status->total = status->done;
	status->result = stopped ? 0 : r;
	status->stopped = stopped;
	status->duration_ns = (int64_t)(clock_monotonic_ns() - begun_ns);
	status->ever_ran = true;
	status->running = false;
	pthread_mutex_unlock(&verifying->lock);
	return NULL;
}

int verify_start(struct quiver *store, enum quiver_job kind)
{
	struct collection *collection = collection_of(store);
	struct verifying *verifying = &collection->verifying;
	int64_t count = atomic_load(&collection->count);
	int r = 0;

	if (kind != QUIVER_VERIFY)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&verifying->lock);
	if (verifying->is_closed || verifying->status.running) {
		r = -EBUSY;
	} else {
		if (verifying->is_joinable)
			(void)pthread_join(verifying->thread,
			                   NULL); /* it has ended but for returning */
		atomic_store(&verifying->stop, false);
		verifying->status = (struct quiver_job_status){
			.running = true,
			.total = count > 0 ? (uint64_t)count : 0,
			.started_ns = clock_realtime_ns(),
		};
		r = -pthread_create(&verifying->thread, NULL, run, collection);
		verifying->is_joinable = r == 0;
		verifying->status.running = r == 0;
	}
	pthread_mutex_unlock(&verifying->lock);
	return r;
}

int verify_stop(struct quiver *store, enum quiver_job kind)
{
	struct verifying *verifying = &collection_of(store)->verifying;

	if (kind != QUIVER_VERIFY)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&verifying->lock);
	if (verifying->status.running)
		atomic_store(&verifying->stop, true);
	pthread_mutex_unlock(&verifying->lock);
	return 0;
}

void verify_status(struct quiver *store, enum quiver_job kind, struct quiver_job_status *status)
{
	struct verifying *verifying = &collection_of(store)->verifying;

	*status = (struct quiver_job_status){ 0 };
	if (kind != QUIVER_VERIFY)
		return;
	pthread_mutex_lock(&verifying->lock);
	*status = verifying->status;
	pthread_mutex_unlock(&verifying->lock);
	if (status->running)
		status->duration_ns = clock_realtime_ns() - status->started_ns;
}

void verify_end(struct collection *collection)
{
	struct verifying *verifying = &collection->verifying;
	bool is_joinable;

	pthread_mutex_lock(&verifying->lock);
	atomic_store(&verifying->stop, true);
	is_joinable = verifying->is_joinable;
	verifying->is_joinable = false;
	verifying->is_closed = true;
	pthread_mutex_unlock(&verifying->lock);
	if (is_joinable)
		(void)pthread_join(verifying->thread, NULL); /* it is joinable */
}
