#include "engine/rados/scan.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/latency.h"
#include "engine/rados/flight.h"

/* More parts list no faster on a few OSDs. */
#define SCAN_THREADS 4u
/* Names that are asked for at once. */
#define SCAN_BATCH 1000u
/* 1 MiB of items: what was listed while others are looked at. */
#define SCAN_QUEUE 8192u
#define LOOK_EVERY_NS (UINT64_C(50) * 1000000)

struct scan { /* freed by whoever is last of its owner and its threads */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* somebody has put something in, taken it out, or ended */
	struct scan_item *queue; /* lock; a ring of SCAN_QUEUE */
	unsigned first; /* lock */
	unsigned count; /* lock */
	unsigned running; /* lock; threads that may still find something */
	int result; /* lock; the first failure */
	bool left; /* lock; nobody wants any more */
	_Atomic unsigned holders;

	/* Fixed. */
	rados_ioctx_t io;
	struct loan *loan;
	bool is_of_one;
	char collection[COLLECTION_NAME_BYTES_MAX + 1];
};

struct part {
	struct scan *scan;
	unsigned number;
};

static void scan_drop(struct scan *scan)
{
	if (atomic_fetch_sub(&scan->holders, 1) > 1)
		return;
	(void)pthread_mutex_destroy(&scan->lock);
	(void)pthread_cond_destroy(&scan->changed);
	free(scan->queue);
	free(scan);
}

/* Wait for a change, but not long: who waits looks for other things as well. Lock held. */
static void wait_changed(struct scan *scan)
{
	struct timespec look = clock_timespec(clock_monotonic_ns() + LOOK_EVERY_NS);

	(void)pthread_cond_timedwait(&scan->changed, &scan->lock, &look); /* a timeout is as well */
}

/* ---- the threads ---- */

/* `name` needs no NUL. False: it is nothing of what is looked for. */
static bool parse(const struct scan *scan, const char *name, size_t length, struct scan_item *item)
{
	size_t bytes;

	item->what = layout_parse(name, length, &bytes, &item->object);
	if (item->what == LAYOUT_OTHER)
		return false;
	if (scan->is_of_one &&
	    (bytes != strlen(scan->collection) || memcmp(name, scan->collection, bytes) != 0))
		return false;
	memcpy(item->name, name, length); /* that of a collection's object has room */
	item->name[length] = '\0';
	item->collection_bytes = (uint8_t)bytes;
	return true;
}

/* False: nobody wants any more. */
static bool deliver(struct scan *scan, const rados_object_list_item *found, int count)
{
	bool left;

	pthread_mutex_lock(&scan->lock);
	for (int i = 0; i < count && !scan->left; i++) {
		struct scan_item item;

		if (!parse(scan, found[i].oid, found[i].oid_length, &item))
			continue;
		while (scan->count == SCAN_QUEUE && !scan->left)
			wait_changed(scan);
		scan->queue[(scan->first + scan->count) % SCAN_QUEUE] = item;
		scan->count++;
	}
	left = scan->left;
	pthread_cond_broadcast(&scan->changed);
	pthread_mutex_unlock(&scan->lock);
	return !left;
}

/* From one cursor to the other, which it gives back. 0 or what librados says. */
static int list_between(struct scan *scan, rados_object_list_cursor at,
                        rados_object_list_cursor end, rados_object_list_item *found)
{
	int r = 0;
	bool wanted = true;

	while (wanted && r == 0 && rados_object_list_cursor_cmp(scan->io, at, end) < 0) {
		rados_object_list_cursor next = rados_object_list_begin(scan->io);
		int count = rados_object_list(scan->io, at, end, SCAN_BATCH, NULL, 0, found, &next);

		if (count < 0) {
			r = count;
			rados_object_list_cursor_free(scan->io, next);
			break;
		}
		wanted = deliver(scan, found, count);
		rados_object_list_free((size_t)count, found);
		rados_object_list_cursor_free(scan->io, at);
		at = next;
	}
	rados_object_list_cursor_free(scan->io, at);
	rados_object_list_cursor_free(scan->io, end);
	return r;
}

