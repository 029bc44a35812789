/*
 * csv_cells.h - the cells of a line of CSV (RFC 4180), whatever separates them.
 *
 * A cell in quotes may hold anything, a quote twice; one in brackets ([ or {) goes up to its
 * closing one, whatever separates what is in it, or to the end of the line. Blanks around a cell are no part of it, and a
 * delimiter ' ' is one or more blanks. Lines end in a NUL; any thread.
 */
#ifndef CSV_CELLS_H
#define CSV_CELLS_H

#include <stdbool.h>
#include <stddef.h>

/* More cells of a line than a vector has elements, and whatever stands beside them. */
#define CSV_CELLS_MAX (1u << 17)

struct csv_cell {
	char *text;
	size_t length;
	bool quoted;
};

/* Where the blanks that `at` begins with end. */
const char *csv_blanks(const char *at, char delimiter);

/* Behind the quote that closes one before `at`, or NULL. */
const char *csv_close_quote(const char *at);

/* Behind the cell that begins at `at`; NULL where its quote is not closed. */
const char *csv_pass_cell(const char *at, char delimiter);

/* Move from behind a cell to the next: 1, 0 at the end of the line, -1 where something else is. */
int csv_pass_delimiter(const char **at, char delimiter);

/* Take the cell at *at, and move behind it; its quotes are taken away in place, where a NUL ends
 * it then. False where a quote is not closed. */
bool csv_take_cell(char **at, char delimiter, struct csv_cell *cell);

/* How many cells a line has; 0 where it is no line of them. */
size_t csv_count_cells(const char *line, char delimiter);

/* Take all cells of a line, which it is taken apart for, to `cells`, which has room for them; a NUL
 * ends each. False where it is no line of so many. */
bool csv_split(char *line, char delimiter, struct csv_cell *cells, size_t count);

/* Whether a cell says that there is nothing in it: empty, NA, null and the like. */
bool csv_is_missing(const char *text, size_t length);

#endif
