/*
 * failure.h - what the cluster's errors mean to who called, and the line that says so.
 */
#ifndef QUIVER_RADOS_FAILURE_H
#define QUIVER_RADOS_FAILURE_H

#include <stdbool.h>

#include "engine/rados/collection.h"

/* What an error of librados means, and what to do about it, in words. */
void failure_explain(const struct connection *connection, int r, bool is_writing, char *to,
                     size_t room);

/* What a call of quiver.h is to return where librados, or a flight, has failed with `r`. */
int failure_errno(int r, bool is_writing);

/*
 * The same, with a line that tells what was being done (the format), what came, and what to do; a
 * few of them are left out, and counted, where there are too many. A client that is fenced is so
 * from then on. Any thread.
 */
int failure_of(struct collection *collection, int r, bool is_writing, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* A line of what is no error of librados, as damage, under the same bound. Any thread. */
void failure_say(struct collection *collection, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
