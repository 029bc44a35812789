/*
 * search_arguments.h - the arguments of quiverfs search.
 */
#ifndef SEARCH_ARGUMENTS_H
#define SEARCH_ARGUMENTS_H

#include "tools/cli/reach.h"
#include "tools/cli/row_source.h"
#include "tools/cli/search_ask.h"
#include "tools/cli/search_out.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct search_arguments {
	char *target;
	struct reach reach;
	char **words; /* files, or IDs */
	size_t words_count;
	uint64_t *ids; /* that the words are, malloc'd; NULL: they are files */
	size_t id_count;
	bool self; /* all vectors are questions, and pairs are wanted */
	bool all; /* within a distance, however many */
	const char *ids_path;
	struct search_wanted wanted; /* its IDs are malloc'd */
	struct rows_options rows;
	struct search_out_options out;
};

/* Read them. To be given back with search_arguments_free, unless it returns a negative errno. */
int search_arguments_parse(int argc, char **argv, struct search_arguments *parsed);
void search_arguments_free(struct search_arguments *arguments);

#endif
