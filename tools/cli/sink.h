/*
 * sink.h - where rows go: a store, or control/put of a live mount.
 */
#ifndef SINK_H
#define SINK_H

#include "engine/quiver.h"
#include "tools/cli/session.h"

#include <stddef.h>
#include <stdint.h>

/* Where rows go, and the buffers on their way. */
struct sink {
	struct session *session;
	size_t batch_rows;
	unsigned char *vectors; /* batch_rows of them */
	uint64_t *ids;
	struct quiver_record *records; /* store only */
	const struct quiver_attr *attr; /* store only: what new vectors get */
	unsigned char *put; /* mount only: whole records */
	int put_fd; /* mount only */
};

/* Make the buffers, to be given back with sink_close also after a failure. Keeps `session`. Says
 * errors. */
int sink_open(struct session *session, struct sink *sink);
int sink_close(struct sink *sink);

/* Open control/put of a live session; the descriptor, the caller's to close. Says errors. */
int sink_open_put(struct session *session);

/* Commit the first `count` rows of the buffers, all or none. A negative errno, with nothing said. */
int sink_put(struct sink *sink, size_t count);
/* Say why vectors could not be committed. */
void sink_say_failed(const struct session *session, int result);

#endif
