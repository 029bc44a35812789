/*
 * map_read.h - vectors of a session as rows of doubles.
 */
#ifndef MAP_READ_H
#define MAP_READ_H

#include "engine/codec/element.h"
#include "tools/cli/progress.h"
#include "tools/cli/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_reader {
	struct session *session;
	enum element type;
	bool is_cosine; /* each row is made as long as 1 */
	int get_fd; /* control/get of a live mount; -1 */
	int folder_fd; /* vectors/ of a daemon that has none; -1 */
	size_t room; /* vectors that are read at once */
	unsigned char *vectors;
	int *results;
	double *row;
	/* Of the last map_read: */
	uint64_t given;
	uint64_t
		not_finite; /* left out: with a NaN, an infinity or a number beyond PCA_ELEMENT_MAX */
	uint64_t
		without_direction; /* left out: of zeros alone, which has no place where is_cosine */
};

/* To be given back with map_reader_close also after an error. Says errors. */
int map_reader_open(struct session *session, enum quiver_metric metric, struct map_reader *reader);
void map_reader_close(struct map_reader *reader);

/*
 * Call `each` with the row of each of `count` vectors, in their order, but for those that are left out or
 * have been removed meanwhile. `index` is where its ID is among `ids`. What `each` returns, where that is
 * negative, ends it. 0, or a negative errno after having said it; -EINTR after a signal. Updates
 * `progress` from `done` on.
 */
int map_read(struct map_reader *reader, const uint64_t *ids, size_t count,
             struct progress *progress, uint64_t done,
             int (*each)(void *arg, size_t index, const double *row), void *arg);

#endif
