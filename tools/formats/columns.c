/*
 * columns.c - which columns of a table are the vectors and their IDs.
 */
#include "tools/formats/columns.h"
#include "engine/codec/printable.h"
#include "tools/formats/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

int columns_add(struct columns *columns, size_t count, struct column **first)
{
	struct column *grown;

	if (count > COLUMNS_MAX - columns->count)
		return format_refuse(columns->reader, "it has more than %u columns", COLUMNS_MAX);
	grown = realloc(columns->columns, (columns->count + count + 1) * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	columns->columns = grown;
	*first = &grown[columns->count];
	memset(*first, 0, (count + 1) * sizeof(**first));
	columns->count += count;
	return 0;
}

void columns_free(struct columns *columns)
{
	for (size_t i = 0; i < columns->count; i++) {
		free(columns->columns[i].name);
		free(columns->columns[i].type);
	}
	free(columns->columns);
	memset(columns, 0, sizeof(*columns));
}

static bool is_list(const struct column *column)
{
	return column->list && column->element != ELEMENT_COUNT;
}

bool column_is_number(const struct column *column)
{
	return !column->list && column->element != ELEMENT_COUNT;
}

/* The column of this name, else one that differs in the case of letters only: databases write
 * theirs in capitals. */
static const struct column *find(const struct columns *columns, const char *name)
{
	for (size_t i = 0; i < columns->count; i++) {
		if (strcmp(columns->columns[i].name, name) == 0)
			return &columns->columns[i];
	}
	for (size_t i = 0; i < columns->count; i++) {
		if (strcasecmp(columns->columns[i].name, name) == 0)
			return &columns->columns[i];
	}
	return NULL;
}

/* Names and types for a message: of lists of numbers, or of all. */
static const char *name_columns(const struct columns *columns, bool lists,
                                char names[COLUMNS_NAMES_BYTES])
{
	static const char more[] = ", ...";
	size_t used = 0, room = COLUMNS_NAMES_BYTES - sizeof(more);

	names[0] = '\0';
	for (size_t i = 0; i < columns->count; i++) {
		const struct column *column = &columns->columns[i];
		int length;

		if (lists && !is_list(column))
			continue;
		length = snprintf(names + used, room - used, "%s%.60s (%.30s)",
		                  used > 0 ? ", " : "", column->name, column->type);
		if (length < 0 || (size_t)length >= room - used) {
			memcpy(names + used, more, sizeof(more));
			break;
		}
		used += (size_t)length;
	}
	return names;
}

int columns_refuse(const struct columns *columns)
{
	char names[COLUMNS_NAMES_BYTES];

	return format_refuse(columns->reader,
	                     "it has no column with lists of numbers, and no columns of numbers "
	                     "such as x0, x1, ...; its columns: %s",
	                     name_columns(columns, false, names));
}

/* The column that was asked for; NULL with a reason. */
static const struct column *find_wanted(const struct columns *columns, const char *option,
                                        const char *name)
{
	const struct column *column = find(columns, name);
	char names[COLUMNS_NAMES_BYTES];

	if (column == NULL)
		(void)format_refuse(columns->reader,
		                    "%s: it has no column '%.60s'; its columns: %s", option, name,
		                    name_columns(columns, false, names));
	return column;
}

/* The only column of lists. */
static int find_only(const struct columns *columns, const struct column **found)
{
	char names[COLUMNS_NAMES_BYTES];
	size_t count = 0;

	for (size_t i = 0; i < columns->count; i++) {
		if (is_list(&columns->columns[i])) {
			*found = &columns->columns[i];
			count++;
		}
	}
	if (count > 1)
		return format_refuse(columns->reader,
		                     "several columns hold lists of numbers; choose one with "
		                     "--vector-column NAME: %s",
		                     name_columns(columns, true, names));
	if (count == 1)
		(void)snprintf(columns->reader->note, sizeof(columns->reader->note),
		               "the vectors come from its column '%.60s'", (*found)->name);
	return 0;
}

int columns_find_vectors(const struct columns *columns, const struct column **found)
{
	static const char *const usual[] = FORMAT_VECTOR_NAMES;
	const char *wanted = columns->reader->wanted.vector_column;

	*found = NULL;
	if (wanted != NULL) {
		*found = find_wanted(columns, "--vector-column", wanted);
		if (*found != NULL && !is_list(*found))
			return format_refuse(columns->reader,
			                     "its column '%.60s' is %.40s; expected a list of "
			                     "numbers, one for each element",
			                     wanted, (*found)->type);
		return *found != NULL ? 0 : -EINVAL;
	}
	for (size_t i = 0; i < LENGTH(usual); i++) {
		const struct column *column = find(columns, usual[i]);

		if (column != NULL && is_list(column)) {
			*found = column;
			return 0;
		}
	}
	return find_only(columns, found);
}

/* What pandas calls an index that is no mere count and has no name, where it can be IDs. */
static const struct column *find_index(const struct columns *columns)
{
	const struct column *index = find(columns, "__index_level_0__");

	return index != NULL && index->ids != COLUMN_IDS_NONE ? index : NULL;
}

int columns_find_ids(const struct columns *columns, const struct column **found)
{
	static const char *const usual[] = FORMAT_ID_NAMES;
	struct format_reader *reader = columns->reader;
	const char *wanted = reader->wanted.id_column;

	*found = NULL;
	if (reader->wanted.ids_unused && reader->wanted.on_key == NULL)
		return 0;
	if (wanted != NULL) {
		*found = find_wanted(columns, "--id-column", wanted);
		if (*found == NULL)
			return -EINVAL;
	}
	for (size_t i = 0; i < LENGTH(usual) && *found == NULL; i++)
		*found = find(columns, usual[i]);
	if (*found == NULL)
		*found = find_index(columns);
	if (*found == NULL)
		return 0;
	if ((*found)->ids == COLUMN_IDS_NONE)
		return format_refuse(
			reader,
			"its column of IDs, '%.60s', is %.40s; expected integers or text; "
			"--id-column NAME chooses another column, --start-id N numbers the rows",
			(*found)->name, (*found)->type);
	reader->has_keys = reader->wanted.on_key != NULL;
	reader->has_ids = !reader->has_keys;
	(void)snprintf(reader->ids_from, sizeof(reader->ids_from), "\"%.60s\"", (*found)->name);
	return 0;
}

int columns_take_text(struct format_reader *reader, const char *text, size_t length, uint64_t *id)
{
	if (reader->has_keys)
		return format_key(reader, text, length);
	return text_id(text, length, id) ? 0 : format_refuse_key(reader, text, length);
}

int columns_take_number(struct format_reader *reader, bool is_signed, uint64_t number, uint64_t *id)
{
	bool negative = is_signed && (int64_t)number < 0;
	char digits[TEXT_ID_BYTES + 1];
	int length;

	if (reader->has_ids && !negative) {
		*id = number;
		return 0;
	}
	if (negative)
		length = snprintf(digits, sizeof(digits), "%" PRId64, (int64_t)number);
	else
		length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
	return columns_take_text(reader, digits, (size_t)length, id);
}

bool columns_is_text(const char *key)
{
	size_t bytes;

	for (size_t left = strlen(key); left > 0; left -= bytes, key += bytes) {
		if (utf8_character(key, left, &bytes) == UINT32_MAX)
			return false;
	}
	return true;
}
