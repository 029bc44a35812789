/*
 * csv_layout.c - what is in which column of a file of CSV.
 */
#include "tools/formats/csv_layout.h"
#include "tools/formats/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const usual_vectors[] = FORMAT_VECTOR_NAMES;
static const char *const usual_ids[] = FORMAT_ID_NAMES;

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
/* More of a name is not shown. */
#define SHOWN_BYTES 40

/* A line that was taken apart. */
struct line {
	char *copy;
	struct csv_cell *cells;
	size_t count;
};

static void line_free(struct line *line)
{
	free(line->copy);
	free(line->cells);
}

/* Take a copy of a line apart, with room for one cell more; line_free also after an error. */
static int line_split(struct format_reader *reader, const char *text, char delimiter,
                      struct line *line)
{
	line->count = csv_count_cells(text, delimiter);
	if (line->count > CSV_CELLS_MAX) {
		(void)format_refuse(reader, "it has more than %u columns", CSV_CELLS_MAX);
		return -EINVAL;
	}
	line->copy = strdup(text);
	line->cells = calloc(line->count + 1, sizeof(*line->cells));
	if (line->copy == NULL || line->cells == NULL) {
		(void)format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM)); /* returns it again */
		return -ENOMEM;
	}
	if (line->count > 0 && csv_split(line->copy, delimiter, line->cells, line->count))
		return 0;
	(void)format_refuse(reader,
	                    "there is text after the quote that ends a cell"); /* as above */
	return -EINVAL;
}

/* Whether a cell is a list from end to end, and not a key that has brackets: of numbers, of truths
 * or, as is told later, of nulls, also within further brackets. */
