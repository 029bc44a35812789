/*
 * row_source.h - one of the files whose rows are imported: opened, and compared with the store.
 */
#ifndef ROW_SOURCE_H
#define ROW_SOURCE_H

#include "engine/quiver.h"
#include "tools/cli/row_fit.h"
#include "tools/cli/row_keys.h"
#include "tools/cli/row_names.h"
#include "tools/formats/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was asked for. All of it is kept by reference. */
struct rows_options {
	char **paths; /* "-" is standard input */
	size_t paths_count;
	const char *format; /* name; NULL: each path's suffix tells it */
	const char *format_option; /* what the option is called that gives it; NULL: --format */
	const char *dataset; /* NULL: the format's usual one */
	uint64_t skip_bytes; /* before the first row of each file */
	const char *vector_column; /* as format_wanted has it, as the three that follow */
	const char *id_column;
	enum format_header header;
	char delimiter;
	const char *ids_path; /* NULL: the files' own IDs, or they count up */
	uint64_t start_id;
	bool start_given; /* they count up even where a file brings its own */
	const char *keys_path; /* where the keys of rows go, one a line; NULL: nowhere */
	bool add_keys; /* there may be keys there, which keep their numbers */
	bool with_names; /* the keys of rows are kept in memory; instead of keys_path */
	bool compared; /* with the store, not put into it: they may be of a file of its own */
	bool convert; /* elements of other types, orders of bytes and rows */
	bool partial; /* of a file that is cut off the rows that are whole */
	uint64_t limit; /* rows of all files together; UINT64_MAX: all of them */
	bool reject_nonfinite;
	const struct quiver_geometry *geometry;
	struct row_fit *
		fit; /* the store is yet to be made, of the first file: its geometry is this one's */
	const char *target; /* the store, for messages */
};

struct row_source {
	struct stream stream;
	struct format_reader reader;
	bool opened;
	bool as_it_is; /* rows need no conversion */
};

/*
 * Open a file, look at its header and compare it with the store, whose type of element is `type`.
 * No more than `limit` of its rows will be read. `keys` or `names` gets its rows' keys, where
 * options->keys_path or with_names asks for them. *source is zeros. 0 or a negative errno after
 * having said what is wrong, -EINTR (nothing is said) for a signal; to be given back with
 * row_source_close in any case.
 */
int row_source_open(const struct rows_options *options, enum element type, uint64_t limit,
                    struct row_keys *keys, struct row_names *names, const char *path,
                    struct row_source *source);
/* Whether it is the vectors.npy of a store, or matrix.npy, by how it is laid out. */
bool row_source_is_column(const struct row_source *source);

void row_source_close(struct row_source *source);

#endif
