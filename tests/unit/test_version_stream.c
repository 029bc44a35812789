/* Streams of snapshots over memory: what is written is read, and nothing else is. */
#include "unit.h"

#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/media/receive_mark.h"
#include "engine/transfer/stream_read.h"
#include "engine/transfer/stream_write.h"

#define DIM 4u
#define N (DIM * 4u)
#define REMOVALS 3u
#define ATTRIBUTES 2u
#define VECTORS 5u
#define ITEMS (REMOVALS + ATTRIBUTES + VECTORS)

struct memory {
	uint8_t bytes[32768];
	size_t length; /* written */
	size_t at; /* read up to there */
	size_t piece; /* most that one reading gives */
	int fail; /* errno of a write once there are so many bytes */
	size_t fail_at;
};

static int memory_write(void *arg, const void *bytes, size_t length)
{
	struct memory *memory = arg;

	if (memory->fail && memory->length + length > memory->fail_at)
		return -memory->fail;
	assert_true(memory->length + length <= sizeof(memory->bytes));
	memcpy(memory->bytes + memory->length, bytes, length);
	memory->length += length;
	return 0;
}

static int64_t memory_read(void *arg, void *to, size_t length)
{
	struct memory *memory = arg;
	size_t left = memory->length - memory->at;

	length = length < left ? length : left;
	length = length < memory->piece ? length : memory->piece;
	memcpy(to, memory->bytes + memory->at, length);
	memory->at += length;
	return (int64_t)length;
}

static struct stream_header sample(uint64_t position)
{
	return (struct stream_header){
		.store_uuid = { 1, 2, 3, [15] = 4 },
		.geometry = { .dim = DIM, .dtype = QUIVER_F4, .vector_bytes = N },
		.new_one = { .uuid = { 5, [15] = 6 }, .lsn = 1000, .count = 12, .name = "new" },
		.has_old = true,
		.old_one = { .uuid = { 7, [15] = 8 }, .lsn = 900, .count = 11, .name = "o.l-d:" },
		.removals = REMOVALS,
		.attributes = ATTRIBUTES,
		.vectors = VECTORS,
		.position = position,
		.created_ns = -7,
		.dir = { .mtime_ns = -8,
		         .ctime_ns = INT64_MAX,
		         .uid = 0x41424344,
		         .gid = 0x51525354,
		         .mode = 07751 },
		.description = { .metric = QUIVER_IP, .label = "m\xc3\xa9" },
	};
}

static struct stream_row row_of(uint64_t item)
{
	return (struct stream_row){
		.id = item == 7 ? QUIVER_ID_MAX : item * 1000,
		.attr = { .mtime_ns = -(int64_t)item,
		          .uid = UINT32_MAX - (uint32_t)item,
		          .gid = (uint32_t)item,
		          .mode = (uint16_t)(04000 + item) },
	};
}

static void fill(uint8_t *vector, uint64_t item)
{
	memset(vector, (int)(0x40 + item), N);
}

/* Items [first, end) of one kind, in one frame. */
static void put_items(struct stream_writer *writer, enum stream_frame_type type, uint64_t first,
                      uint64_t end)
{
	uint8_t payload[ITEMS * (STREAM_ROW_BYTES + N)];
	uint32_t count = (uint32_t)(end - first);

	for (uint32_t i = 0; i < count; i++) {
		struct stream_row row = row_of(first + i);

		if (type == STREAM_REMOVALS)
			stream_removal_encode(row.id, payload + 8 * (size_t)i);
		else
			stream_row_encode(&row, payload + STREAM_ROW_BYTES * (size_t)i);
		if (type == STREAM_VECTORS)
			fill(payload + STREAM_ROW_BYTES * (size_t)count + N * (size_t)i, first + i);
	}
	assert_int_equal(stream_write_items(writer, type, count, payload), 0);
}

