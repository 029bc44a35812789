#include "engine/transfer/stream_write.h"

static int write_out(struct stream_writer *writer, const void *bytes, size_t length)
{
	int r = writer->write(writer->arg, bytes, length);

	if (r == 0)
		writer->bytes += length;
	return r;
}

int stream_write_begin(struct stream_writer *writer, const struct stream_header *header,
                       int (*write)(void *arg, const void *bytes, size_t length), void *arg)
{
	uint8_t page[STREAM_HEADER_BYTES];

	*writer = (struct stream_writer){
		.write = write,
		.arg = arg,
		.vector_bytes = header->geometry.vector_bytes,
		.tag = stream_tag(header),
		.position = header->position,
	};
	writer->chain = writer->tag;
	stream_header_encode(header, page);
	return write_out(writer, page, sizeof(page));
}

static int write_frame(struct stream_writer *writer, enum stream_frame_type type, uint32_t items,
                       const uint8_t *payload)
{
	uint8_t bytes[STREAM_FRAME_BYTES];
	struct stream_frame frame = {
		.type = type,
		.items = items,
		.payload_bytes = (uint32_t)stream_payload_bytes(type, items, writer->vector_bytes),
		.sequence = writer->sequence,
		.position = writer->position,
	};
	int r;

	frame.payload_sum = stream_sum(payload, frame.payload_bytes);
	stream_frame_encode(&frame, writer->tag, bytes);
	r = write_out(writer, bytes, sizeof(bytes));
	if (r == 0)
		r = write_out(writer, payload, frame.payload_bytes);
	writer->sequence++;
	writer->position += items;
	writer->chain = stream_chain(writer->chain, frame.sum);
	return r;
}

int stream_write_items(struct stream_writer *writer, enum stream_frame_type type, uint32_t items,
                       const uint8_t *payload)
{
	return write_frame(writer, type, items, payload);
}

int stream_write_end(struct stream_writer *writer)
{
	uint8_t payload[STREAM_END_BYTES];

	stream_end_encode(writer->bytes, writer->chain, payload);
	return write_frame(writer, STREAM_END, 0, payload);
}
