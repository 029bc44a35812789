/*
 * words_file.h - the word of each vector, from a file with one a line.
 */
#ifndef WORDS_FILE_H
#define WORDS_FILE_H

#include "tools/formats/stream.h"

#include <stdint.h>

struct words_file {
	const char *path; /* NULL: not open */
	struct stream stream;
	uint64_t next_id; /* the vector of the next line */
};

/* Open a file whose first line is the word of vector `start_id`, and so on. Keeps
 * `path`. 0, to be given back with words_file_close, or a negative errno after having
 * said what is wrong. */
int words_file_open(const char *path, uint64_t start_id, struct words_file *words);
void words_file_close(struct words_file *words);

/* The word of vector `id`, to be asked for in ascending order; valid until the next
 * call. -ENOENT there is none, after having said it; other errors likewise. */
int words_file_find(struct words_file *words, uint64_t id, const char **word);

#endif