static bool is_list(const char *text)
{
	const char *end = text + strlen(text), *first;
	size_t number, truth;

	if (*text != '[' && *text != '{')
		return false;
	while (end > text + 1 && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (end[-1] != (*text == '[' ? ']' : '}'))
		return false;
	first = text + strspn(text, "[{\" \t");
	(void)element_read(ELEMENT_F8, first, &number);
	(void)element_read(ELEMENT_B1, first, &truth);
	return number > 0 || truth > 0 || *first == ']' || *first == '}' ||
	       strncasecmp(first, "null", 4) == 0 || strncasecmp(first, "none", 4) == 0;
}

bool csv_begins_number(const struct format_reader *reader, const char *text)
{
	size_t length;

	(void)element_read(reader->wanted.type, text, &length);
	return length > 0;
}

/* Whether the cell is a number from end to end, or a truth that bits are read from. */
static bool is_number(const struct format_reader *reader, const char *text)
{
	size_t length;

	(void)element_read(reader->wanted.type, text, &length);
	if (length == 0)
		(void)element_read(ELEMENT_B1, text, &length);
	return length > 0 && *csv_blanks(text + length, '\0') == '\0';
}

bool csv_is_value(const struct format_reader *reader, const char *text)
{
	return is_list(text) || is_number(reader, text);
}

/* How many elements a list has that ends its cell; 0 where that is none. Of a text that only begins
 * as one, as a key does, it is 0, too. */
static size_t count_elements(const char *cell, char delimiter)
{
	static const char apart[] = "[{]}\", \t";
	const char *behind = csv_pass_cell(cell, delimiter);
	const char *at = cell + (*cell == '"');
	const char *end = behind;
	size_t count = 0;

	if (behind == NULL || (*at != '[' && *at != '{'))
		return 0;
	while (end > at && strchr("\" \t", end[-1]) != NULL)
		end--;
	if (end == at || end[-1] != (*at == '[' ? ']' : '}'))
		return 0;
	for (at += strspn(at, apart); at < end; at += strspn(at, apart)) {
		at += strcspn(at, apart);
		count++;
	}
	return count;
}

/* Whether the line has cells of which one is a list, of `dim` elements where that is not 0. */
static bool has_list(const char *line, char delimiter, size_t dim)
{
	const char *at = csv_blanks(line, delimiter);
	size_t cells = 0;
	bool found = false;

	do {
		size_t count = count_elements(at, delimiter);

		found = found || (dim > 0 ? count == dim : count > 0);
		at = csv_pass_cell(at, delimiter);
		cells++;
	} while (at != NULL && csv_pass_delimiter(&at, delimiter) > 0);
	return found && cells > 1;
}

char csv_delimiter(const struct format_reader *reader, const char *line)
{
	static const char candidates[] = CSV_DELIMITERS;
	size_t dim = reader->wanted.dim;
	char found = '\0';

	if (reader->wanted.delimiter != '\0')
		return reader->wanted.delimiter;
	/* first the lists: what separates their elements may make as many cells */
	for (const char *c = candidates; *c != '\0'; c++) {
		if (has_list(line, *c, dim))
			return *c;
	}
	for (const char *c = candidates; *c != '\0'; c++) {
		size_t count = csv_count_cells(line, *c);

		if (count > 1 && (count == dim || count == dim + 1))
			return *c;
		if (count > 1 && found == '\0')
			found = *c;
	}
	for (const char *c = candidates; *c != '\0'; c++) {
		if (has_list(line, *c, 0))
			return *c;
	}
	return found != '\0' ? found : ',';
}

/* Whether the last `dim` cells are the numbers 0, 1, and so on, and those before them no values. */
static bool counts_to(const struct format_reader *reader, const struct line *line, size_t dim)
{
	size_t first = line->count - dim;

	if (dim < 2 || line->count < dim)
		return false;
	for (size_t i = 0; i < line->count; i++) {
		const struct csv_cell *cell = &line->cells[i];
		uint64_t number;

		if (i < first ? csv_is_value(reader, cell->text)
		              : !text_id(cell->text, cell->length, &number) || number != i - first)
			return false;
	}
	return true;
}

/* The same of as many as are wanted, or of all or all but the first where no number is. How many they
 * are, or 0. */
static size_t counts(const struct format_reader *reader, const struct line *line)
{
	size_t dim = reader->wanted.dim;

	if (dim == 0 && !counts_to(reader, line, line->count))
		dim = line->count - 1;
	else if (dim == 0)
		dim = line->count;
	return counts_to(reader, line, dim) ? dim : 0;
}

/* Whether a cell is a number with a decimal comma, which is no number here, but no name either. */
static bool is_comma_number(const char *text)
{
	static const char digits[] = "0123456789";
	size_t whole, part;

	text += strspn(text, "+-");
	whole = strspn(text, digits);
	if (whole == 0 || text[whole] != ',')
		return false;
	part = strspn(text + whole + 1, digits);
	return part > 0 && text[whole + 1 + part] == '\0';
}

/* Whether the line names the columns: none of it is a number, but one cell may be empty as pandas
 * leaves it over its index; or the names are those that pandas gives columns without any. */
static bool is_names(struct format_reader *reader, const struct line *line)
{
	size_t values = 0, missing = 0, counted;

	for (size_t i = 0; i < line->count; i++) {
		const struct csv_cell *cell = &line->cells[i];

		values += csv_is_value(reader, cell->text) || is_comma_number(cell->text);
		missing += csv_is_missing(cell->text, cell->length);
	}
	if (values == 0)
		return missing == 0 || (missing == 1 && line->count > 1);
	counted = counts(reader, line);
	if (counted == 0)
		return false;
	(void)snprintf(reader->note, sizeof(reader->note),
	               "its first line counts from 0 to %zu, and was read as names of columns; "
	               "--header no reads it as a vector",
	               counted - 1);
	return true;
}

int csv_names(struct format_reader *reader, const char *text, char delimiter)
{
	struct line line = { 0 };
	int result;

	if (reader->wanted.header != FORMAT_HEADER_AUTO)
		return reader->wanted.header == FORMAT_HEADER_YES;
	result = line_split(reader, text, delimiter, &line);
	if (result == 0)
		result = is_names(reader, &line);
	line_free(&line);
	return result;
}

/* The column of this name, else one that differs in the case of letters only, or CSV_NONE. */
static size_t find_name(const struct line *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->cells[i].text, name) == 0)
			return i;
	}
	for (size_t i = 0; i < names->count; i++) {
		if (strcasecmp(names->cells[i].text, name) == 0)
			return i;
	}
	return CSV_NONE;
}

