/*
 * duckdb.h - the library that reads and writes Parquet, which the user may have.
 *
 * libduckdb is loaded when a Parquet file is met, and what is used of its C interface is
 * declared here, so that nothing of it is needed to build. One file, and a library
 * that starts no thread: what one of them runs here is in that one. A file is a stranger's: the library may open that one and no other, has
 * no network and no place for temporary files, and installs nothing.
 */
#ifndef DUCKDB_H
#define DUCKDB_H

#include "tools/formats/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a path in /proc/self/fd. */
#define DUCK_PATH_BYTES 32

/* The library's own duckdb_result: only its size matters here. */
struct duck_result {
	uint64_t counts[3];
	void *columns;
	char *error;
	void *internal;
};

/* Where the elements of a list are in the vector below it. */
struct duck_list {
	uint64_t offset, length;
};

/* An open library with the one file. All zero: not open. */
struct duck {
	const struct duck_calls *calls;
	void *database, *connection;
	char path[DUCK_PATH_BYTES]; /* in /proc/self/fd, as it stands in a query */
};

/* The rows of a query, chunk by chunk. All zero: none. */
struct duck_query {
	const struct duck_calls *calls;
	void *statement;
	bool begun;
	struct duck_result result;
	void *chunk; /* the current one; NULL before the first */
	uint64_t count; /* rows in it */
};

/* A column of the current chunk, or what is below a list. */
struct duck_column {
	void *vector;
	const void *data;
	const uint64_t *valid; /* a bit each, 1 where there is a value; NULL: everywhere */
	uint64_t count; /* of a list's elements; else rows */
};

/*
 * Load the library and let it see the file at `path`, which is one of /proc/self/fd: so it opens
 * what was looked at, not what may have got its name since, and no character of a name means
 * anything to it. 0, to be given back with duck_end also after an error; -ENOTSUP the library is missing or too old, -ENOMEM,
 * -EIO; with a reason.
 */
int duck_begin(const char *path, struct duck *duck, char reason[FORMAT_REASON_BYTES]);
void duck_end(struct duck *duck);

/* Begin a query; to be given back with duck_query_end also after an error. -EINVAL with
 * the library's reason. */
int duck_query_begin(const struct duck *duck, const char *text, struct duck_query *query,
                     char reason[FORMAT_REASON_BYTES]);
void duck_query_end(struct duck_query *query);
/* Take the next chunk. 1, or 0 at the end; -EINVAL with the library's reason. */
int duck_query_next(struct duck_query *query, char reason[FORMAT_REASON_BYTES]);

/* A column of the current chunk; valid until the next. */
struct duck_column duck_column(const struct duck_query *query, uint64_t index);
/* The elements below a column of lists. */
struct duck_column duck_elements(const struct duck_query *query, const struct duck_column *lists);
bool duck_is_null(const struct duck_column *column, uint64_t row);
/* Text or bytes, not ended by a NUL. */
const char *duck_text(const struct duck_column *column, uint64_t row, size_t *length);

#endif
