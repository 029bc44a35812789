/*
 * folder_batch.h - vectors with attributes of their own, gathered for one commit.
 */
#ifndef FOLDER_BATCH_H
#define FOLDER_BATCH_H

#include "engine/quiver.h"
#include "tools/cli/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One for each thread. */
struct folder_batch {
	struct session *session;
	int put_fd; /* control/put; -1 where the session is not live */
	unsigned char *bytes; /* a head, then records as control/put takes them */
	struct quiver_record *records; /* of a store */
	struct quiver_attr *attrs; /* of a store */
	struct quiver_attr
		attr; /* of a store: what a new vector has, where a record does not say */
	size_t record_bytes;
	size_t room; /* in records */
	size_t count;
};

/* Make room; main thread. Without `writes` nothing will be committed. To be given back with
 * folder_batch_close, also after a failure. Says errors. */
int folder_batch_open(struct session *session, bool writes, struct folder_batch *batch);
/* Says errors of closing control/put. */
int folder_batch_close(struct folder_batch *batch);

/* Where the N bytes of the next record go; there is room for one. */
void *folder_batch_place(const struct folder_batch *batch);
/* Make what is there a record, with what `mask` means of the attributes. */
void folder_batch_add(struct folder_batch *batch, uint64_t id, const struct quiver_attr *attr,
                      unsigned mask);

/* Commit all of them, or none, and begin anew. 0 or a negative errno; nothing is said. */
int folder_batch_commit(struct folder_batch *batch);

#endif
