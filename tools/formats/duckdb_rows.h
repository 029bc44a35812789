/*
 * duckdb_rows.h - rows of ours as a table that a statement of libduckdb reads.
 */
#ifndef DUCKDB_ROWS_H
#define DUCKDB_ROWS_H

#include "tools/formats/duckdb_calls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As many as the library takes at once. */
#define DUCK_ROWS_MAX 2048u
/* What a statement selects from. */
#define DUCK_ROWS_TABLE "quiverfs_rows()"

/* Rows on their way, the source's own. */
struct duck_rows {
	uint64_t count; /* at most DUCK_ROWS_MAX */
	const uint64_t *ids; /* where there are no keys */
	const char *keys; /* one after another */
	const uint64_t *key_ends; /* where each ends */
	const void *vectors; /* one after another */
};

/* The caller's, for as long as the connection is there. */
struct duck_source {
	const struct duck_calls *calls; /* set by duck_rows_register */
	const char *id_column, *vector_column;
	bool keys; /* in place of IDs */
	enum duck_type element;
	uint32_t element_bytes;
	uint32_t dim;
	/* The next rows, valid until it is called again: 1, 0 at the end, a negative errno to
	 * give up. Called in the thread that runs the statement. */
	int (*next)(void *arg, struct duck_rows *rows);
	void *arg;
};

/* Let statements of the connection select from DUCK_ROWS_TABLE. 0, or -EIO. */
int duck_rows_register(const struct duck *duck, struct duck_source *source);

#endif
