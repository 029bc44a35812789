/*
 * arrow_schema.c - what an Arrow file says of its columns, and where their bytes are in a batch.
 */
#include "tools/formats/arrow_schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fields within fields, and of all together: a file may refer to one many times. */
#define DEPTH_MAX 64u
#define FIELDS_MAX (1u << 18)
#define TYPE_BYTES 64u
/* Before it unions had a bitmap. */
#define VERSION_5 4

/* Fields of the tables of Schema.fbs. */
enum { SCHEMA_ENDIANNESS = 0, SCHEMA_FIELDS = 1 };
enum {
	FIELD_NAME = 0,
	FIELD_TYPE_KIND = 2,
	FIELD_TYPE = 3,
	FIELD_DICTIONARY = 4,
	FIELD_CHILDREN = 5
};

/* Types of Schema.fbs: name, and buffers beside those of the children. */
enum {
	TYPE_INT = 2,
	TYPE_FLOAT = 3,
	TYPE_UTF8 = 5,
	TYPE_BOOL = 6,
	TYPE_LIST = 12,
	TYPE_UNION = 14,
	TYPE_FIXED_LIST = 16,
	TYPE_LARGE_UTF8 = 20,
	TYPE_LARGE_LIST = 21,
	TYPE_BINARY_VIEW = 23,
	TYPE_UTF8_VIEW = 24,
};

static const struct {
	const char *name;
	unsigned buffers;
} types[] = {
	[1] = { "null", 0 },
	[2] = { "int", 2 },
	[3] = { "float", 2 },
	[4] = { "binary", 3 },
	[5] = { "utf8", 3 },
	[6] = { "bool", 2 },
	[7] = { "decimal", 2 },
	[8] = { "date", 2 },
	[9] = { "time", 2 },
	[10] = { "timestamp", 2 },
	[11] = { "interval", 2 },
	[12] = { "list", 2 },
	[13] = { "struct", 1 },
	[14] = { "union", 1 },
	[15] = { "fixed_size_binary", 2 },
	[16] = { "fixed_size_list", 1 },
	[17] = { "map", 2 },
	[18] = { "duration", 2 },
	[19] = { "large_binary", 3 },
	[20] = { "large_utf8", 3 },
	[21] = { "large_list", 2 },
	[22] = { "run_end_encoded", 0 },
	[23] = { "binary_view", 2 },
	[24] = { "utf8_view", 2 },
	[25] = { "list_view", 3 },
	[26] = { "large_list_view", 3 },
};

struct walk {
	struct flat *flat;
	struct arrow_schema *schema;
	int64_t version;
	size_t fields;
};

/* The element of a field of numbers, or ELEMENT_COUNT; its bytes to *width. */
static enum element find_number(struct flat *flat, const struct flat_table *field, unsigned *width)
{
	static const enum element floats[] = { ELEMENT_F2, ELEMENT_F4, ELEMENT_F8 };
	static const enum element integers[4][2] = { { ELEMENT_U1, ELEMENT_I1 },
		                                     { ELEMENT_U2, ELEMENT_I2 },
		                                     { ELEMENT_U4, ELEMENT_I4 },
		                                     { ELEMENT_U8, ELEMENT_I8 } };
	struct flat_table type = flat_table(flat, field, FIELD_TYPE);
	enum element element = ELEMENT_COUNT;
	int64_t kind = flat_integer(flat, field, FIELD_TYPE_KIND, 1, 0);
	int64_t size;

	if (flat_table(flat, field, FIELD_DICTIONARY).at != 0)
		return ELEMENT_COUNT;
	if (kind == TYPE_BOOL) {
		element = ELEMENT_BOOL;
	} else if (kind == TYPE_FLOAT) {
		size = flat_integer(flat, &type, 0, 2, 0);
		if (size >= 0 && size <= 2)
			element = floats[size];
	} else if (kind == TYPE_INT) {
		size = flat_integer(flat, &type, 0, 4, 0);
		for (unsigned i = 0; i < 4; i++) {
			if (size == INT64_C(8) << i)
				element = integers[i][flat_integer(flat, &type, 1, 1, 0) != 0];
		}
	}
	*width = element == ELEMENT_COUNT ? 0 : element_bytes(element);
	return element;
}

/* Count the nodes and buffers of a field and of those in it. */
static int walk_field(struct walk *walk, const struct flat_table *field, unsigned depth)
{
	struct flat *flat = walk->flat;
	struct arrow_schema *schema = walk->schema;
	struct format_reader *reader = schema->columns.reader;
	int64_t kind = flat_integer(flat, field, FIELD_TYPE_KIND, 1, 0);
	struct flat_table type = flat_table(flat, field, FIELD_TYPE);
	struct flat_vector children = flat_vector(flat, field, FIELD_CHILDREN, 4);

	if (depth == DEPTH_MAX || ++walk->fields > FIELDS_MAX)
		return format_refuse(reader, "its schema has too many fields");
	schema->nodes++;
	/* of a dictionary there are the numbers of its entries */
	if (flat_table(flat, field, FIELD_DICTIONARY).at != 0) {
		schema->buffers += 2;
		return 0;
	}
	if (kind < 1 || kind >= (int64_t)(sizeof(types) / sizeof(types[0])))
		return format_refuse(reader,
		                     "its schema has a type, %" PRId64 ", that is not known", kind);
	schema->buffers += types[kind].buffers;
	/* a union's mode is dense where it is not 0: then it has offsets, too */
	if (kind == TYPE_UNION)
		schema->buffers +=
			(flat_integer(flat, &type, 0, 2, 0) != 0) + (walk->version < VERSION_5);
	schema->views += kind == TYPE_BINARY_VIEW || kind == TYPE_UTF8_VIEW;
	for (size_t i = 0; i < children.count; i++) {
		struct flat_table child = flat_element(flat, &children, i);
		int result = walk_field(walk, &child, depth + 1);

		if (result < 0)
			return result;
	}
	return 0;
}

