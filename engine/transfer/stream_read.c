#include "engine/transfer/stream_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int stream_read_open(struct stream_reader *reader,
                     int64_t (*read)(void *arg, void *to, size_t length), void *arg)
{
	*reader = (struct stream_reader){
		.read = read,
		.arg = arg,
		.payload = malloc(STREAM_PAYLOAD_BYTES_MAX),
	};
	return reader->payload ? 0 : -ENOMEM;
}

void stream_read_close(struct stream_reader *reader)
{
	free(reader->payload);
	reader->payload = NULL;
}

static int wrong(struct stream_reader *reader, int r, const char *what)
{
	reader->wrong = what;
	return r;
}

/* Read all of `length`. 0, -ENODATA it ends before, or what `read` returned. */
static int read_all(struct stream_reader *reader, void *to, size_t length)
{
	uint8_t *at = to;

	while (length > 0) {
		int64_t got = reader->read(reader->arg, at, length);

		if (got < 0)
			return (int)got;
		if (got == 0)
			return -ENODATA;
		at += got;
		length -= (size_t)got;
		reader->bytes += (uint64_t)got;
	}
	return 0;
}

int stream_read_header(struct stream_reader *reader)
{
	uint8_t page[STREAM_HEADER_BYTES];
	uint64_t before = reader->bytes;
	/* What is no stream is told by its first bytes, however few there are. */
	int r = read_all(reader, page, 8);

	if (r == -ENODATA && reader->bytes == before)
		return STREAM_READ_NOTHING;
	if (r == -ENODATA)
		memset(page + (reader->bytes - before), 0, 8 - (reader->bytes - before));
	if ((r == 0 || r == -ENODATA) &&
	    memcmp(page, "QUIVERST", r == 0 ? 8 : (size_t)(reader->bytes - before)) != 0)
		return wrong(reader, -EINVAL, "it does not begin as a stream does");
	if (r == 0)
		r = read_all(reader, page + 8, sizeof(page) - 8);
	if (r)
		return r;
	reader->bytes = sizeof(page); /* of this stream, by which its end counts */
	r = stream_header_decode(page, &reader->header);
	if (r)
		return wrong(reader, r, "its header does not match its checksum, or is none");
	reader->tag = reader->chain = stream_tag(&reader->header);
	reader->sequence = 0;
	reader->position = reader->header.position;
	return 0;
}

/* Which items come at a position, and how many of them until others come. */
static enum stream_frame_type expected(const struct stream_header *header, uint64_t position,
                                       uint64_t *left)
{
	uint64_t attributes = header->removals + header->attributes;
	uint64_t all = stream_items(header);
	uint64_t end = position < header->removals ? header->removals
	               : position < attributes     ? attributes
	                                           : all;

	*left = end - position;
	return position < header->removals ? STREAM_REMOVALS
	       : position < attributes     ? STREAM_ATTRIBUTES
	       : position < all            ? STREAM_VECTORS
	                                   : STREAM_END;
}

/* Whether the frame is the one that follows. */
static int check_place(struct stream_reader *reader)
{
	const struct stream_frame *frame = &reader->frame;
	uint64_t left;
	enum stream_frame_type type = expected(&reader->header, reader->position, &left);

	if (frame->sequence != reader->sequence || frame->position != reader->position)
		return wrong(reader, -EUCLEAN, "its parts are not in their order");
	if (frame->type != type || frame->items > left)
		return wrong(reader, -EUCLEAN, "it has not got what its header says");
	return 0;
}

int stream_read_frame(struct stream_reader *reader)
{
	uint32_t n = reader->header.geometry.vector_bytes;
	uint64_t bytes = reader->bytes;
	uint8_t head[STREAM_FRAME_BYTES];
	struct stream_frame *frame = &reader->frame;
	int r = read_all(reader, head, sizeof(head));

	if (r)
		return r;
	r = stream_frame_decode(head, reader->tag, n, frame);
	if (r)
		return wrong(reader, r, "a part of it does not match its checksum");
	r = check_place(reader);
	if (r == 0)
		r = read_all(reader, reader->payload, frame->payload_bytes);
	if (r)
		return r;
	if (stream_sum(reader->payload, frame->payload_bytes) != frame->payload_sum)
		return wrong(reader, -EUCLEAN, "a part of it does not match its checksum");
	if (frame->type == STREAM_END) {
		r = stream_end_check(reader->payload, bytes, reader->chain);
		return r ? wrong(reader, r, "its end does not fit what came before")
		         : STREAM_READ_END;
	}
	reader->chain = stream_chain(reader->chain, frame->sum);
	reader->sequence++;
	reader->position += frame->items;
	return 0;
}

int stream_read_removal(struct stream_reader *reader, uint32_t item, uint64_t *id)
{
	int r = stream_removal_decode(reader->payload + 8 * (size_t)item, id);

	return r ? wrong(reader, r, "it has an ID that cannot be") : 0;
}

int stream_read_row(struct stream_reader *reader, uint32_t item, struct stream_row *row)
{
	int r = stream_row_decode(reader->payload + STREAM_ROW_BYTES * (size_t)item, row);

	return r ? wrong(reader, r, "it has an ID or attributes that cannot be") : 0;
}

const uint8_t *stream_read_vector(const struct stream_reader *reader, uint32_t item)
{
	return reader->payload + STREAM_ROW_BYTES * (size_t)reader->frame.items +
	       (size_t)reader->header.geometry.vector_bytes * item;
}
