/*
 * rows.h - the rows of files of vectors with their IDs, one after another.
 *
 * All headers, sizes, dimensions and files of IDs are checked when it is opened; the
 * rows themselves are then read in order, so memory does not grow with the files.
 */
#ifndef ROWS_H
#define ROWS_H

#include "engine/quiver.h"
#include "tools/cli/id_tally.h"
#include "tools/cli/ids_file.h"
#include "tools/cli/row_keys.h"
#include "tools/cli/row_names.h"
#include "tools/cli/row_source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rows {
	const struct rows_options *options;
	uint64_t total; /* rows to come from all files, or FORMAT_ROWS_UNKNOWN */
	uint64_t given; /* rows handed out so far */
	enum element type; /* of the store */
	struct row_source *sources;
	size_t sources_count;
	size_t current; /* the file that is being read */
	struct ids_file ids; /* path NULL: there is none */
	uint64_t next_id; /* where they count up */
	bool brings_ids; /* the IDs do not just count up, so one may come twice */
	struct id_tally tally; /* of the IDs handed out */
	struct row_keys keys;
	struct row_names names; /* of the rows of the last batch */
	unsigned char *raw; /* rows before they are converted */
	uint64_t *offsets; /* of the rows of the last batch */
	uint64_t *places; /* their numbers in their file */
	size_t room; /* of the three, in rows */
	struct element_loss loss;
	int pending; /* an error that the rows before it go ahead of */
	char pending_text[FORMAT_REASON_BYTES + 128];
};

/*
 * Open all files, and check what can be checked before anything is written.
 * 0, to be given back with rows_close, or a negative errno after having said
 * what is wrong.
 */
int rows_open(const struct rows_options *options, struct rows *rows);

/*
 * Read up to `max` rows: their bytes, one after another, to `vectors` and their
 * IDs to `ids`. The number of rows, 0 at the end, -EINTR (nothing is said) where a
 * signal asked to stop, or a negative errno after having said what is wrong: the
 * file, the row and where it is.
 */
int64_t rows_read(struct rows *rows, void *vectors, uint64_t *ids, size_t max);

/* Say what is wrong with row `index` of those that the last rows_read gave. */
void rows_say(const struct rows *rows, size_t index, const char *text);

/* The key of row `index` of those, until the next rows_read; NULL where it has none, or nobody asked
 * for options->with_names. */
const char *rows_name(const struct rows *rows, size_t index);

/* Whether row `index` of those has a key that comes into the file of keys with it. */
bool rows_adds_key(const struct rows *rows, size_t index);

/* How many rows there will be, told by the bytes that `done` rows took where it is not
 * known; 0 where it cannot be told. */
uint64_t rows_estimate(const struct rows *rows, uint64_t done);

/* All rows are in: let the file of keys appear, and say what conversion changed.
 * Says errors. */
int rows_finish(struct rows *rows);

/* Close all files. A file of keys that was not finished goes. */
void rows_close(struct rows *rows);

#endif
