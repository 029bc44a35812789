/* fuzz_stream.c - streams of snapshots, with their sums put right or left alone, and the mark of a
 * store that receives one. */
#include <errno.h>
#include <string.h>

#include "engine/media/bytes.h"
#include "engine/media/receive_mark.h"
#include "engine/transfer/stream_read.h"
#include "engine/transfer/stream_write.h"
#include "fuzz.h"

#define ROOM 65536u
/* FORMAT.md: the named fields of a header end before that, but for the label, which begins here. */
#define FRONT_BYTES 320u
#define AT_LABEL 510u
#define LABEL_BYTES 8u /* of an input */

struct memory {
	uint8_t bytes[ROOM];
	size_t length, at, piece;
};

static int64_t give(void *arg, void *to, size_t length)
{
	struct memory *memory = arg;
	size_t left = memory->length - memory->at;

	length = length < left ? length : left;
	length = length < memory->piece ? length : memory->piece;
	memcpy(to, memory->bytes + memory->at, length);
	memory->at += length;
	return (int64_t)length;
}

static int take(void *arg, const void *bytes, size_t length)
{
	struct memory *memory = arg;

	FUZZ_CHECK(memory->length + length <= ROOM);
	memcpy(memory->bytes + memory->length, bytes, length);
	memory->length += length;
	return 0;
}

/* An input has of a header what can be said there; the frames follow as they are. */
static void spread(struct fuzz_input *input, struct memory *memory)
{
	uint8_t *page = memory->bytes;
	size_t rest;

	memset(page, 0, STREAM_HEADER_BYTES);
	for (size_t i = 0; i < FRONT_BYTES; i++)
		page[i] = (uint8_t)fuzz_take(input, 1);
	for (size_t i = 0; i < LABEL_BYTES; i++)
		page[AT_LABEL + i] = (uint8_t)fuzz_take(input, 1);
	rest = input->size < ROOM - STREAM_HEADER_BYTES ? input->size : ROOM - STREAM_HEADER_BYTES;
	memcpy(page + STREAM_HEADER_BYTES, input->data, rest);
	memory->length = STREAM_HEADER_BYTES + rest;
}

static void right_header(uint8_t *page)
{
	memcpy(page, "QUIVERST", 8);
	put_le64(page + STREAM_HEADER_BYTES - 8, stream_sum(page, STREAM_HEADER_BYTES - 8));
}

/* The sums of all frames, one behind the other as their lengths say. */
static void right_frames(struct memory *memory)
{
	struct stream_header header;
	size_t at = STREAM_HEADER_BYTES;
	uint64_t tag, chain;

	if (stream_header_decode(memory->bytes, &header) != 0)
		return;
	tag = chain = stream_tag(&header);
	while (memory->length - at >= STREAM_FRAME_BYTES) {
		uint8_t *frame = memory->bytes + at, bytes[STREAM_FRAME_BYTES];
		uint64_t length = get_le64(frame + 8), left = memory->length - at - 48;

		length = length < left ? length : left;
		if (get_le32(frame) == STREAM_END && length == STREAM_END_BYTES)
			stream_end_encode(at, chain, frame + STREAM_FRAME_BYTES);
		put_le64(frame + 32, stream_sum(frame + STREAM_FRAME_BYTES, length));
		memcpy(bytes, frame, 40);
		put_le64(bytes + 40, tag);
		put_le64(frame + 40, stream_sum(bytes, sizeof(bytes)));
		chain = stream_chain(chain, get_le64(frame + 40));
		at += STREAM_FRAME_BYTES + length;
	}
}

static void check_items(struct stream_reader *reader)
{
	const struct stream_frame *frame = &reader->frame;

	FUZZ_CHECK(frame->items > 0 && frame->payload_bytes <= STREAM_PAYLOAD_BYTES_MAX);
	FUZZ_CHECK(reader->position <= stream_items(&reader->header));
	for (uint32_t i = 0; i < frame->items; i++) {
		struct stream_row row = { 0 };
		int r = frame->type == STREAM_REMOVALS ? stream_read_removal(reader, i, &row.id)
		                                       : stream_read_row(reader, i, &row);

		FUZZ_CHECK(r == 0 || r == -EUCLEAN);
		FUZZ_CHECK(r || (row.id <= QUIVER_ID_MAX && row.attr.mode <= 07777));
		if (frame->type == STREAM_VECTORS)
			(void)stream_sum(stream_read_vector(reader, i),
			                 reader->header.geometry.vector_bytes);
	}
}