/* The whole of it, or what follows a position. */
static void write_from(struct memory *memory, uint64_t position)
{
	static const uint64_t ends[] = { REMOVALS, REMOVALS + ATTRIBUTES, 7, ITEMS };
	static const enum stream_frame_type types[] = { STREAM_REMOVALS, STREAM_ATTRIBUTES,
		                                        STREAM_VECTORS, STREAM_VECTORS };
	struct stream_header header = sample(position);
	struct stream_writer writer;

	*memory = (struct memory){ .piece = SIZE_MAX };
	assert_int_equal(stream_write_begin(&writer, &header, memory_write, memory), 0);
	for (size_t i = 0; i < 4; i++) {
		if (position < ends[i])
			put_items(&writer, types[i], position, ends[i]);
		position = position < ends[i] ? ends[i] : position;
	}
	assert_int_equal(stream_write_end(&writer), 0);
}

static void check_frame(struct stream_reader *reader)
{
	const struct stream_frame *frame = &reader->frame;

	for (uint32_t i = 0; i < frame->items; i++) {
		struct stream_row expected = row_of(frame->position + i), row;
		uint8_t vector[N];

		if (frame->type == STREAM_REMOVALS) {
			row = expected;
			assert_int_equal(stream_read_removal(reader, i, &row.id), 0);
		} else {
			assert_int_equal(stream_read_row(reader, i, &row), 0);
		}
		assert_memory_equal(&row, &expected, sizeof(row));
		fill(vector, frame->position + i);
		if (frame->type == STREAM_VECTORS)
			assert_memory_equal(stream_read_vector(reader, i), vector, N);
	}
}

/* Read it to its end; what ended it. *items: that came before. */
static int read_all(struct memory *memory, uint64_t *items)
{
	struct stream_reader reader;
	int r;

	*items = 0;
	memory->at = 0;
	assert_int_equal(stream_read_open(&reader, memory_read, memory), 0);
	r = stream_read_header(&reader);
	while (r == 0) {
		r = stream_read_frame(&reader);
		if (r == 0) {
			check_frame(&reader);
			*items += reader.frame.items;
		}
	}
	assert_true((r != -EUCLEAN && r != -EINVAL) || reader.wrong != NULL);
	stream_read_close(&reader);
	return r;
}

static void what_is_written_is_read(void **state)
{
	static struct memory memory;
	uint64_t items;

	(void)state;
	for (uint64_t position = 0; position <= ITEMS; position++) {
		write_from(&memory, position);
		for (size_t piece = 1; piece < 4096; piece = piece * 9 + 1) {
			memory.piece = piece;
			assert_int_equal(read_all(&memory, &items), STREAM_READ_END);
			assert_int_equal(items, ITEMS - position);
		}
	}
}

static void a_header_says_all(void **state)
{
	struct stream_header header = sample(4), again;
	uint8_t page[STREAM_HEADER_BYTES];

	(void)state;
	stream_header_encode(&header, page);
	assert_int_equal(stream_header_decode(page, &again), 0);
	assert_memory_equal(&again, &header, sizeof(header));
	memset(header.new_one.name, 'x', QUIVER_SNAPSHOT_NAME_MAX);
	stream_header_encode(&header, page);
	assert_int_equal(stream_header_decode(page, &again), 0);
	assert_int_equal(strlen(again.new_one.name), QUIVER_SNAPSHOT_NAME_MAX);
}

static void streams_of_the_same_snapshots_go_together(void **state)
{
	struct stream_header header = sample(0), later = sample(9), other = sample(0);

	(void)state;
	other.new_one.uuid[3]++;
	assert_true(stream_tag(&header) == stream_tag(&later));
	assert_true(stream_tag(&header) != stream_tag(&other));
}

static void one_that_is_cut_ends_early(void **state)
{
	static struct memory memory;
	uint64_t items, most = 0;

	(void)state;
	write_from(&memory, 0);
	for (size_t length = memory.length; length-- > 0;) {
		memory.length = length;
		assert_int_equal(read_all(&memory, &items),
		                 length == 0 ? STREAM_READ_NOTHING : -ENODATA);
		most = items > most ? items : most;
	}
	assert_int_equal(most, ITEMS);
}

