/*
 * columns.h - which columns of a table are the vectors and their IDs.
 */
#ifndef COLUMNS_H
#define COLUMNS_H

#include "engine/codec/element.h"
#include "tools/formats/format.h"

#include <stdbool.h>
#include <stddef.h>

/* More columns than a vector has elements, and whatever stands beside them. */
#define COLUMNS_MAX (1u << 17)
/* What a message shows of names. */
#define COLUMNS_NAMES_BYTES 200

/* What a column holds that could be IDs. */
enum column_ids {
	COLUMN_IDS_NONE,
	COLUMN_IDS_SIGNED,
	COLUMN_IDS_UNSIGNED,
	COLUMN_IDS_TEXT,
};

struct column {
	char *name;
	char *type; /* for people, as the format has it: "FLOAT[]" */
	enum element element; /* of a number, or of a list of them; else ELEMENT_COUNT */
	bool list;
	enum column_ids ids;
};

struct columns {
	struct column *columns;
	size_t count;
	struct format_reader *reader;
};

/* Room for `count` more, which are all zero, at *first. -EINVAL with a reason, -ENOMEM. */
int columns_add(struct columns *columns, size_t count, struct column **first);
void columns_free(struct columns *columns);

/* A column of numbers, one for each row. */
bool column_is_number(const struct column *column);

/*
 * The column of lists that is wanted by name, or the usual one; *found is NULL where no column
 * holds lists of numbers. reader->note tells of what a name does not. -EINVAL with a reason.
 */
int columns_find_vectors(const struct columns *columns, const struct column **found);

/* The same of the IDs; *found is NULL where there are none, or none are wanted. */
int columns_find_ids(const struct columns *columns, const struct column **found);

/* Take an ID that is a number, of 64 bits with a sign or without, or text: as *id, or as a key where
 * those are wanted. -EINVAL with a reason; errors of format_key. */
int columns_take_number(struct format_reader *reader, bool is_signed, uint64_t number,
                        uint64_t *id);
int columns_take_text(struct format_reader *reader, const char *text, size_t length, uint64_t *id);

/* Whether a key that is to be written is text: UTF-8. */
bool columns_is_text(const char *key);

/* Say which columns there are: none will do. -EINVAL. */
int columns_refuse(const struct columns *columns);

#endif
