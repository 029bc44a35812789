/*
 * flight.h - operations on their way to the cluster and back.
 *
 * Each is sent asynchronously, and who waits for it may leave before it has landed: because he is
 * to stop (flight_begin, flight_stop), because he has waited long enough, or because another one
 * has failed. What the operation reads into, and the operation itself, belong to the flight and go
 * with whoever is last of its sender and librados. What was sent may then still happen.
 */
#ifndef QUIVER_FLIGHT_H
#define QUIVER_FLIGHT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rados/librados.h>

struct landing;

struct flight {
	/* One of the two, filled by the rados_..._op_... functions before it is sent. What those
	 * take by pointer to be read they copy; what they are to write must lie in the flight. */
	rados_read_op_t read;
	rados_write_op_t write;
	unsigned char *bytes; /* flight_room; free()'d with the flight where it is still here */
	size_t bytes_read;
	int bytes_result;
	rados_omap_iter_t rows; /* given back with the flight */
	int rows_result;
	unsigned char rows_more;
	void *arg; /* the sender's */

	/* Once it has landed. */
	int result; /* of the whole: 0 or what librados says, not yet translated */
	uint64_t version; /* of the object */

	/* Of flight.c alone. */
	rados_ioctx_t io;
	rados_completion_t completion;
	struct landing *landing;
	struct flight *next; /* landing->lock */
	struct flight *previous; /* landing->lock */
	_Atomic unsigned holders;
	bool aloft; /* sent by itself, and not yet waited for to its end */
};

/* Once in a process: who tells whether the calling thread is to stop waiting. */
void flight_begin(bool (*interrupted)(void));
/* This thread is to stop waiting as well once *stop is true; NULL: no more. For threads of our
 * own. */
void flight_stop(const _Atomic bool *stop);
/* Whether this thread is to stop. */
bool flight_is_stopped(void);

/* A new one, not sent; NULL: no memory. Given back with flight_free. */
struct flight *flight_to_read(void);
struct flight *flight_to_write(void);
/* Its own `bytes`, for what is read. 0 or -ENOMEM. */
int flight_room(struct flight *flight, size_t bytes);
/* What came of the omap, pair by pair: false at the end. Valid until flight_free. No NUL behind
 * either. Of a flight that has landed with result 0. */
bool flight_row(struct flight *flight, const char **key, size_t *key_bytes, const char **value,
                size_t *value_bytes);
/* NULL is allowed. Of one in the air: it is called back, and goes when it has landed. */
void flight_free(struct flight *flight);

/*
 * Send one and wait for it: what librados says of it, or -EINTR: stopped, and what comes of it is not known.
 * -ETIMEDOUT comes from librados, after the time that the connection has set. Whatever it returns,
 * the flight is to be freed, and can be sent once.
 */
int flight_fly(rados_ioctx_t io, struct flight *flight, const char *object);

/*
 * Many at once, of one thread: send while it is not full, take the next one that has landed,
 * whichever it is.
 *
 *	while (r == 0 && (more || flights_flying(flights))) {
 *		if (more && !flights_full(flights))
 *			r = flights_send(flights, next(), name);
 *		else if ((r = flights_land(flights, &flight)) == 0)
 *			r = look_at(flight), flight_free(flight);
 *	}
 */
struct flights;
/* At most `max` in the air. NULL: no memory. */
struct flights *flights_new(rados_ioctx_t io, unsigned max);
/* Calls back what is in the air. NULL is allowed. */
void flights_free(struct flights *flights);
unsigned flights_flying(const struct flights *flights);
bool flights_full(const struct flights *flights);
/* The flight is theirs until it has landed, also where this fails: then it is freed. 0, -ENOMEM or
 * what librados says. */
int flights_send(struct flights *flights, struct flight *flight, const char *object);
/* The next that has landed, to be freed; there must be one in the air. 0 or -EINTR. */
int flights_land(struct flights *flights, struct flight **flight);

/* ---- for those that librados does not send as an operation: a watch ---- */

/* The completion of a new flight, to be given to a rados_aio_... function; then flight_wait where
 * that returned 0, else flight_grounded, both with what follows for flight_fly. */
int flight_ready(rados_ioctx_t io, struct flight *flight, rados_completion_t *completion);
void flight_grounded(struct flight *flight);
/* Until it has landed, at most `timeout_ms` (0: as long as it takes): -ETIMEDOUT, -EINTR. */
int flight_wait(struct flight *flight, unsigned timeout_ms);

#endif