/* What came before the bit is as it was written: read_all compares it. */
static void each_flipped_bit_is_found(void **state)
{
	static struct memory memory;
	uint64_t items;

	(void)state;
	write_from(&memory, 2);
	for (size_t bit = 0; bit < memory.length * 8; bit++) {
		int r;

		memory.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		r = read_all(&memory, &items);
		assert_int_equal(r, bit < 64 ? -EINVAL : -EUCLEAN);
		memory.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void frames_of_others_and_out_of_order_are_refused(void **state)
{
	static struct memory memory, other;
	/* Where the frames begin. */
	const size_t first = STREAM_HEADER_BYTES, second = first + 48 + 8 * REMOVALS,
		     third = second + 48 + 32 * ATTRIBUTES;
	uint64_t items;

	(void)state;
	write_from(&memory, 0);
	memmove(memory.bytes + first, memory.bytes + second, memory.length - second);
	memory.length -= second - first;
	assert_int_equal(read_all(&memory, &items), -EUCLEAN);

	write_from(&memory, 0);
	memmove(memory.bytes + third, memory.bytes + second, memory.length - third);
	assert_int_equal(read_all(&memory, &items), -EUCLEAN);
	assert_int_equal(items, REMOVALS + ATTRIBUTES);

	write_from(&memory, 0);
	write_from(&other, REMOVALS);
	memcpy(memory.bytes + second, other.bytes + first, other.length - first);
	memory.length = second + other.length - first;
	assert_int_equal(read_all(&memory, &items), -EUCLEAN);
	assert_int_equal(items, REMOVALS);
}

/* A header with a good checksum that says something else at a place. */
static int decode_with(size_t at, size_t bytes, uint64_t value)
{
	struct stream_header header = sample(0);
	uint8_t page[STREAM_HEADER_BYTES], le[8];

	stream_header_encode(&header, page);
	put_le64(le, value);
	memcpy(page + at, le, bytes);
	put_le64(page + 4088, XXH3_64bits(page, 4088));
	return stream_header_decode(page, &header);
}

static void hostile_headers_are_refused(void **state)
{
	static const struct {
		size_t at, bytes;
		uint64_t value;
		int result;
	} cases[] = {
		{ 8, 4, 2, -ENOTSUP }, /* a newer version */
		{ 176, 8, 1, -ENOTSUP }, /* a feature */
		{ 12, 4, 2, -EUCLEAN },
		{ 12, 4, 0, -EUCLEAN }, /* no OLD, and yet there is one */
		{ 72, 8, 1000, 0 }, /* with another label, say */
		{ 72, 8, 1001, -EUCLEAN }, /* newer than the new one */
		{ 80, 8, UINT64_MAX, -EUCLEAN },
		{ 80, 8, 7, -EUCLEAN },
		{ 80, 8, 14, -EUCLEAN },
		{ 88, 8, UINT64_MAX, -EUCLEAN },
		{ 96, 8, UINT64_MAX, -EUCLEAN },
		{ 96, 8, 12, -EUCLEAN },
		{ 104, 8, UINT64_MAX - 7, -EUCLEAN },
		{ 104, 8, 12, -EUCLEAN },
		{ 112, 8, UINT64_MAX, -EUCLEAN },
		{ 112, 8, 13, -EUCLEAN },
		{ 120, 8, ITEMS + 1, -EUCLEAN },
		{ 120, 8, UINT64_MAX, -EUCLEAN },
		{ 128, 4, 0, -EUCLEAN },
		{ 128, 4, QUIVER_DIM_MAX + 1, -EUCLEAN },
		{ 128, 4, UINT32_MAX, -EUCLEAN },
		{ 132, 4, 7, -EUCLEAN },
		{ 132, 4, UINT32_MAX, -EUCLEAN },
		{ 168, 2, 010000, -EUCLEAN },
		{ 170, 2, QUIVER_HAMMING, -EUCLEAN }, /* of f4 */
		{ 170, 2, 9, -EUCLEAN },
		{ 184, 8, 1, -EUCLEAN }, /* nothing is there yet */
		{ 192, 8, 0, -EUCLEAN },
		{ 192, 8, 0x2f2e2e, -EUCLEAN }, /* "../" */
		{ 192, 8, 0x61002f61, -EUCLEAN },
		{ 196, 1, 'x', -EUCLEAN }, /* behind its NUL */
		{ 256, 1, '.', -EUCLEAN },
		{ 510, 2, 1025, -EUCLEAN },
		{ 510, 2, 2, -EUCLEAN }, /* half of a character */
		{ 512, 1, 7, -EUCLEAN },
		{ 1600, 1, 1, -EUCLEAN },
	};

	(void)state;
	assert_int_equal(decode_with(0, 1, 'Q'), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (decode_with(cases[i].at, cases[i].bytes, cases[i].value) != cases[i].result)
			fail_msg("%zu: %zu", i, cases[i].at);
}

/* Frames that have good checksums, and lengths, numbers and IDs that cannot be. */
static void hostile_frames_are_refused(void **state)
{
	static const struct {
		uint32_t type, items, length;
		uint64_t id;
	} cases[] = {
		{ STREAM_REMOVALS, 1, 16, 0 },
		{ STREAM_REMOVALS, 0, 0, 0 },
		{ STREAM_REMOVALS, REMOVALS + 1, 8 * (REMOVALS + 1), 0 },
		{ STREAM_REMOVALS, UINT32_MAX, UINT32_MAX, 0 },
		{ STREAM_REMOVALS, (1u << 17) + 1, (1u << 20) + 8, 0 },
		{ STREAM_REMOVALS, 1, 8, QUIVER_ID_MAX + 1 },
		{ STREAM_REMOVALS, 1, 8, UINT64_MAX },
		{ STREAM_ATTRIBUTES, 1, 32, 0 },
		{ STREAM_VECTORS, 1, 48, 0 },
		{ STREAM_END, 0, 16, 0 },
		{ 0, 1, 8, 0 },
		{ 5, 1, 8, 0 },
		{ UINT32_MAX, 1, 8, 0 },
	};
	static struct memory memory;
	uint64_t id;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stream_header header = sample(0);
		struct stream_writer writer;
		struct stream_reader reader;
		uint8_t payload[64] = { 0 }, head[STREAM_FRAME_BYTES];
		struct stream_frame frame = { .type = cases[i].type,
			                      .items = cases[i].items,
			                      .payload_bytes = cases[i].length };
		int r;

		memory = (struct memory){ .piece = SIZE_MAX };
		assert_int_equal(stream_write_begin(&writer, &header, memory_write, &memory), 0);
		put_le64(payload, cases[i].id);
		frame.payload_sum =
			stream_sum(payload, cases[i].length <= 64 ? cases[i].length : 64);
		stream_frame_encode(&frame, writer.tag, head);
		assert_int_equal(memory_write(&memory, head, sizeof(head)), 0);
		assert_int_equal(memory_write(&memory, payload, sizeof(payload)), 0);
		assert_int_equal(stream_read_open(&reader, memory_read, &memory), 0);
		assert_int_equal(stream_read_header(&reader), 0);
		r = stream_read_frame(&reader);
		if (r == 0)
			r = stream_read_removal(&reader, 0, &id);
		if (r != -EUCLEAN)
			fail_msg("%zu: %d", i, r);
		stream_read_close(&reader);
	}
}

static void rows_that_cannot_be_are_refused(void **state)
{
	struct stream_row row = row_of(1);
	uint8_t bytes[STREAM_ROW_BYTES];

	(void)state;
	stream_row_encode(&row, bytes);
	assert_int_equal(stream_row_decode(bytes, &row), 0);
	bytes[31] = 1;
	assert_int_equal(stream_row_decode(bytes, &row), -EUCLEAN);
	bytes[31] = 0;
	put_le16(bytes + 24, 010000);
	assert_int_equal(stream_row_decode(bytes, &row), -EUCLEAN);
	put_le16(bytes + 24, 0644);
	put_le64(bytes, QUIVER_ID_MAX + 1);
	assert_int_equal(stream_row_decode(bytes, &row), -EUCLEAN);
}

static void text_is_no_stream(void **state)
{
	static const char *const texts[] = { "x", "QUIVERS", "QUIVERSB",
		                             "quiverfs: no such store\n", "QUIVERSx" };
	static struct memory memory;
	uint64_t items;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		memory = (struct memory){ .piece = SIZE_MAX };
		assert_int_equal(memory_write(&memory, texts[i], strlen(texts[i])), 0);
		assert_int_equal(read_all(&memory, &items),
		                 strcmp(texts[i], "QUIVERS") == 0 ? -ENODATA : -EINVAL);
	}
}

static void another_may_follow(void **state)
{
	static struct memory memory, second;
	struct stream_reader reader;

	(void)state;
	write_from(&memory, 0);
	write_from(&second, 5);
	assert_int_equal(memory_write(&memory, second.bytes, second.length), 0);
	assert_int_equal(stream_read_open(&reader, memory_read, &memory), 0);
	for (unsigned i = 0; i < 2; i++) {
		int r = stream_read_header(&reader);

		while (r == 0)
			r = stream_read_frame(&reader);
		assert_int_equal(r, STREAM_READ_END);
	}
	assert_int_equal(stream_read_header(&reader), STREAM_READ_NOTHING);
	stream_read_close(&reader);
}

static void a_write_that_fails_is_told(void **state)
{
	static struct memory memory;
	struct stream_header header = sample(0);
	struct stream_writer writer;
	uint8_t payload[STREAM_PAYLOAD_BYTES_MAX / 1024] = { 0 };

	(void)state;
	memory = (struct memory){ .fail = EPIPE, .fail_at = 0 };
	assert_int_equal(stream_write_begin(&writer, &header, memory_write, &memory), -EPIPE);
	memory = (struct memory){ .fail = ENOSPC, .fail_at = STREAM_HEADER_BYTES + 50 };
	assert_int_equal(stream_write_begin(&writer, &header, memory_write, &memory), 0);
	assert_int_equal(stream_write_items(&writer, STREAM_REMOVALS, 3, payload), -ENOSPC);
}

static void a_mark_says_all_and_each_flipped_bit_is_found(void **state)
{
	struct receive_mark mark = { .store_uuid = { 9, [15] = 1 },
		                     .going_back = true,
		                     .position = 7,
		                     .name = "here",
		                     .header = sample(0) };
	struct receive_mark again;
	uint8_t file[RECEIVE_MARK_BYTES];

	(void)state;
	receive_mark_encode(&mark, file);
	assert_int_equal(receive_mark_decode(file, mark.store_uuid, &again), 0);
	assert_memory_equal(&again, &mark, sizeof(mark));
	for (size_t bit = 0; bit < sizeof(file) * 8; bit++) {
		file[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(receive_mark_decode(file, mark.store_uuid, &again), -EUCLEAN);
		file[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(receive_mark_decode(file, mark.header.store_uuid, &again), -EUCLEAN);
	mark.position = ITEMS + 1;
	receive_mark_encode(&mark, file);
	assert_int_equal(receive_mark_decode(file, mark.store_uuid, &again), -EUCLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_header_says_all),
		cmocka_unit_test(streams_of_the_same_snapshots_go_together),
		cmocka_unit_test(one_that_is_cut_ends_early),
		cmocka_unit_test(each_flipped_bit_is_found),
		cmocka_unit_test(frames_of_others_and_out_of_order_are_refused),
		cmocka_unit_test(hostile_headers_are_refused),
		cmocka_unit_test(hostile_frames_are_refused),
		cmocka_unit_test(rows_that_cannot_be_are_refused),
		cmocka_unit_test(text_is_no_stream),
		cmocka_unit_test(another_may_follow),
		cmocka_unit_test(a_write_that_fails_is_told),
		cmocka_unit_test(a_mark_says_all_and_each_flipped_bit_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