/* Refuse a name that no column has, and say which there are. */
static int refuse_name(struct format_reader *reader, const struct line *names, const char *option,
                       const char *name)
{
	char all[160] = "";
	size_t used = 0;

	for (size_t i = 0; i < names->count && used < sizeof(all) - SHOWN_BYTES - 8; i++)
		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%.*s",
		                         i > 0 ? ", " : "", SHOWN_BYTES, names->cells[i].text);
	return format_refuse(reader, "it has no column \"%s\" for %s; its columns are: %s%s", name,
	                     option, all, used >= sizeof(all) - SHOWN_BYTES - 8 ? " ..." : "");
}

/* Columns by the names that were asked for. */
static int find_wanted(struct format_reader *reader, const struct line *names, size_t *vector,
                       size_t *id)
{
	const struct format_wanted *wanted = &reader->wanted;

	*vector = *id = CSV_NONE;
	if (names->cells == NULL && (wanted->vector_column != NULL || wanted->id_column != NULL))
		return format_refuse(reader,
		                     "%s needs a first line that names the columns, but the first "
		                     "line was read as a row; --header yes reads it as names",
		                     wanted->vector_column != NULL ? "--vector-column"
		                                                   : "--id-column");
	if (wanted->vector_column != NULL) {
		*vector = find_name(names, wanted->vector_column);
		if (*vector == CSV_NONE)
			return refuse_name(reader, names, "--vector-column", wanted->vector_column);
	}
	if (wanted->id_column != NULL) {
		*id = find_name(names, wanted->id_column);
		if (*id == CSV_NONE)
			return refuse_name(reader, names, "--id-column", wanted->id_column);
	}
	for (size_t i = 0; i < LENGTH(usual_ids) && *id == CSV_NONE; i++)
		*id = find_name(names, usual_ids[i]);
	/* pandas leaves the name of its index empty */
	if (*id == CSV_NONE && names->count > 1 && names->cells[0].length == 0)
		*id = 0;
	return 0;
}

/* Whether a cell of a column that has the name of a vector is meant as one, in brackets or not, or is
 * one that is missing. */
static bool may_be_list(const struct csv_cell *cell)
{
	return is_list(cell->text) || csv_is_missing(cell->text, cell->length) ||
	       text_list_count(cell->text, cell->length) > 1;
}

/* The one column whose cell is a list: its index, CSV_NONE, or the number of cells where more than
 * one is. */
static size_t find_list(const struct line *names, const struct line *row)
{
	size_t found = CSV_NONE;

	for (size_t i = 0; i < LENGTH(usual_vectors); i++) {
		size_t usual = find_name(names, usual_vectors[i]);

		if (usual < row->count && may_be_list(&row->cells[usual]))
			return usual;
	}
	for (size_t i = 0; i < row->count; i++) {
		if (is_list(row->cells[i].text))
			found = found == CSV_NONE ? i : row->count;
	}
	return found;
}

/* Whether programs have this name for the vector. */
static bool is_usual(const struct line *names, size_t vector)
{
	for (size_t i = 0; i < LENGTH(usual_vectors) && names->cells != NULL; i++) {
		if (strcasecmp(names->cells[vector].text, usual_vectors[i]) == 0)
			return true;
	}
	return false;
}

