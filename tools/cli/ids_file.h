/*
 * ids_file.h - the IDs of rows, from a .npy file beside them.
 */
#ifndef IDS_FILE_H
#define IDS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ids_file {
	const char *path;
	int fd; /* -1: not open */
	uint64_t offset; /* of the first ID */
	uint64_t rows;
	uint64_t next; /* row to read */
	char type[4]; /* "u8", "i8", "u4" or "i4" */
	uint32_t id_bytes;
};

/* Open a file and look at every ID in it. Keeps `path`. 0, to be given back with
 * ids_file_close, or a negative errno after having said what is wrong. */
int ids_file_open(const char *path, struct ids_file *file);
void ids_file_close(struct ids_file *file);

/* Read the next `count` IDs, which must be there. Says errors. */
int ids_file_read(struct ids_file *file, uint64_t *ids, size_t count);

#endif
