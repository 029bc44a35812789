/*
 * csv_cells.c - the cells of a line of CSV, whatever separates them.
 */
#include "tools/formats/csv_cells.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c, char delimiter)
{
	return c == ' ' || (c == '\t' && delimiter != '\t');
}

const char *csv_blanks(const char *at, char delimiter)
{
	while (is_blank(*at, delimiter))
		at++;
	return at;
}

const char *csv_close_quote(const char *at)
{
	for (;;) {
		at = strchr(at, '"');
		if (at == NULL || at[1] != '"')
			return at != NULL ? at + 1 : NULL;
		at += 2;
	}
}

/* Behind the bracket that closes the one at `at`, or the end of the line, so that each character is
 * looked at once. */
static const char *pass_brackets(const char *at)
{
	char open = *at, close = open == '[' ? ']' : '}';
	size_t depth = 0;

	for (; *at != '\0'; at++) {
		if (*at == open)
			depth++;
		else if (*at == close && --depth == 0)
			return at + 1;
	}
	return at;
}

const char *csv_pass_cell(const char *at, char delimiter)
{
	const char ends[] = { delimiter, delimiter == ' ' ? '\t' : '\0', '\0' };

	if (*at == '"')
		return csv_close_quote(at + 1);
	if (*at == '[' || *at == '{')
		at = pass_brackets(at);
	return at + strcspn(at, ends);
}

int csv_pass_delimiter(const char **at, char delimiter)
{
	const char *behind = csv_blanks(*at, delimiter);
	bool blanks = behind != *at;

	*at = behind;
	if (*behind == '\0')
		return 0;
	if (delimiter == ' ')
		return blanks ? 1 : -1;
	if (*behind != delimiter)
		return -1;
	*at = csv_blanks(behind + 1, delimiter);
	return 1;
}

/* Take a quote away where there are two, and what is around the text. */
static void unquote(struct csv_cell *cell)
{
	const char *from = cell->text + 1, *end = cell->text + cell->length - 1;
	char *to = ++cell->text;

	while (from < end) {
		const char *quote = memchr(from, '"', (size_t)(end - from));
		size_t bytes = (size_t)((quote != NULL ? quote + 1 : end) - from);

		memmove(to, from, bytes);
		to += bytes;
		from += bytes + (quote != NULL);
	}
	*to = '\0';
	cell->length = (size_t)(to - cell->text);
}

bool csv_take_cell(char **at, char delimiter, struct csv_cell *cell)
{
	const char *behind = csv_pass_cell(*at, delimiter);

	if (behind == NULL)
		return false;
	cell->text = *at;
	cell->length = (size_t)(behind - *at);
	cell->quoted = **at == '"';
	*at += cell->length;
	if (cell->quoted)
		unquote(cell);
	else
		while (cell->length > 0 && is_blank(cell->text[cell->length - 1], delimiter))
			cell->length--;
	return true;
}

size_t csv_count_cells(const char *line, char delimiter)
{
	const char *at = csv_blanks(line, delimiter);
	size_t count = 0;
	int more = 1;

	while (more > 0) {
		at = csv_pass_cell(at, delimiter);
		if (at == NULL)
			return 0;
		count++;
		more = csv_pass_delimiter(&at, delimiter);
	}
	return more == 0 ? count : 0;
}

bool csv_split(char *line, char delimiter, struct csv_cell *cells, size_t count)
{
	char *at = line + (csv_blanks(line, delimiter) - line);
	int more = 1;

	for (size_t i = 0; i < count; i++) {
		const char *behind;

		if (more <= 0 || !csv_take_cell(&at, delimiter, &cells[i]))
			return false;
		behind = at;
		more = csv_pass_delimiter(&behind, delimiter);
		at += behind - at;
		/* what comes behind it is read */
		cells[i].text[cells[i].length] = '\0';
	}
	return more == 0;
}

bool csv_is_missing(const char *text, size_t length)
{
	static const char *const words[] = {
		"NA", "N/A", "#N/A", "null", "nil", "none", "\\N", "-"
	};

	if (length == 0)
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i]) == length && strncasecmp(text, words[i], length) == 0)
			return true;
	}
	return false;
}