static int list_part(struct scan *scan, unsigned number)
{
	rados_object_list_item *found = calloc(SCAN_BATCH, sizeof(*found));
	rados_object_list_cursor all_begin, all_end, begin, end;
	int r;

	if (!found)
		return -ENOMEM;
	all_begin = rados_object_list_begin(scan->io);
	all_end = rados_object_list_end(scan->io);
	/* _slice puts into cursors that are there. */
	begin = rados_object_list_begin(scan->io);
	end = rados_object_list_begin(scan->io);
	rados_object_list_slice(scan->io, all_begin, all_end, number, SCAN_THREADS, &begin, &end);
	r = list_between(scan, begin, end, found);
	rados_object_list_cursor_free(scan->io, all_begin);
	rados_object_list_cursor_free(scan->io, all_end);
	free(found);
	return r;
}

static void *part_run(void *arg)
{
	struct part part = *(struct part *)arg;
	struct loan *loan = part.scan->loan;
	int r;

	free(arg);
	r = list_part(part.scan, part.number);
	pthread_mutex_lock(&part.scan->lock);
	if (r != 0 && part.scan->result == 0)
		part.scan->result = r;
	part.scan->running--;
	pthread_cond_broadcast(&part.scan->changed);
	pthread_mutex_unlock(&part.scan->lock);
	scan_drop(part.scan);
	loan_return(loan);
	return NULL;
}

static int start_part(struct scan *scan, struct connection *connection, unsigned number)
{
	struct part *part = malloc(sizeof(*part));
	pthread_t thread;
	int r;

	if (!part)
		return -ENOMEM;
	*part = (struct part){ scan, number };
	atomic_fetch_add(&scan->holders, 1);
	pthread_mutex_lock(&scan->lock);
	scan->running++;
	pthread_mutex_unlock(&scan->lock);
	loan_take(connection->loan);
	r = -pthread_create(&thread, NULL, part_run, part);
	if (r == 0) {
		(void)pthread_detach(thread); /* it is joinable */
		return 0;
	}
	loan_return(connection->loan);
	pthread_mutex_lock(&scan->lock);
	scan->running--;
	pthread_mutex_unlock(&scan->lock);
	atomic_fetch_sub(&scan->holders, 1); /* the thread's: ours is left */
	free(part);
	return r;
}

/* ---- who wants it ---- */

static struct scan *scan_new(const struct connection *connection, const char *collection)
{
	struct scan *scan = calloc(1, sizeof(*scan));
	pthread_condattr_t attr;

	if (!scan)
		return NULL;
	scan->queue = malloc(SCAN_QUEUE * sizeof(*scan->queue));
	if (!scan->queue) {
		free(scan);
		return NULL;
	}
	scan->io = connection->io;
	scan->loan = connection->loan;
	scan->is_of_one = collection != NULL;
	if (collection)
		memcpy(scan->collection, collection, strlen(collection) + 1);
	atomic_init(&scan->holders, 1);
	/* None of these can fail on Linux with such attributes. */
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&scan->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&scan->lock, NULL);
	return scan;
}

int scan_begin(struct connection *connection, const char *collection, struct scan **out)
{
	struct scan *scan = scan_new(connection, collection);
	int r = scan ? 0 : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < SCAN_THREADS; i++)
		r = start_part(scan, connection, i);
	if (r != 0)
		scan_end(scan);
	else
		*out = scan;
	return r;
}

int scan_next(struct scan *scan, bool wait, struct scan_item *item)
{
	int r = -EAGAIN;

	pthread_mutex_lock(&scan->lock);
	while (r == -EAGAIN) {
		if (scan->result != 0) {
			r = scan->result;
		} else if (scan->count > 0) {
			*item = scan->queue[scan->first];
			scan->first = (scan->first + 1) % SCAN_QUEUE;
			scan->count--;
			/* Once in a while is enough for those that wait for room. */
			if (scan->count == SCAN_QUEUE / 2)
				pthread_cond_broadcast(&scan->changed);
			r = 1;
		} else if (scan->running == 0) {
			r = 0;
		} else if (!wait) {
			break;
		} else {
			wait_changed(scan);
			/* The function is somebody else's: not with our lock. */
			pthread_mutex_unlock(&scan->lock);
			if (flight_is_stopped())
				r = -EINTR;
			pthread_mutex_lock(&scan->lock);
		}
	}
	pthread_mutex_unlock(&scan->lock);
	return r;
}

void scan_end(struct scan *scan)
{
	if (!scan)
		return;
	pthread_mutex_lock(&scan->lock);
	scan->left = true;
	pthread_cond_broadcast(&scan->changed);
	pthread_mutex_unlock(&scan->lock);
	scan_drop(scan);
}
