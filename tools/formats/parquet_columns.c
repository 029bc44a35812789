/*
 * parquet_columns.c - which columns of a Parquet file are the vectors and their IDs.
 */
#include "tools/formats/parquet_columns.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* More columns than a vector has elements, and whatever stands beside them. */
#define COLUMNS_MAX (1u << 17)
/* What a message shows of names. */
#define NAMES_BYTES 200
/* Columns that count up are a vector from so many on. */
#define NUMBERED_MIN 2u

struct column {
	char *name;
	char *type; /* as the library writes it: "FLOAT[]" */
	enum element element; /* of a number, or of a list of them; else ELEMENT_COUNT */
	bool list;
	bool half; /* a float of 2 bytes, which the library makes one of 4 */
};

struct table {
	struct column *columns;
	size_t count;
	struct format_reader *reader;
};

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
	if (column->element == ELEMENT_F4 && column->half)
		column->element = ELEMENT_F2;
}

static bool is_list(const struct column *column)
{
	return column->list && column->element != ELEMENT_COUNT;
}

static bool is_number(const struct column *column)
{
	return !column->list && column->element != ELEMENT_COUNT;
}

static char *copy_text(const struct duck_query *query, uint64_t index, uint64_t row)
{
	const struct duck_column column = duck_column(query, index);
	size_t length;
	const char *text = duck_text(&column, row, &length);

	return strndup(text, length);
}

/* Take the columns of the current chunk. */
static int add_columns(struct table *table, const struct duck_query *query)
{
	struct column *columns;

	if (query->count > COLUMNS_MAX - table->count)
		return format_refuse(table->reader, "it has more than %u columns", COLUMNS_MAX);
	columns = realloc(table->columns, (table->count + query->count) * sizeof(*columns));
	if (columns == NULL)
		return -ENOMEM;
	table->columns = columns;
	for (uint64_t i = 0; i < query->count; i++) {
		struct column *column = &columns[table->count++];

		memset(column, 0, sizeof(*column));
		column->name = copy_text(query, 0, i);
		column->type = copy_text(query, 1, i);
		if (column->name == NULL || column->type == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* All columns with their types, as the library sees them. */
static int read_columns(const struct duck *duck, struct table *table)
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
static int read_halves(const struct duck *duck, struct table *table)
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
			if (((const int64_t *)half.data)[i] != 0)
				table->columns[index].half = true;
			index += pending == 0;
		}
		root = false;
	}
	duck_query_end(&query);
	return result;
}

static const struct column *find(const struct table *table, const char *name)
{
	for (size_t i = 0; i < table->count; i++) {
		if (strcmp(table->columns[i].name, name) == 0)
			return &table->columns[i];
	}
	return NULL;
}

/* Names and types for a message: of lists of numbers, or of all. */
static const char *name_columns(const struct table *table, bool lists, char names[NAMES_BYTES])
{
	size_t used = 0;

	names[0] = '\0';
	for (size_t i = 0; i < table->count; i++) {
		const struct column *column = &table->columns[i];
		int length;

		if (lists && !is_list(column))
			continue;
		length = snprintf(names + used, NAMES_BYTES - used, "%s%.60s (%.30s)",
		                  used > 0 ? ", " : "", column->name, column->type);
		if (length < 0 || used + (size_t)length >= NAMES_BYTES) {
			(void)snprintf(names + (used < NAMES_BYTES - 6 ? used : NAMES_BYTES - 6), 6,
			               ", ...");
			break;
		}
		used += (size_t)length;
	}
	return names;
}

/* The column that was asked for. */
static const struct column *find_wanted(const struct table *table, const char *option,
                                        const char *name)
{
	const struct column *column = find(table, name);
	char names[NAMES_BYTES];

	if (column == NULL)
		(void)format_refuse(table->reader, "%s: it has no column '%.60s'; it has: %s",
		                    option, name, name_columns(table, false, names));
	return column;
}

