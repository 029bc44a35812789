/*
 * receive_apply.h - what a stream says, done to the store that receives it.
 */
#ifndef QUIVER_RECEIVE_APPLY_H
#define QUIVER_RECEIVE_APPLY_H

#include "engine/transfer/stream_read.h"

/* Of one thread. */
struct receive_apply {
	struct quiver *store;
	struct stream_reader *reader; /* behind its header */
	uint64_t
		position; /* items before it are in the store; the first that is wanted to begin with */
	struct quiver_record *records; /* of one frame; owned, as the next */
	struct quiver_attr *attrs;
	uint64_t bytes; /* of vectors, done since the last note */
	uint64_t items;
	/* So many are in the store, and are to be so durably. 0 or -errno. */
	int (*note)(void *arg, uint64_t position);
	void (*progress)(void *arg, uint64_t position); /* or NULL */
	void *arg;
};

/* Read the stream to its end and do all of it. 0, or a negative errno: of reading, or of the store. */
int receive_apply(struct receive_apply *apply);
/* Then: what is not in the items. -EUCLEAN it has not become what the stream says. */
int receive_apply_end(struct quiver *store, const struct stream_header *header,
                      struct quiver_error *error);

#endif
