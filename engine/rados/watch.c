#include "engine/rados/watch.h"

#include <errno.h>
#include <string.h>

#include "engine/base/latency.h"
#include "engine/rados/failure.h"
#include "engine/rados/flight.h"
#include "engine/rados/header_read.h"

/* Who removes a collection notifies before it does so: until then its header proves nothing, and
 * is asked. */
#define AFTER_NOTIFY_NS (UINT64_C(5) * 1000000000)
/* Between two attempts where the cluster does not answer. */
#define RETRY_NS (UINT64_C(2) * 1000000000)
#define STOP_WAIT_MS 2000u

/* Somebody may have removed it. `wait_ns`: until the header tells. Any thread. */
static void doubt(struct collection *collection, uint64_t wait_ns)
{
	struct watch *watch = &collection->watch;
	enum watch_state held = WATCH_HOLDS;

	atomic_store(&watch->renew_ns, clock_monotonic_ns() + wait_ns);
	(void)atomic_compare_exchange_strong(&watch->state, &held, WATCH_DOUBTED);
	collection_wake(collection);
}

/* ---- called by threads of librados ---- */

static void on_notify(void *arg, uint64_t notify_id, uint64_t handle, uint64_t notifier_id,
                      void *data, size_t data_bytes)
{
	struct collection *collection = arg;

	(void)notifier_id, (void)data, (void)data_bytes;
	doubt(collection, AFTER_NOTIFY_NS);
	/* Where it is lost, who has notified waits as long as it has said. */
	(void)rados_notify_ack(io_of(collection), collection->header_name, notify_id, handle, NULL,
	                       0);
}

static void on_error(void *arg, uint64_t cookie, int r)
{
	struct collection *collection = arg;

	(void)cookie, (void)r;
	doubt(collection, 0);
}

/* ---- the watch itself ---- */

/*
 * The cookie is the address of what librados keeps of the watch. It frees that by itself where the
 * watch has not come about, and where the pool is removed: from then on the cookie must not be used.
 * So of a watch that nobody has waited for to the end nothing is known, and it stays until librados
 * is shut down.
 */

/* `timeout_ms` as of flight_wait. 0, -EPERM, errors of a flight. */
static int begin(struct collection *collection, unsigned timeout_ms)
{
	struct watch *watch = &collection->watch;
	struct flight *flight = flight_to_write();
	rados_completion_t completion;
	int r = flight ? flight_ready(io_of(collection), flight, &completion) : -ENOMEM;

	if (r == 0) {
		r = rados_aio_watch(io_of(collection), collection->header_name, completion,
		                    &watch->cookie, on_notify, on_error, collection);
		if (r == 0)
			r = flight_wait(flight, timeout_ms);
		else
			flight_grounded(flight);
	}
	watch->is_watching = r == 0;
	if (r == -EPERM || r == -EACCES)
		watch->is_refused = true;
	flight_free(flight);
	return r;
}

/* Of a removed pool nobody tells the watch; but what says that an object is not there because of
 * that has told librados before. */
static bool has_pool(const struct collection *collection)
{
	char name[POOL_BYTES_MAX + 1];

	return rados_pool_reverse_lookup(collection->connection.cluster,
	                                 rados_ioctx_get_id(io_of(collection)), name,
	                                 sizeof(name)) != -ENOENT;
}

/* Also of one that has broken. */
static void end(struct collection *collection)
{
	struct watch *watch = &collection->watch;
	struct flight *flight;
	rados_completion_t completion;
	int r;

	if (!watch->is_watching)
		return;
	watch->is_watching = false;
	if (!has_pool(collection))
		return;
	flight = flight_to_write();
	r = flight ? flight_ready(io_of(collection), flight, &completion) : -ENOMEM;
	if (r == 0) {
		/* The cluster forgets it by itself where this does not come to it. */
		if (rados_aio_unwatch(io_of(collection), watch->cookie, completion) == 0)
			(void)flight_wait(flight, STOP_WAIT_MS);
		else
			flight_grounded(flight);
	}
	flight_free(flight);
}

void watch_start(struct collection *collection)
{
	int r = begin(collection, collection->connection.op_timeout_s * 1000);
	enum watch_state held = r == 0 ? WATCH_HOLDS : WATCH_DOUBTED;

	atomic_store(&collection->watch.state, held);
}

void watch_stop(struct collection *collection)
{
	end(collection);
}

/* ---- is it there ---- */

static int gone(struct collection *collection)
{
	atomic_store(&collection->watch.state, WATCH_GONE);
	return -ENOENT;
}

/* 0; -ENOENT it is gone; errors of a flight. */
static int ask(struct collection *collection)
{
	struct found_header found;
	int r = header_fetch(io_of(collection), collection->header_name, &found);

	if (r == -ENOENT)
		return gone(collection);
	/* What is damaged there now was found whole when it was opened, so it is there. */
	if (r == -EUCLEAN || r == -EINVAL || r == -ENOTSUP)
		return 0;
	if (r == 0 && memcmp(found.header.geometry.uuid, collection->geometry.uuid,
	                     sizeof(collection->geometry.uuid)) != 0)
		return gone(collection); /* another one has its name */
	return r;
}

/* What may be answered by what is known: 0, -EIO (reported), or 1: the header has to be asked. */
static int known(struct collection *collection)
{
	switch (atomic_load(&collection->watch.state)) {
	case WATCH_HOLDS:
		return 0;
	case WATCH_GONE:
		return failure_of(collection, -ENOENT, false, "%s",
		                  collection->connection.target.name);
	case WATCH_FENCED:
		return failure_of(collection, -ESHUTDOWN, false, "%s",
		                  collection->connection.target.name);
	default:
		return 1;
	}
}

static int ask_and_say(struct collection *collection)
{
	int r = ask(collection);

	if (r != 0)
		return failure_of(collection, r, false, "%s: its header was asked for",
		                  collection->connection.target.name);
	return 0;
}

int watch_refuse(struct collection *collection)
{
	int r = known(collection);

	return r == 1 ? 0 : r;
}

int watch_permit(struct collection *collection)
{
	int r = known(collection);

	return r == 1 ? ask_and_say(collection) : r;
}

int watch_confirm(struct collection *collection)
{
	int r = known(collection);

	if (r == 0 && !has_pool(collection))
		r = 1;
	return r == 1 ? ask_and_say(collection) : r;
}

/* ---- for the keeper ---- */

uint64_t watch_keep(struct collection *collection)
{
	struct watch *watch = &collection->watch;
	enum watch_state doubted = WATCH_DOUBTED;
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t renew_ns = atomic_load(&watch->renew_ns);
	int r;

	if (atomic_load(&watch->state) != WATCH_DOUBTED || watch->is_refused)
		return 0;
	if (now_ns < renew_ns)
		return renew_ns;
	end(collection);
	r = begin(collection, 0);
	if (r == 0)
		r = ask(collection); /* from here on the watch tells */
	if (r == -EINTR || r == -ENOENT || watch->is_refused)
		return 0;
	/* Unless it has been doubted again meanwhile. */
	if (r == 0 && atomic_load(&watch->renew_ns) == renew_ns &&
	    atomic_compare_exchange_strong(&watch->state, &doubted, WATCH_HOLDS))
		return 0;
	return clock_monotonic_ns() + RETRY_NS;
}
