/*
 * parquet_columns.c - which columns of a Parquet file are the vectors and their IDs.
 */
#include "tools/formats/parquet_columns.h"
#include "tools/formats/columns.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Columns that count up are a vector from so many on. */
#define NUMBERED_MIN 2u

/* Text that grows. */
struct text {
	char *bytes;
	size_t length, room;
	bool failed; /* no memory */
};

static void append(struct text *text, const char *more, size_t length)
{
	if (text->failed)
		return;
	if (text->length + length + 1 > text->room) {
		size_t room = 2 * (text->length + length + 1);
		char *bytes = realloc(text->bytes, room);

		if (bytes == NULL) {
			text->failed = true;
			return;
		}
		text->bytes = bytes;
		text->room = room;
	}
	memcpy(text->bytes + text->length, more, length);
	text->length += length;
	text->bytes[text->length] = '\0';
}

static void append_text(struct text *text, const char *more)
{
	append(text, more, strlen(more));
}

/* A name as a query has it: in quotes, each quote in it doubled. */
static void append_name(struct text *text, const char *name)
{
	append_text(text, "\"");
	for (; *name != '\0'; name++)
		append(text, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
	append_text(text, "\"");
}

/* What the type of a column says: a number, or a list of them. */
static void find_element(struct column *column)
{
	static const struct {
		const char *name;
		enum element element;
	} types[] = {
		{ "FLOAT", ELEMENT_F4 },     { "DOUBLE", ELEMENT_F8 },
		{ "TINYINT", ELEMENT_I1 },   { "UTINYINT", ELEMENT_U1 },
		{ "SMALLINT", ELEMENT_I2 },  { "USMALLINT", ELEMENT_U2 },
		{ "INTEGER", ELEMENT_I4 },   { "UINTEGER", ELEMENT_U4 },
		{ "BIGINT", ELEMENT_I8 },    { "UBIGINT", ELEMENT_U8 },
		{ "BOOLEAN", ELEMENT_BOOL },
	};
	size_t length = strcspn(column->type, "[");
	const char *rest = column->type + length;

	column->element = ELEMENT_COUNT;
	column->list = *rest == '[';
	/* one pair of brackets: a number in them is that of an array */
	if (column->list && rest[1 + strspn(rest + 1, "0123456789")] == ']' &&
	    rest[2 + strspn(rest + 1, "0123456789")] != '\0')
		return;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strlen(types[i].name) == length &&
		    strncmp(types[i].name, column->type, length) == 0)
			column->element = types[i].element;
	}
	if (strcmp(column->type, "VARCHAR") == 0 || strcmp(column->type, "UUID") == 0)
		column->ids = COLUMN_IDS_TEXT;
	else if (column_is_number(column) && !element_is_float(column->element) &&
	         column->element != ELEMENT_BOOL)
		column->ids = column->type[0] == 'U' ? COLUMN_IDS_UNSIGNED : COLUMN_IDS_SIGNED;
}

static char *copy_text(const struct duck_query *query, uint64_t index, uint64_t row)
{
	const struct duck_column column = duck_column(query, index);
	size_t length;
	const char *text = duck_text(&column, row, &length);

	return strndup(text, length);
}

/* Take the columns of the current chunk. */
static int add_columns(struct columns *columns, const struct duck_query *query)
{
	struct column *added;
	int result = columns_add(columns, query->count, &added);

	for (uint64_t i = 0; result == 0 && i < query->count; i++) {
		added[i].name = copy_text(query, 0, i);
		added[i].type = copy_text(query, 1, i);
		if (added[i].name == NULL || added[i].type == NULL)
			result = -ENOMEM;
	}
	return result;
}

/* All columns with their types, as the library sees them. */
static int read_columns(const struct duck *duck, struct columns *table)
{
	struct duck_query query;
	char text[160];
	int result;

	(void)snprintf(text, sizeof(text),
	               "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "
	               "read_parquet('%s', hive_partitioning = false))",
	               duck->path);
	result = duck_query_begin(duck, text, &query, table->reader->reason);
	while (result == 0) {
		result = duck_query_next(&query, table->reader->reason);
		if (result <= 0)
			break;
		result = add_columns(table, &query);
	}
	duck_query_end(&query);
	return result;
}

/* Where floats of 2 bytes are: the tree of the file's own schema, each node before those that
 * are in it. */
static int read_halves(const struct duck *duck, struct columns *table)
{
	struct duck_query query;
	int64_t pending = 0; /* nodes that are left of the current column */
	bool root = true;
	size_t index = 0;
	char text[160];
	int result;

	(void)snprintf(text, sizeof(text),
	               "SELECT coalesce(num_children, 0)::BIGINT, "
	               "(coalesce(logical_type, '') LIKE 'Float16%%')::BIGINT "
	               "FROM parquet_schema('%s')",
	               duck->path);
	result = duck_query_begin(duck, text, &query, table->reader->reason);
	while (result == 0 && (result = duck_query_next(&query, table->reader->reason)) > 0) {
		struct duck_column children = duck_column(&query, 0);
		struct duck_column half = duck_column(&query, 1);

		result = 0;
		for (uint64_t i = root ? 1 : 0; i < query.count && index < table->count; i++) {
			pending += ((const int64_t *)children.data)[i] - (pending > 0);
			if (((const int64_t *)half.data)[i] != 0 &&
			    table->columns[index].element == ELEMENT_F4)
				table->columns[index].element = ELEMENT_F2;
			index += pending == 0;
		}
		root = false;
	}
	duck_query_end(&query);
	return result;
}

