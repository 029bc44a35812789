/*
 * rows.h - the rows of .npy files with their IDs, one after another.
 *
 * All headers, sizes and IDs are checked when it is opened; the rows themselves
 * are then read in order, so memory does not grow with the files.
 */
#ifndef ROWS_H
#define ROWS_H

#include "quiver.h"

#include <stddef.h>
#include <stdint.h>

/* One file of `rows` vectors, or of as many IDs. */
struct rows_file {
	const char *path;
	int fd;
	uint64_t rows;
	uint64_t offset; /* of the next row to read */
	uint64_t rows_left;
};

struct rows {
	uint64_t total; /* rows in all files */
	uint32_t vector_bytes;
	struct rows_file *files;
	size_t files_count;
	size_t current; /* the file that is being read */
	struct rows_file ids; /* fd -1: the IDs count up */
	char ids_type[4]; /* "u8", "i8", "u4" or "i4" */
	uint32_t id_bytes;
	uint64_t next_id; /* where they count up */
};

/*
 * Open `count` files of vectors of this geometry; `target` names the store in
 * messages. Their IDs come from the file `ids_path`, which must hold one for
 * each row, or, where that is NULL, count up from `start_id`.
 * 0, to be given back with rows_close, or a negative errno after having said
 * what is wrong. Keeps `paths` and `ids_path`.
 */
int rows_open(char **paths, size_t count, const char *ids_path, uint64_t start_id,
              const struct quiver_geometry *geometry, const char *target, struct rows *rows);

/*
 * Read up to `max` rows: their bytes, one after another, to `vectors` and their
 * IDs to `ids`. The number of rows, 0 at the end, or a negative errno after
 * having said what is wrong.
 */
int64_t rows_read(struct rows *rows, void *vectors, uint64_t *ids, size_t max);

/* Close all files. */
void rows_close(struct rows *rows);

#endif
