/*
 * arrow_file.h - the messages of an Arrow file or stream, one after another.
 */
#ifndef ARROW_FILE_H
#define ARROW_FILE_H

#include "tools/formats/flatbuffer.h"
#include "tools/formats/format.h"

enum arrow_message_kind {
	ARROW_SCHEMA = 1,
	ARROW_DICTIONARY = 2,
	ARROW_BATCH = 3,
};

struct arrow_file {
	struct format_reader *reader; /* the caller's */
	uint64_t begin, end; /* of the messages */
	uint64_t next; /* where the next message begins */
	uint32_t
		contents_bytes; /* of the table of contents at `end`; 0: a stream, which has none */
	/* The current message: */
	struct flat flat;
	struct flat_table header; /* the table in it */
	int64_t kind, version;
	uint64_t body, body_bytes; /* what follows it */
	unsigned char *bytes; /* of flat */
	size_t room;
};

/* Look at both ends of the file. -EINVAL with a reason, errors of reading. */
int arrow_file_open(struct format_reader *reader, struct arrow_file *file);
void arrow_file_close(struct arrow_file *file);

/* Have the schema as the current header: that of the table of contents, since not every writer puts
 * it before the batches, too, or the first message. As above, -ENOMEM. */
int arrow_file_schema(struct arrow_file *file);
/* Go to the next message. 1, or 0 at the end; errors as above, -ENOMEM. */
int arrow_file_next(struct arrow_file *file);
/* Go to the first one again. */
void arrow_file_rewind(struct arrow_file *file);

#endif
