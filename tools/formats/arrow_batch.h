/*
 * arrow_batch.h - the batches of an Arrow file, and where in the current one a reader is.
 *
 * Every column that is read goes from the start of its buffers to their end. One thread. Errors
 * are negative errnos with a reason in the reader, but for -EINTR.
 */
#ifndef ARROW_BATCH_H
#define ARROW_BATCH_H

#include "tools/formats/arrow_buffer.h"
#include "tools/formats/arrow_file.h"
#include "tools/formats/arrow_schema.h"
#include "tools/formats/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows that have a value, or not. */
struct arrow_nulls {
	bool any;
	struct arrow_buffer bits; /* 1 where there is one */
};

/* A batch's header. */
struct arrow_batch {
	uint64_t rows;
	enum arrow_codec codec;
	struct flat_vector nodes, buffers, views;
};

struct arrow_reading {
	struct arrow_file file;
	struct arrow_schema schema;
	const struct arrow_column *vector, *id; /* id NULL: there is none */
	enum element type;
	enum column_ids ids;
	/* The current batch: */
	bool within;
	struct arrow_batch batch;
	uint64_t row;
	struct arrow_nulls vector_nulls, element_nulls, id_nulls;
	struct arrow_buffer offsets, elements, id_values, id_text;
	uint64_t elements_count; /* of all its lists */
	int64_t offset; /* of the next row */
	int64_t id_offset; /* the same; of text that is told of, behind the last one */
	size_t views, view; /* buffers of such text, and which of them id_text is, from 1 on */
	char *text; /* of an ID; NULL before the first */
};

/* ---- a batch ---- */

/* Go to the next message that is a batch. 1, or 0 at the end. */
int arrow_batch_next(struct format_reader *reader, struct arrow_reading *reading,
                     struct arrow_batch *batch);
/* What a batch claims must be there: without that a few bytes tell of any number of rows. Of what
 * is compressed it is seen when it is read. */
int arrow_batch_check(struct format_reader *reader, struct arrow_reading *reading,
                      const struct arrow_batch *batch);
/* Have a row ready. 1, or 0 at the end. */
int arrow_batch_advance(struct format_reader *reader, struct arrow_reading *reading);
/* Give back what the current batch holds. */
void arrow_batch_end(struct arrow_reading *reading);

/* The length of the next list. */
int arrow_batch_length(struct format_reader *reader, struct arrow_reading *reading,
                       uint64_t *length);

/* Begin to read buffer `index` of a column. */
int arrow_batch_buffer(struct format_reader *reader, struct arrow_reading *reading,
                       const struct arrow_column *column, size_t index,
                       struct arrow_buffer *buffer);
/* The next bytes of a buffer; `to` NULL: they are passed over. */
int arrow_batch_take(struct format_reader *reader, struct arrow_buffer *buffer, void *to,
                     uint64_t length);
int arrow_batch_bit(struct format_reader *reader, struct arrow_buffer *buffer, bool *bit);
/* A little-endian integer of `width` bytes. */
int arrow_batch_integer(struct format_reader *reader, struct arrow_buffer *buffer, unsigned width,
                        bool is_signed, int64_t *value);

#endif
