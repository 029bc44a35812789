/*
 * search_out.h - what a search has found, in the files that a user names.
 */
#ifndef SEARCH_OUT_H
#define SEARCH_OUT_H

#include "engine/quiver.h"
#include "tools/cli/apart.h"
#include "tools/cli/out_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For messages and --help. */
#define SEARCH_FORMAT_NAMES "text, jsonl, ivecs, fvecs, npy"

enum search_format {
	SEARCH_TEXT, /* lines "ID distance", a blank one between two questions */
	SEARCH_JSONL, /* a line for each question */
	SEARCH_IVECS, /* IDs as int32, a row for each question, as all that follow */
	SEARCH_FVECS, /* distances as float32 */
	SEARCH_NPY, /* IDs as uint64; of --distances distances as float64 */
	SEARCH_FORMAT_NONE,
};

/* The format of this name, and the one that the ending of a path tells, before .gz or .zst; or
 * SEARCH_FORMAT_NONE. */
enum search_format search_format_by_name(const char *name);
enum search_format search_format_by_path(const char *path);

/* Whether each question has a row of the same length. */
bool search_format_is_table(enum search_format format);

struct search_out_options {
	const char *file; /* "-" is standard output */
	enum search_format format;
	const char *distances; /* an .fvecs or .npy beside it; NULL: none */
	uint32_t k; /* of a row */
};

struct search_out {
	const struct search_out_options *options;
	struct out_file file;
	struct out_file distances; /* not open where it is not wanted */
	uint64_t questions; /* so far */
	uint64_t pairs;
	uint64_t neighbours; /* of all questions */
	unsigned char *row; /* room for one of a table */
	const char *path; /* for messages */
};

/*
 * Prepare to write the answers to `total` questions, or FORMAT_ROWS_UNKNOWN of them; what is written must be
 * apart from the files of the command. Keeps the options. 0, to be given back with search_out_close like
 * after an error, or a negative errno after having said what is wrong: then files that were there are as
 * they were.
 */
int search_out_open(const struct search_out_options *options, struct apart *apart, uint64_t total,
                    struct search_out *out);

/* Append the answer to a question, which is called `name` or, where that is NULL, has this number. Says
 * errors. */
int search_out_answer(struct search_out *out, const char *name, uint64_t number,
                      const struct quiver_neighbour *list, size_t count);

/* Append a pair, to text or JSON lines. Says errors. */
int search_out_pair(struct search_out *out, uint64_t one, const struct quiver_neighbour *other);

/* Lines that go to a pipe or a terminal go there now. Says errors. */
int search_out_flush(struct search_out *out);

/* Put headers right, and let the files appear once all are safe. Says errors. */
int search_out_finish(struct search_out *out);

void search_out_close(struct search_out *out);

#endif