/* The number at the end of a name, and how long the name is before it. */
static bool split_name(const char *name, size_t *length, uint64_t *number)
{
	size_t digits = 0;

	*length = strlen(name);
	while (digits < *length && name[*length - digits - 1] >= '0' &&
	       name[*length - digits - 1] <= '9')
		digits++;
	*length -= digits;
	*number = strtoull(name + *length, NULL, 10);
	return digits > 0;
}

/* Columns of numbers x0, x1 ... that count up are a vector, too: they go into the query as a list
 * of them. Their number; 0 where there are no such. */
static size_t find_numbered(const struct columns *table, struct text *list, enum element *element)
{
	const struct column *first = NULL, *last = NULL;
	size_t length, prefix = 0, count = 0;
	uint64_t number, next = 0;

	for (size_t i = 0; i < table->count; i++) {
		const struct column *column = &table->columns[i];

		if (!column_is_number(column) || !split_name(column->name, &length, &number))
			continue;
		if (first == NULL && number <= 1) {
			first = column;
			prefix = length;
			next = number;
		}
		if (first == NULL || number != next || length != prefix ||
		    strncmp(column->name, first->name, length) != 0 ||
		    column->element != first->element)
			return 0;
		append_text(list, count > 0 ? ", " : "list_value(");
		append_name(list, column->name);
		last = column;
		next++;
		count++;
	}
	append_text(list, ")");
	if (count < NUMBERED_MIN)
		return 0;
	*element = first->element;
	(void)snprintf(table->reader->note, sizeof(table->reader->note),
	               "the vectors are its %zu columns '%.60s' to '%.60s'", count, first->name,
	               last->name);
	return count;
}

/* Put the query together. */
static int make_query(const struct duck *duck, const char *list, const struct column *id,
                      struct parquet_columns *columns)
{
	static const char *const kinds[] = {
		[COLUMN_IDS_NONE] = "",
		[COLUMN_IDS_SIGNED] = "BIGINT",
		[COLUMN_IDS_UNSIGNED] = "UBIGINT",
		[COLUMN_IDS_TEXT] = "VARCHAR",
	};
	struct text text = { 0 };

	append_text(&text, "SELECT ");
	append_text(&text, list);
	if (id != NULL) {
		append_text(&text, ", CAST(");
		append_name(&text, id->name);
		append_text(&text, " AS ");
		append_text(&text, kinds[columns->ids]);
		append_text(&text, ")");
	}
	append_text(&text, " FROM read_parquet('");
	append_text(&text, duck->path);
	append_text(&text, "', hive_partitioning = false)");
	columns->query = text.bytes;
	return text.failed ? -ENOMEM : 0;
}

/* What the query hands out for the vector of a row: a list, also of an array. */
static void put_list(const struct column *column, struct text *list)
{
	append_text(list, "CAST(");
	append_name(list, column->name);
	append_text(list, " AS ");
	append(list, column->type, strcspn(column->type, "["));
	append_text(list, "[])");
}

/* Whether export has written these floats wider than they are: the library knows no shorter ones. */
static int find_own_type(const struct duck *duck, struct format_reader *reader, enum element *type)
{
	struct duck_query query;
	char text[160], name[4];
	enum element own;
	int result;

	(void)snprintf(text, sizeof(text),
	               "SELECT decode(value) FROM parquet_kv_metadata('%s') "
	               "WHERE decode(key) = 'dtype' LIMIT 1",
	               duck->path);
	result = duck_query_begin(duck, text, &query, reader->reason);
	if (result == 0)
		result = duck_query_next(&query, reader->reason);
	if (result > 0) {
		struct duck_column column = duck_column(&query, 0);
		size_t length;
		const char *words = duck_text(&column, 0, &length);

		(void)snprintf(name, sizeof(name), "%.*s", (int)(length < 4 ? length : 0), words);
		if (element_parse(name, &own) == 0 && (own == ELEMENT_F2 || own == ELEMENT_BF2))
			*type = own;
	}
	duck_query_end(&query);
	return result < 0 ? result : 0;
}

static int choose(const struct duck *duck, const struct columns *table,
                  struct parquet_columns *columns)
{
	const struct column *vector = NULL, *id = NULL;
	struct text list = { 0 };
	int result = columns_find_vectors(table, &vector);

	if (result == 0)
		result = columns_find_ids(table, &id);
	if (result == 0 && vector != NULL) {
		put_list(vector, &list);
		columns->type = vector->element;
	} else if (result == 0 && find_numbered(table, &list, &columns->type) == 0) {
		result = columns_refuse(table);
	}
	columns->ids = id != NULL ? id->ids : COLUMN_IDS_NONE;
	columns->read = columns->type == ELEMENT_F2 ? ELEMENT_F4 : columns->type;
	if (result == 0 && columns->type == ELEMENT_F4)
		result = find_own_type(duck, table->reader, &columns->type);
	if (result == 0)
		result = list.failed ? -ENOMEM : make_query(duck, list.bytes, id, columns);
	free(list.bytes);
	return result;
}

int parquet_columns_choose(const struct duck *duck, struct format_reader *reader,
                           struct parquet_columns *columns)
{
	struct columns table = { .reader = reader };
	int result = read_columns(duck, &table);

	memset(columns, 0, sizeof(*columns));
	for (size_t i = 0; i < table.count && result == 0; i++)
		find_element(&table.columns[i]);
	if (result == 0)
		result = read_halves(duck, &table);
	if (result == 0)
		result = choose(duck, &table, columns);
	columns_free(&table);
	return result == -ENOMEM ? format_fail(reader, result, "%s", strerror(ENOMEM)) : result;
}

void parquet_columns_free(struct parquet_columns *columns)
{
	free(columns->query);
	columns->query = NULL;
}
