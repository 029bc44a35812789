#include "engine/rados/flight.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "engine/base/latency.h"

/* How often who waits looks whether he is to stop: unnoticed by a person, and by the processor. */
#define LOOK_EVERY_NS (UINT64_C(50) * 1000000)

/* Where flights land. It outlives who waits there. */
struct landing {
	pthread_mutex_t lock;
	pthread_cond_t landed;
	struct flight *first; /* lock; those that have landed, oldest first */
	struct flight *last; /* lock */
	struct flight *flying; /* lock; those that have not */
	bool left; /* lock; nobody waits any more */
	_Atomic unsigned holders;
};

struct flights {
	rados_ioctx_t io;
	struct landing *landing;
	unsigned max;
	unsigned flying; /* sent, and not yet taken */
};

static bool (*is_interrupted)(void); /* set once, before all else */
static _Thread_local const _Atomic bool *stop_flag;

void flight_begin(bool (*interrupted)(void))
{
	is_interrupted = interrupted;
}

void flight_stop(const _Atomic bool *stop)
{
	stop_flag = stop;
}

bool flight_is_stopped(void)
{
	return (is_interrupted && is_interrupted()) || (stop_flag && atomic_load(stop_flag));
}

/* ---- the place ---- */

static struct landing *landing_new(void)
{
	struct landing *landing = calloc(1, sizeof(*landing));
	pthread_condattr_t attr;

	if (!landing)
		return NULL;
	/* None of these can fail on Linux with such attributes. */
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&landing->landed, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&landing->lock, NULL);
	atomic_init(&landing->holders, 1);
	return landing;
}

static void landing_drop(struct landing *landing)
{
	if (!landing || atomic_fetch_sub(&landing->holders, 1) > 1)
		return;
	(void)pthread_mutex_destroy(&landing->lock);
	(void)pthread_cond_destroy(&landing->landed);
	free(landing);
}

/* ---- one flight ---- */

static struct flight *flight_new(void)
{
	struct flight *flight = calloc(1, sizeof(*flight));

	if (flight)
		atomic_init(&flight->holders, 1);
	return flight;
}

struct flight *flight_to_read(void)
{
	struct flight *flight = flight_new();

	if (flight)
		flight->read = rados_create_read_op();
	return flight;
}

struct flight *flight_to_write(void)
{
	struct flight *flight = flight_new();

	if (flight)
		flight->write = rados_create_write_op();
	return flight;
}

int flight_room(struct flight *flight, size_t bytes)
{
	flight->bytes = malloc(bytes);
	return flight->bytes ? 0 : -ENOMEM;
}

bool flight_row(struct flight *flight, const char **key, size_t *key_bytes, const char **value,
                size_t *value_bytes)
{
	char *k = NULL;
	char *v = NULL;

	if (flight->rows_result != 0 || !flight->rows ||
	    rados_omap_get_next2(flight->rows, &k, &v, key_bytes, value_bytes) != 0)
		return false;
	*key = k;
	*value = v;
	return k != NULL;
}

static void flight_drop(struct flight *flight)
{
	if (atomic_fetch_sub(&flight->holders, 1) > 1)
		return;
	if (flight->completion)
		rados_aio_release(flight->completion);
	if (flight->rows)
		rados_omap_get_end(flight->rows);
	if (flight->read)
		rados_release_read_op(flight->read);
	if (flight->write)
		rados_release_write_op(flight->write);
	landing_drop(flight->landing);
	free(flight->bytes);
	free(flight);
}

/* The lock held. */
static void take_from_air(struct landing *landing, struct flight *flight)
{
	if (flight->previous)
		flight->previous->next = flight->next;
	else
		landing->flying = flight->next;
	if (flight->next)
		flight->next->previous = flight->previous;
	flight->next = NULL;
	flight->previous = NULL;
}

/* Called by a thread of librados, once for each that was sent. */
static void on_landed(rados_completion_t completion, void *arg)
{
	struct flight *flight = arg;
	struct landing *landing = flight->landing;
	bool left;

	flight->result = rados_aio_get_return_value(completion);
	flight->version = rados_aio_get_version(completion);
	pthread_mutex_lock(&landing->lock);
	left = landing->left;
	if (!left) {
		take_from_air(landing, flight);
		if (landing->last)
			landing->last->next = flight;
		else
			landing->first = flight;
		landing->last = flight;
		pthread_cond_signal(&landing->landed);
	}
	pthread_mutex_unlock(&landing->lock);
	flight_drop(flight);
}

/* It is about to be sent, and will land there. */
static int take_off(rados_ioctx_t io, struct landing *landing, struct flight *flight)
{
	int r = rados_aio_create_completion2(flight, on_landed, &flight->completion);

	if (r != 0)
		return r;
	flight->io = io;
	flight->landing = landing;
	atomic_fetch_add(&landing->holders, 1);
	atomic_fetch_add(&flight->holders, 1); /* librados */
	pthread_mutex_lock(&landing->lock);
	flight->next = landing->flying;
	if (landing->flying)
		landing->flying->previous = flight;
	landing->flying = flight;
	pthread_mutex_unlock(&landing->lock);
	return 0;
}

