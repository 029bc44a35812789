/*
 * arrow_schema.h - what an Arrow file says of its columns, and where their bytes are in a batch.
 */
#ifndef ARROW_SCHEMA_H
#define ARROW_SCHEMA_H

#include "tools/formats/columns.h"
#include "tools/formats/flatbuffer.h"

enum arrow_kind {
	ARROW_OTHER,
	ARROW_NUMBER,
	ARROW_TEXT, /* offsets of `width` bytes */
	ARROW_VIEW, /* text that is told of by 16 bytes each */
	ARROW_LIST, /* offsets of `width` bytes */
	ARROW_FIXED_LIST, /* of `list_size` elements */
};

/* How a column is stored. */
struct arrow_column {
	enum arrow_kind kind;
	unsigned width; /* bytes of a number, or of an offset */
	uint32_t list_size;
	/* What comes before it in each batch: nodes, buffers, and columns whose buffers are counted by
	 * the batch. */
	size_t nodes, buffers, views;
};

struct arrow_schema {
	struct columns columns;
	struct arrow_column *arrow; /* for each of them */
	size_t nodes, buffers, views; /* of all of them */
};

/* Read the schema, the table in a message of that version. -EINVAL with a reason, -ENOMEM;
 * arrow_schema_free in any case. */
int arrow_schema_read(struct flat *flat, const struct flat_table *table, int64_t version,
                      struct format_reader *reader, struct arrow_schema *schema);
void arrow_schema_free(struct arrow_schema *schema);

#endif
