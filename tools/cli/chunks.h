/*
 * chunks.h - the vectors of a list, some at a time: while one chunk is written the next is read, where
 * reading is a wait for other machines.
 */
#ifndef CHUNKS_H
#define CHUNKS_H

#include "tools/cli/session.h"
#include "tools/cli/vectors.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunk {
	const uint64_t *ids;
	size_t count;
	unsigned char *vectors; /* count of them, one behind the other */
	int *results; /* of each, as vectors_read */
};

struct chunks {
	struct session *session;
	const struct vectors_list *list; /* kept by reference */
	int folder_fd; /* of a live mount; -1 */
	size_t room; /* vectors of a chunk */
	size_t next; /* of the list, for which no read has begun */
	struct chunk pair[2]; /* one is read while the other is looked at */
	unsigned turn; /* which is read */
	int result; /* of that read */
	pthread_t thread; /* that reads, where there is one */
	bool has_thread;
};

/* To be given back with chunks_close also after an error. One thread for all three. Says errors. */
int chunks_open(struct session *session, const struct vectors_list *list, struct chunks *chunks);
void chunks_close(struct chunks *chunks);

/* The next, *chunk, which is there until the next call; NULL at the end. 0, or a negative errno, with
 * nothing said. */
int chunks_next(struct chunks *chunks, const struct chunk **chunk);

#endif
