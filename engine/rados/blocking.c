#include "engine/rados/blocking.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/latency.h"
#include "engine/rados/flight.h"

#define LOOK_EVERY_NS (UINT64_C(50) * 1000000)

struct call { /* freed by whoever is last */
	struct connection connection; /* as it was; open for as long as the loan is */
	int (*run)(const struct connection *connection, void *arg);
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done; /* lock */
	int result; /* of the thread until it is done */
	_Atomic unsigned holders;
	size_t bytes;
	unsigned char arg[] __attribute__((aligned(16)));
};

static void call_drop(struct call *call)
{
	if (atomic_fetch_sub(&call->holders, 1) > 1)
		return;
	(void)pthread_mutex_destroy(&call->lock);
	(void)pthread_cond_destroy(&call->done);
	free(call);
}

static void *call_run(void *arg)
{
	struct call *call = arg;
	struct loan *loan = call->connection.loan;

	call->result = call->run(&call->connection, call->arg);
	pthread_mutex_lock(&call->lock);
	call->is_done = true;
	pthread_cond_signal(&call->done);
	pthread_mutex_unlock(&call->lock);
	call_drop(call);
	loan_return(loan);
	return NULL;
}

static struct call *call_new(const struct connection *connection, size_t bytes)
{
	struct call *call = calloc(1, sizeof(*call) + bytes);
	pthread_condattr_t attr;

	if (!call)
		return NULL;
	call->connection = *connection;
	call->bytes = bytes;
	/* None of these can fail on Linux with such attributes. */
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&call->done, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&call->lock, NULL);
	atomic_init(&call->holders, 2);
	return call;
}

/* 0 or -EINTR. */
static int wait_for(struct call *call)
{
	int r = 0;

	pthread_mutex_lock(&call->lock);
	while (!call->is_done && r == 0) {
		struct timespec look = clock_timespec(clock_monotonic_ns() + LOOK_EVERY_NS);

		if (pthread_cond_timedwait(&call->done, &call->lock, &look) != ETIMEDOUT)
			continue;
		/* The function is somebody else's: not with our lock. */
		pthread_mutex_unlock(&call->lock);
		r = flight_is_stopped() ? -EINTR : 0;
		pthread_mutex_lock(&call->lock);
	}
	if (call->is_done)
		r = 0;
	pthread_mutex_unlock(&call->lock);
	return r;
}

int blocking_call(struct connection *connection,
                  int (*run)(const struct connection *connection, void *arg), void *arg,
                  size_t bytes)
{
	struct call *call = call_new(connection, bytes);
	pthread_t thread;
	int r;

	if (!call)
		return -ENOMEM;
	call->run = run;
	if (bytes > 0)
		memcpy(call->arg, arg, bytes);
	loan_take(connection->loan);
	r = -pthread_create(&thread, NULL, call_run, call);
	if (r != 0) {
		loan_return(connection->loan);
		atomic_fetch_sub(&call->holders, 1); /* the thread's */
		call_drop(call);
		return r;
	}
	(void)pthread_detach(thread); /* it is joinable */
	r = wait_for(call);
	if (r == 0) {
		if (bytes > 0)
			memcpy(arg, call->arg, bytes);
		r = call->result;
	}
	call_drop(call);
	return r;
}
