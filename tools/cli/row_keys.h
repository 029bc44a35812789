/*
 * row_keys.h - the keys of rows that are imported, on their way into a file of one a line.
 *
 * Line r is the key of vector N + r, N being the first ID. The file appears when all rows are in.
 * One thread at a time.
 */
#ifndef ROW_KEYS_H
#define ROW_KEYS_H

#include "tools/cli/key_table.h"
#include "tools/cli/out_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a row: the line of its key, from 0, and whether that came with it. */
struct row_key {
	uint64_t number;
	bool added;
};

struct row_keys {
	const char *path; /* NULL: nobody asked for them */
	struct out_file file;
	int lock_fd; /* of the file that is added to; -1: it is new */
	bool numbering; /* a key has one line, however often it comes */
	struct key_table table; /* where numbering */
	uint64_t lines; /* so far */
	uint64_t known; /* of them, those that were there */
	struct row_key *rows; /* since row_keys_begin */
	size_t count, room; /* of them */
};

/*
 * Begin a file of keys. Unless `add` it must be new. Else what is there stays as it is, a key in it
 * keeps its number, and new ones come behind; another import that adds to it is refused. It must be
 * apart from what the import reads. Keeps `path`. Says errors. To be given back with row_keys_close in any case.
 */
int row_keys_open(const char *path, bool add, struct apart *apart, struct row_keys *keys);

/* A key that comes again gets the number it has, as an ID does; without this each row has a line of
 * its own. Before the first row. */
void row_keys_number(struct row_keys *keys);

/* Rows are read now: forget the numbers of those before. */
void row_keys_begin(struct row_keys *keys);

/* The key of the next row: format_wanted.on_key, `arg` the struct. Says errors. */
int row_keys_take(void *arg, const char *key, size_t length);

/* All rows are in: let the file appear. Says errors. */
int row_keys_finish(struct row_keys *keys);

/* Give everything back; a file that was not finished goes, and one that was added to is as it
 * was. */
void row_keys_close(struct row_keys *keys);

#endif