/* The vector is one cell. */
static void lay_out_list(struct format_reader *reader, const struct line *names,
                         const struct line *row, size_t vector, struct csv_layout *layout)
{
	layout->list = true;
	layout->first = layout->last = vector;
	reader->dim = text_list_count(row->cells[vector].text, row->cells[vector].length);
	if (names->cells == NULL && row->count > 1)
		layout->id = vector > 0 ? 0 : 1;
	if (row->count <= 2 || reader->wanted.vector_column != NULL ||
	    (is_usual(names, vector) && layout->id != CSV_NONE))
		return;
	(void)snprintf(reader->note, sizeof(reader->note),
	               "its vectors come from column %zu%s%.*s%s; --vector-column and --id-column "
	               "choose other columns",
	               vector + 1, names->cells != NULL ? ", " : "", SHOWN_BYTES,
	               names->cells != NULL ? names->cells[vector].text : "",
	               layout->id == CSV_NONE ? ", and no column is the ID" : "");
}

/* The number that a name ends in, and the length of what is before it. False where it ends in none. */
static bool split_name(const struct csv_cell *name, size_t *prefix, uint64_t *number)
{
	*prefix = name->length;
	while (*prefix > 0 && name->text[*prefix - 1] >= '0' && name->text[*prefix - 1] <= '9')
		(*prefix)--;
	return text_id(name->text + *prefix, name->length - *prefix, number);
}

/* The first of dim columns whose names count up, as emb_0, emb_1, or CSV_NONE; how many do up to there,
 * at most, to *longest. */
static size_t find_run(const struct line *names, size_t dim, size_t *longest)
{
	size_t run = 0, prefix = 0;
	uint64_t number = 0;

	for (size_t i = 0; i < names->count; i++) {
		const struct csv_cell *cell = &names->cells[i];
		size_t length;
		uint64_t next;

		if (!split_name(cell, &length, &next)) {
			run = 0;
			continue;
		}
		if (run > 0 && next == number + 1 && length == prefix &&
		    memcmp(cell->text, names->cells[i - 1].text, length) == 0)
			run++;
		else
			run = 1;
		number = next;
		prefix = length;
		if (run > *longest)
			*longest = run;
		if (run == dim)
			return i + 1 - dim;
	}
	return CSV_NONE;
}

/* Whether the first cell is a whole number, and no other is: an ID as likely as not. */
static bool begins_with_id(const struct line *row)
{
	uint64_t number;

	if (row->count < 3 || !text_id(row->cells[0].text, row->cells[0].length, &number))
		return false;
	for (size_t i = 1; i < row->count; i++) {
		if (text_id(row->cells[i].text, row->cells[i].length, &number))
			return false;
	}
	return true;
}

/* The longest run of columns whose names count up; 0 where no two do. */
static size_t longest_run(const struct line *names)
{
	size_t longest = 0;

	if (names->cells != NULL)
		(void)find_run(names, SIZE_MAX, &longest); /* none has so many */
	return longest > 1 ? longest : 0;
}

/* How many elements a vector has, where nobody says that. */
static size_t guess_dim(struct format_reader *reader, const struct line *names,
                        const struct line *row, const struct csv_layout *layout)
{
	size_t run = longest_run(names), used = strlen(reader->note);

	if (run > 0)
		return run;
	if (layout->id != CSV_NONE || !csv_is_value(reader, row->cells[0].text))
		return row->count - 1;
	if (!begins_with_id(row))
		return row->count;
	(void)snprintf(
		reader->note + used, sizeof(reader->note) - used,
		"%sits first column, whole numbers, is taken for the ID; with --dim %zu it is "
		"an element",
		used > 0 ? "; " : "", row->count);
	return row->count - 1;
}

