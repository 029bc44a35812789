/*
 * outputs.h - the files that an export writes: vectors of one format, and their IDs beside them.
 */
#ifndef OUTPUTS_H
#define OUTPUTS_H

#include "tools/cli/apart.h"
#include "tools/cli/ids_out.h"
#include "tools/cli/keys_file.h"
#include "tools/cli/out_file.h"
#include "tools/cli/session.h"
#include "tools/formats/format.h"

#include <stdbool.h>
#include <stdint.h>

/* What was asked for. All of it is kept by reference. */
struct outputs_options {
	char *file; /* "-" is standard output */
	const struct format *format;
	const char *dataset; /* NULL: the usual name */
	const char *ids; /* where the IDs go; NULL: nowhere */
	const char *keys; /* where a line for each vector is its key; NULL: nowhere */
	uint64_t start_id; /* of the first line there */
	bool convert;
	bool dtype_given;
	enum element dtype; /* what to convert to, where it is given */
	bool header; /* the rest as in struct format_writer */
	char delimiter;
	const char *vector_column, *id_column;
};

struct outputs {
	const struct outputs_options *options;
	const char *path; /* for messages */
	struct out_file vectors;
	struct ids_out ids; /* not open where it is not wanted */
	struct keys_file keys; /* the same */
	struct format_writer writer;
	struct quiver_description description; /* which the writer points to */
	enum element type; /* of the store */
	uint32_t dim; /* of the store */
	enum element made; /* what rows are converted to */
	unsigned char *converted; /* a row of them; NULL where it is the same */
	struct element_loss loss;
	uint64_t first_id;
	bool counting; /* the IDs so far count up by one */
};

/*
 * Open the files and write their headers, for `expected` rows of the store. 0, to be given back with
 * outputs_close like after an error, or a negative errno after having said what is wrong: then
 * files that were there are as they were.
 */
int outputs_open(const struct outputs_options *options, struct session *session, uint64_t expected,
                 struct outputs *outputs);

/* Append one vector of the store's type and its ID. Says errors. */
int outputs_write(struct outputs *outputs, uint64_t id, const void *vector);

/* Write what follows the rows and the final headers, and let the files appear once all are safe. Says
 * errors. */
int outputs_finish(struct outputs *outputs);

/* Give back everything; files that were not finished go. */
void outputs_close(struct outputs *outputs);

#endif