/* It has not been sent after all: nobody will call on_landed. */
static void stay(struct flight *flight)
{
	pthread_mutex_lock(&flight->landing->lock);
	take_from_air(flight->landing, flight);
	pthread_mutex_unlock(&flight->landing->lock);
	atomic_fetch_sub(&flight->holders, 1); /* not the last: the sender has it */
}

static int operate(struct flight *flight, const char *object)
{
	if (flight->read)
		return rados_aio_read_op_operate(flight->read, flight->io, flight->completion,
		                                 object, 0);
	return rados_aio_write_op_operate(flight->write, flight->io, flight->completion, object,
	                                  NULL, 0);
}

/* The next that has landed. `until_ns` 0: no end. 0, -EINTR, -ETIMEDOUT. */
static int take_landed(struct landing *landing, uint64_t until_ns, struct flight **flight)
{
	int r = 0;

	pthread_mutex_lock(&landing->lock);
	while (r == 0 && !landing->first) {
		uint64_t now_ns = clock_monotonic_ns();
		struct timespec look = clock_timespec(now_ns + LOOK_EVERY_NS);

		if (until_ns != 0 && now_ns >= until_ns) {
			r = -ETIMEDOUT;
		} else if (pthread_cond_timedwait(&landing->landed, &landing->lock, &look) ==
		           ETIMEDOUT) {
			/* The function is somebody else's: not with our lock. */
			pthread_mutex_unlock(&landing->lock);
			r = flight_is_stopped() ? -EINTR : 0;
			pthread_mutex_lock(&landing->lock);
		}
	}
	if (landing->first) {
		r = 0;
		*flight = landing->first;
		landing->first = (*flight)->next;
		if (!landing->first)
			landing->last = NULL;
		(*flight)->next = NULL;
	}
	pthread_mutex_unlock(&landing->lock);
	return r;
}

/* Nobody waits there any more: what is in the air is called back. What cannot be called back any
 * more lands soon, and goes then. */
static void leave(struct landing *landing)
{
	struct flight *flying;
	struct flight *landed;

	pthread_mutex_lock(&landing->lock);
	landing->left = true;
	flying = landing->flying;
	landed = landing->first;
	landing->flying = NULL;
	landing->first = NULL;
	landing->last = NULL;
	pthread_mutex_unlock(&landing->lock);
	while (flying) { /* with `left` nobody but us changes the list */
		struct flight *flight = flying;

		flying = flight->next;
		(void)rados_aio_cancel(flight->io, flight->completion);
		flight_drop(flight);
	}
	while (landed) {
		struct flight *flight = landed;

		landed = flight->next;
		flight_drop(flight);
	}
}

/* ---- one by itself ---- */

int flight_ready(rados_ioctx_t io, struct flight *flight, rados_completion_t *completion)
{
	struct landing *landing = landing_new();
	int r = landing ? take_off(io, landing, flight) : -ENOMEM;

	landing_drop(landing); /* the flight holds it now */
	if (r == 0) {
		flight->aloft = true;
		*completion = flight->completion;
	}
	return r;
}

void flight_grounded(struct flight *flight)
{
	flight->aloft = false;
	stay(flight);
}

int flight_wait(struct flight *flight, unsigned timeout_ms)
{
	uint64_t until_ns = timeout_ms ? clock_monotonic_ns() + timeout_ms * UINT64_C(1000000) : 0;
	struct flight *landed;
	int r = take_landed(flight->landing, until_ns, &landed);

	if (r != 0)
		return r;
	flight->aloft = false;
	return flight->result;
}

int flight_fly(rados_ioctx_t io, struct flight *flight, const char *object)
{
	rados_completion_t completion;
	int r = flight_ready(io, flight, &completion);

	if (r != 0)
		return r;
	r = operate(flight, object);
	if (r != 0) {
		flight_grounded(flight);
		return r;
	}
	return flight_wait(flight, 0);
}

void flight_free(struct flight *flight)
{
	if (!flight)
		return;
	if (flight->aloft)
		leave(flight->landing);
	else
		flight_drop(flight);
}

/* ---- many ---- */

struct flights *flights_new(rados_ioctx_t io, unsigned max)
{
	struct flights *flights = calloc(1, sizeof(*flights));

	if (!flights)
		return NULL;
	flights->io = io;
	flights->max = max;
	flights->landing = landing_new();
	if (!flights->landing) {
		free(flights);
		return NULL;
	}
	return flights;
}

void flights_free(struct flights *flights)
{
	if (!flights)
		return;
	leave(flights->landing);
	landing_drop(flights->landing);
	free(flights);
}

unsigned flights_flying(const struct flights *flights)
{
	return flights->flying;
}

bool flights_full(const struct flights *flights)
{
	return flights->flying >= flights->max;
}

int flights_send(struct flights *flights, struct flight *flight, const char *object)
{
	int r = take_off(flights->io, flights->landing, flight);

	if (r == 0) {
		r = operate(flight, object);
		if (r != 0)
			stay(flight);
	}
	if (r != 0)
		flight_drop(flight);
	else
		flights->flying++;
	return r;
}

int flights_land(struct flights *flights, struct flight **flight)
{
	int r = take_landed(flights->landing, 0, flight);

	if (r == 0)
		flights->flying--;
	return r;
}