/* Each element is a cell. */
static int lay_out_cells(struct format_reader *reader, const struct line *names,
                         const struct line *row, struct csv_layout *layout)
{
	size_t dim = reader->wanted.dim > 0 ? reader->wanted.dim
	                                    : guess_dim(reader, names, row, layout);
	size_t run, used, longest = 0;
	const struct csv_cell *last = &row->cells[row->count - 1];
	uint64_t id;

	layout->first = 0;
	layout->last = row->count - 1;
	if (last->length == 0 && !last->quoted && row->count == dim + 1 &&
	    (names->cells == NULL || names->cells[names->count - 1].length == 0))
		return format_refuse(reader,
		                     "the line ends in a delimiter, and no element follows; remove "
		                     "the delimiter from the end of each line");
	run = names->cells != NULL ? find_run(names, dim, &longest) : CSV_NONE;
	/* not the first of dim names that count up: then the last column is a label or the like */
	if (layout->id == CSV_NONE && row->count == dim + 1 &&
	    (run != 0 || find_run(names, dim + 1, &longest) == 0) &&
	    (reader->wanted.on_key != NULL ||
	     text_id(row->cells[0].text, row->cells[0].length, &id) ||
	     !csv_is_value(reader, row->cells[0].text)))
		layout->id = 0;
	reader->dim = (uint32_t)(row->count - (layout->id != CSV_NONE));
	if (reader->dim <= dim || run == CSV_NONE || (layout->id >= run && layout->id < run + dim))
		return 0;
	layout->first = run;
	layout->last = run + dim - 1;
	reader->dim = (uint32_t)dim;
	used = strlen(reader->note); /* of the names */
	(void)snprintf(
		reader->note + used, sizeof(reader->note) - used,
		"%sits vectors come from the columns %.*s to %.*s; other columns were skipped",
		used > 0 ? "; " : "", SHOWN_BYTES, names->cells[run].text, SHOWN_BYTES,
		names->cells[layout->last].text);
	return 0;
}

/* Find out what is where in lines that are taken apart. */
static int lay_out(struct format_reader *reader, const struct line *names, const struct line *row,
                   struct csv_layout *layout)
{
	size_t vector, list;
	int result = find_wanted(reader, names, &vector, &layout->id);

	layout->cells = row->count;
	if (result < 0)
		return result;
	if (names->cells != NULL && names->count != row->count)
		return format_refuse(reader,
		                     "the line has %zu columns, but the line of names has %zu",
		                     row->count, names->count);
	list = vector != CSV_NONE ? vector : find_list(names, row);
	if (list == row->count)
		return format_refuse(reader, "several columns are lists of numbers; choose one "
		                             "with --vector-column NAME");
	if (list == CSV_NONE)
		return lay_out_cells(reader, names, row, layout);
	if (!is_list(row->cells[list].text) && !csv_begins_number(reader, row->cells[list].text))
		return format_refuse(reader,
		                     "its column \"%.*s\" holds '%.*s'; expected a list of "
		                     "numbers, as [1, 2, 3]",
		                     SHOWN_BYTES,
		                     names->cells != NULL ? names->cells[list].text : "",
		                     SHOWN_BYTES, row->cells[list].text);
	if (layout->id == list && reader->wanted.id_column != NULL)
		return format_refuse(reader, "its column \"%s\" cannot be both ID and vector",
		                     reader->wanted.id_column);
	if (layout->id == list)
		layout->id = CSV_NONE;
	lay_out_list(reader, names, row, list, layout);
	return 0;
}

/* R has no name for the column of its row names: then it is empty, as that of an index of pandas. */
static void name_rows(struct line *names, const struct line *row)
{
	static char none[] = "";

	if (names->cells == NULL || names->count + 1 != row->count)
		return;
	memmove(names->cells + 1, names->cells, names->count * sizeof(*names->cells));
	names->cells[0] = (struct csv_cell){ .text = none };
	names->count++;
}

int csv_lay_out(struct format_reader *reader, const char *names_text, const char *row_text,
                struct csv_layout *layout)
{
	struct line names = { 0 }, row = { 0 };
	int result = 0;

	if (names_text != NULL)
		result = line_split(reader, names_text, layout->delimiter, &names);
	if (result == 0)
		result = line_split(reader, row_text, layout->delimiter, &row);
	if (result == 0)
		name_rows(&names, &row);
	if (result == 0)
		result = lay_out(reader, &names, &row, layout);
	if (result == 0 && names.cells != NULL && layout->id != CSV_NONE &&
	    names.cells[layout->id].length > 0)
		(void)snprintf(reader->ids_from, sizeof(reader->ids_from), "the column \"%.*s\"",
		               SHOWN_BYTES, names.cells[layout->id].text);
	line_free(&names);
	line_free(&row);
	return result;
}