static void read_all(struct memory *memory)
{
	struct stream_reader reader;
	uint64_t items = 0;
	int r;

	FUZZ_CHECK(stream_read_open(&reader, give, memory) == 0);
	r = stream_read_header(&reader);
	while (r == 0) {
		r = stream_read_frame(&reader);
		if (r == 0) {
			check_items(&reader);
			items += reader.frame.items;
		}
	}
	FUZZ_CHECK(r == STREAM_READ_NOTHING || r == STREAM_READ_END || r == -ENODATA ||
	           r == -EINVAL || r == -EUCLEAN || r == -ENOTSUP);
	FUZZ_CHECK(r != STREAM_READ_END ||
	           items == stream_items(&reader.header) - reader.header.position);
	stream_read_close(&reader);
}

/* What is read of a mark, written, reads the same. */
static void read_mark(struct fuzz_input *input, const uint8_t *header)
{
	static const uint8_t uuid[16] = { 1 };
	uint8_t file[RECEIVE_MARK_BYTES] = { 0 }, again[RECEIVE_MARK_BYTES], both[4096];
	struct receive_mark mark;

	memcpy(file, "QUIVERRV", 8);
	file[8] = 1;
	memcpy(file + 16, uuid, 16);
	for (size_t i = 12; i < 128; i++)
		file[i] = (uint8_t)(i >= 16 && i < 32 ? file[i] : fuzz_take(input, 1));
	memcpy(file + 4096, header, STREAM_HEADER_BYTES);
	memcpy(both, file, 4088);
	memcpy(both + 4088, file + RECEIVE_MARK_BYTES - 8, 8);
	put_le64(file + 4088, stream_sum(both, sizeof(both)));
	if (receive_mark_decode(file, uuid, &mark) != 0)
		return;
	FUZZ_CHECK(quiver_snapshot_name_is_valid(mark.name));
	FUZZ_CHECK(mark.position <= stream_items(&mark.header));
	receive_mark_encode(&mark, again);
	FUZZ_CHECK(memcmp(again + 4096, file + 4096, STREAM_HEADER_BYTES) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory memory;
	struct fuzz_input input = { data, size };
	uint64_t how = fuzz_take(&input, 1);

	memory.at = 0;
	memory.piece = how & 8 ? 7 : SIZE_MAX;
	if (how & 4) {
		memory.length = input.size < ROOM ? input.size : ROOM;
		memcpy(memory.bytes, input.data, memory.length);
	} else {
		spread(&input, &memory);
		if (how & 1)
			right_header(memory.bytes);
		if (how & 2)
			right_frames(&memory);
	}
	read_all(&memory);
	if (memory.length >= STREAM_HEADER_BYTES)
		read_mark(&input, memory.bytes);
	return 0;
}

static struct stream_header sample(unsigned number)
{
	struct stream_header header = {
		.store_uuid = { 1 },
		.geometry = { .dim = 2, .dtype = QUIVER_F4, .vector_bytes = 8 },
		.new_one = { .uuid = { 2 }, .lsn = 9, .count = 3, .name = "new" },
		.vectors = 3,
		.dir = { .mode = 0755 },
		.description = { .label = "l" },
	};

	if (number & 1) {
		header.has_old = true;
		header.old_one = (struct stream_version){
			.uuid = { 3 }, .lsn = 5, .count = 3, .name = "old"
		};
		header.removals = 2;
		header.attributes = 1;
		header.vectors = 2;
	}
	header.position = number & 2 ? 1 : 0;
	return header;
}

/* Whole streams, and such of changes, from the beginning or the second item on. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	static struct memory memory;
	struct stream_header header = sample(number);
	uint8_t payload[3 * (STREAM_ROW_BYTES + 8)] = { 0 };
	struct stream_writer writer;
	uint64_t ends[] = { header.removals, header.removals + header.attributes,
		            stream_items(&header) };
	size_t frames;

	if (number >= 4)
		return FUZZ_NO_SEED;
	memory.length = 0;
	FUZZ_CHECK(stream_write_begin(&writer, &header, take, &memory) == 0);
	for (unsigned kind = 0; kind < 3; kind++)
		if (writer.position < ends[kind])
			FUZZ_CHECK(stream_write_items(
					   &writer,
					   (enum stream_frame_type)(STREAM_REMOVALS + kind),
					   (uint32_t)(ends[kind] - writer.position), payload) == 0);
	FUZZ_CHECK(stream_write_end(&writer) == 0);
	frames = memory.length - STREAM_HEADER_BYTES;
	FUZZ_CHECK(room >= 1 + FRONT_BYTES + LABEL_BYTES + frames);
	*to++ = 3;
	memcpy(to, memory.bytes, FRONT_BYTES);
	memcpy(to + FRONT_BYTES, memory.bytes + AT_LABEL, LABEL_BYTES);
	memcpy(to + FRONT_BYTES + LABEL_BYTES, memory.bytes + STREAM_HEADER_BYTES, frames);
	return 1 + FRONT_BYTES + LABEL_BYTES + frames;
}
