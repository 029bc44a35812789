/*
 * row_names.h - the keys of the rows that were read last, kept in memory to name them.
 *
 * One thread.
 */
#ifndef ROW_NAMES_H
#define ROW_NAMES_H

#include <stddef.h>

struct row_names {
	char *text; /* one after another, each ended by a NUL */
	size_t length, text_room;
	size_t *starts; /* of each, in text */
	size_t count, room; /* of them */
};

/* Rows are read now: forget those before. */
void row_names_begin(struct row_names *names);

/* The key of the next row: format_wanted.on_key, `arg` the struct. -ENOMEM, having said it. */
int row_names_take(void *arg, const char *key, size_t length);

/* The key of row `index`, until the next row_names_begin; NULL where it has none. */
const char *row_names_find(const struct row_names *names, size_t index);

void row_names_free(struct row_names *names);

#endif
