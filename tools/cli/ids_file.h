/*
 * ids_file.h - the IDs of rows, from a file beside them: .npy, or .txt with one a line.
 */
#ifndef IDS_FILE_H
#define IDS_FILE_H

#include "tools/formats/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The rows are not known before the end: of a pipe. */
#define IDS_FILE_ROWS_UNKNOWN UINT64_MAX

struct ids_file {
	const char *path; /* NULL: not open */
	uint64_t rows;
	uint64_t next; /* row to read */
	/* It is the ids.npy of a store, which has QUIVER_ID_NONE for a row that is free. */
	bool of_store;
	uint64_t free_rows; /* of them */
	bool text;
	struct stream stream; /* of text */
	int fd; /* of .npy; -1: not open */
	uint64_t offset; /* of the first ID */
	char type[4]; /* "u8", "i8", "u4" or "i4" */
	uint32_t id_bytes;
};

/*
 * Open a file, of the kind that its name ends in, and look at every ID in it, a pipe apart. Keeps
 * `path`. 0, to be given back with ids_file_close, or a negative errno after having said what is
 * wrong. IDs of a store that stand twice are refused: one of the rows is no longer its vector.
 */
int ids_file_open(const char *path, struct ids_file *file);
void ids_file_close(struct ids_file *file);

/*
 * Read the next `count` IDs, which must be there unless the rows are not known. The number, fewer
 * only at the end of those; a negative errno after having said what is wrong. Of a store
 * QUIVER_ID_NONE is among them.
 */
int64_t ids_file_read(struct ids_file *file, uint64_t *ids, size_t count);

#endif
