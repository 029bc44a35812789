/*
 * csv_layout.h - what is in which column of a file of CSV.
 */
#ifndef CSV_LAYOUT_H
#define CSV_LAYOUT_H

#include "tools/formats/csv_cells.h"
#include "tools/formats/format.h"

/* No such column. */
#define CSV_NONE SIZE_MAX

/* What can separate, in the order in which it is tried. */
#define CSV_DELIMITERS "\t;,| "

struct csv_layout {
	char delimiter;
	bool list; /* the vector is one cell, "[1, 2, 3]" */
	size_t cells; /* of each line */
	size_t id; /* which of them is the ID, or CSV_NONE */
	size_t first, last; /* those with the elements, but for that of the ID */
};

/* Which character separates the cells of a line: the one that was asked for, or the one that
 * makes so many of them as the vectors of the store need or one of them a list, or that is there. */
char csv_delimiter(const struct format_reader *reader, const char *line);

/* Whether a text begins with a number. */
bool csv_begins_number(const struct format_reader *reader, const char *text);

/* Whether a cell holds a number, or a list of them. */
bool csv_is_value(const struct format_reader *reader, const char *text);

/* Whether a line names the columns: 1, 0, or -ENOMEM or -EINVAL with a reason. May leave a note. */
int csv_names(struct format_reader *reader, const char *text, char delimiter);

/* Find out what is where, by the line of names, NULL where there is none, and the first row. Sets
 * reader->dim. 0, or an error with its reason; may leave a note. */
int csv_lay_out(struct format_reader *reader, const char *names_text, const char *row_text,
                struct csv_layout *layout);

#endif
