/*
 * keys_file.h - the key of each vector, from a file with one a line.
 */
#ifndef KEYS_FILE_H
#define KEYS_FILE_H

#include "tools/formats/stream.h"

#include <stdint.h>

struct keys_file {
	const char *path; /* NULL: not open */
	struct stream stream;
	uint64_t next_id; /* the vector of the next line */
};

/* Open a file whose first line is the key of vector `start_id`, and so on. Keeps
 * `path`. 0, to be given back with keys_file_close, or a negative errno after having
 * said what is wrong. */
int keys_file_open(const char *path, uint64_t start_id, struct keys_file *keys);
void keys_file_close(struct keys_file *keys);

/* The key of vector `id`, to be asked for in ascending order; valid until the next
 * call. -ENOENT there is none, after having said it; other errors likewise. */
int keys_file_find(struct keys_file *keys, uint64_t id, const char **key);

#endif