/* What a list is of. */
static void find_list(struct flat *flat, const struct flat_table *field, int64_t kind,
                      struct column *column, struct arrow_column *arrow)
{
	struct flat_vector children = flat_vector(flat, field, FIELD_CHILDREN, 4);
	struct flat_table child = flat_element(flat, &children, 0);
	struct flat_table type = flat_table(flat, field, FIELD_TYPE);
	int64_t size = flat_integer(flat, &type, 0, 4, 0);
	unsigned width;

	column->list = true;
	column->element = children.count == 1 ? find_number(flat, &child, &width) : ELEMENT_COUNT;
	arrow->kind = kind == TYPE_FIXED_LIST ? ARROW_FIXED_LIST : ARROW_LIST;
	arrow->width = kind == TYPE_LARGE_LIST ? 8 : 4;
	if (kind != TYPE_FIXED_LIST)
		return;
	if (size < 1)
		column->element = ELEMENT_COUNT;
	else
		arrow->list_size = (uint32_t)size;
}

/* Find out what a column can be used as, and its type in words. */
static int describe(struct flat *flat, const struct flat_table *field, struct column *column,
                    struct arrow_column *arrow)
{
	struct flat_vector name = flat_vector(flat, field, FIELD_NAME, 1);
	int64_t kind = flat_integer(flat, field, FIELD_TYPE_KIND, 1, 0);
	bool dictionary = flat_table(flat, field, FIELD_DICTIONARY).at != 0;
	char text[TYPE_BYTES];

	column->element = dictionary ? ELEMENT_COUNT : find_number(flat, field, &arrow->width);
	if (column->element != ELEMENT_COUNT) {
		arrow->kind = ARROW_NUMBER;
		if (!element_is_float(column->element) && column->element != ELEMENT_BOOL)
			column->ids = element_name(column->element)[0] == 'u' ? COLUMN_IDS_UNSIGNED
			                                                      : COLUMN_IDS_SIGNED;
	} else if (!dictionary && (kind == TYPE_UTF8 || kind == TYPE_LARGE_UTF8)) {
		arrow->kind = ARROW_TEXT;
		arrow->width = kind == TYPE_UTF8 ? 4 : 8;
		column->ids = COLUMN_IDS_TEXT;
	} else if (!dictionary && kind == TYPE_UTF8_VIEW) {
		arrow->kind = ARROW_VIEW;
		column->ids = COLUMN_IDS_TEXT;
	} else if (!dictionary &&
	           (kind == TYPE_LIST || kind == TYPE_LARGE_LIST || kind == TYPE_FIXED_LIST)) {
		find_list(flat, field, kind, column, arrow);
	}
	if (column->element != ELEMENT_COUNT && !column->list)
		(void)snprintf(text, sizeof(text), "%s", element_name(column->element));
	else if (column->list)
		(void)snprintf(text, sizeof(text), "%s of %s", types[kind].name,
		               column->element != ELEMENT_COUNT ? element_name(column->element)
		                                                : "no numbers");
	else
		(void)snprintf(text, sizeof(text), "%s%s", dictionary ? "dictionary of " : "",
		               types[kind].name);
	column->name = strndup((const char *)flat->bytes + name.at, name.count);
	column->type = strdup(text);
	return column->name == NULL || column->type == NULL ? -ENOMEM : 0;
}

static int add_field(struct walk *walk, const struct flat_table *field, struct column *column,
                     struct arrow_column *arrow)
{
	struct arrow_schema *schema = walk->schema;
	int64_t kind = flat_integer(walk->flat, field, FIELD_TYPE_KIND, 1, 0);
	int result;

	arrow->nodes = schema->nodes;
	arrow->buffers = schema->buffers;
	arrow->views = schema->views;
	result = walk_field(walk, field, 0);
	if (result < 0)
		return result;
	if (kind < 1 || kind >= (int64_t)(sizeof(types) / sizeof(types[0])))
		return format_refuse(schema->columns.reader,
		                     "its schema has a type, %" PRId64 ", that is not known", kind);
	return describe(walk->flat, field, column, arrow);
}

int arrow_schema_read(struct flat *flat, const struct flat_table *table, int64_t version,
                      struct format_reader *reader, struct arrow_schema *schema)
{
	struct walk walk = { .flat = flat, .schema = schema, .version = version };
	struct flat_vector fields = flat_vector(flat, table, SCHEMA_FIELDS, 4);
	struct column *columns = NULL;
	int result;

	memset(schema, 0, sizeof(*schema));
	schema->columns.reader = reader;
	if (flat_integer(flat, table, SCHEMA_ENDIANNESS, 2, 0) != 0)
		return format_refuse(reader, "its numbers are big-endian");
	result = columns_add(&schema->columns, fields.count, &columns);
	if (result < 0)
		return result;
	schema->arrow = calloc(fields.count + 1, sizeof(*schema->arrow));
	if (schema->arrow == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < fields.count && result == 0; i++) {
		struct flat_table field = flat_element(flat, &fields, i);

		result = add_field(&walk, &field, &columns[i], &schema->arrow[i]);
	}
	return result == 0 && flat->bad ? format_refuse(reader, "its schema is damaged") : result;
}

void arrow_schema_free(struct arrow_schema *schema)
{
	columns_free(&schema->columns);
	free(schema->arrow);
	memset(schema, 0, sizeof(*schema));
}