/* The column of lists, or NULL where none is, with a reason where several are. */
static int find_lists(const struct table *table, const struct column **found)
{
	static const char *const usual[] = { "vector", "embedding", "embeddings",
		                             "values", "emb",       "vectors" };
	const char *wanted = table->reader->wanted.vector_column;
	const struct column *only = NULL;
	char names[NAMES_BYTES];
	size_t count = 0;

	if (wanted != NULL) {
		*found = find_wanted(table, "--vector-column", wanted);
		if (*found != NULL && !is_list(*found))
			return format_refuse(table->reader,
			                     "its column '%.60s' is %.40s; expected is a list of "
			                     "numbers, one for each element",
			                     wanted, (*found)->type);
		return *found != NULL ? 0 : -EINVAL;
	}
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		*found = find(table, usual[i]);
		if (*found != NULL && is_list(*found))
			return 0;
	}
	for (size_t i = 0; i < table->count; i++) {
		if (is_list(&table->columns[i])) {
			only = &table->columns[i];
			count++;
		}
	}
	*found = only;
	if (count > 1)
		return format_refuse(table->reader,
		                     "several of its columns hold lists of numbers, and "
		                     "--vector-column NAME chooses one: %s",
		                     name_columns(table, true, names));
	if (only != NULL)
		(void)snprintf(table->reader->note, sizeof(table->reader->note),
		               "the vectors are its column '%.60s'", only->name);
	return 0;
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
static size_t find_numbered(const struct table *table, struct text *list, enum element *element)
{
	const struct column *first = NULL, *last = NULL;
	size_t length, prefix = 0, count = 0;
	uint64_t number, next = 0;

	for (size_t i = 0; i < table->count; i++) {
		const struct column *column = &table->columns[i];

		if (!is_number(column) || !split_name(column->name, &length, &number))
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

/* The column of IDs, or NULL where there is none. */
static int find_ids(const struct table *table, const struct column **found, enum parquet_ids *ids)
{
	static const char *const usual[] = { "id", "_id" };
	const char *wanted = table->reader->wanted.id_column;

	*found = NULL;
	*ids = PARQUET_IDS_NONE;
	if (table->reader->wanted.ids_unused && table->reader->wanted.on_key == NULL)
		return 0;
	if (wanted != NULL) {
		*found = find_wanted(table, "--id-column", wanted);
		if (*found == NULL)
			return -EINVAL;
	}
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]) && *found == NULL; i++)
		*found = find(table, usual[i]);
	if (*found == NULL)
		return 0;
	if (strcmp((*found)->type, "VARCHAR") == 0 || strcmp((*found)->type, "UUID") == 0)
		*ids = PARQUET_IDS_TEXT;
	else if (is_number(*found) && !element_is_float((*found)->element) &&
	         (*found)->element != ELEMENT_BOOL)
		*ids = (*found)->type[0] == 'U' ? PARQUET_IDS_UNSIGNED : PARQUET_IDS_SIGNED;
	else
		return format_refuse(
			table->reader,
			"its column of IDs, '%.60s', is %.40s; expected are integers or "
			"text; --id-column NAME chooses another",
			(*found)->name, (*found)->type);
	return 0;
}

/* Put the query together. */
static int make_query(const struct duck *duck, const char *list, const struct column *id,
                      struct parquet_columns *columns)
{
	static const char *const kinds[] = {
		[PARQUET_IDS_NONE] = "",
		[PARQUET_IDS_SIGNED] = "BIGINT",
		[PARQUET_IDS_UNSIGNED] = "UBIGINT",
		[PARQUET_IDS_TEXT] = "VARCHAR",
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

static int choose(const struct duck *duck, const struct table *table,
                  struct parquet_columns *columns)
{
	const struct column *vector = NULL, *id = NULL;
	struct text list = { 0 };
	char names[NAMES_BYTES];
	int result = find_lists(table, &vector);

	if (result == 0)
		result = find_ids(table, &id, &columns->ids);
	if (result == 0 && vector != NULL) {
		put_list(vector, &list);
		columns->type = vector->element;
	} else if (result == 0 && find_numbered(table, &list, &columns->type) == 0) {
		result = format_refuse(table->reader,
		                       "none of its columns holds lists of numbers, nor do columns "
		                       "of numbers count up as x0, x1 do; it has: %s",
		                       name_columns(table, false, names));
	}
	columns->read = columns->type == ELEMENT_F2 ? ELEMENT_F4 : columns->type;
	if (result == 0)
		result = list.failed ? -ENOMEM : make_query(duck, list.bytes, id, columns);
	free(list.bytes);
	return result;
}

int parquet_columns_choose(const struct duck *duck, struct format_reader *reader,
                           struct parquet_columns *columns)
{
	struct table table = { .reader = reader };
	int result = read_columns(duck, &table);

	memset(columns, 0, sizeof(*columns));
	if (result == 0)
		result = read_halves(duck, &table);
	for (size_t i = 0; i < table.count && result == 0; i++)
		find_element(&table.columns[i]);
	if (result == 0)
		result = choose(duck, &table, columns);
	for (size_t i = 0; i < table.count; i++) {
		free(table.columns[i].name);
		free(table.columns[i].type);
	}
	free(table.columns);
	return result == -ENOMEM ? format_fail(reader, result, "%s", strerror(ENOMEM)) : result;
}

void parquet_columns_free(struct parquet_columns *columns)
{
	free(columns->query);
	columns->query = NULL;
}
