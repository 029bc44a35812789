/* test_rados_format.c - a collection in RADOS as bytes: header, rows, names of objects and keys. */
#include "unit.h"

#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/rados/header.h"
#include "engine/rados/layout.h"
#include "engine/rados/row.h"

static const struct row row_sample = {
	.id = 0x0102030405060708,
	.tag = { 0x1112131415161718, 0x2122232425262728 },
	.attr = { .mtime_ns = -5,
	          .ctime_ns = 0x3132333435363738,
	          .uid = 0x41424344,
	          .gid = 0x51525354,
	          .mode = 07751 },
	.sum = 0x6162636465666768,
	.revision = 0x71727374,
};

#define COLLECTION UINT64_C(0x8182838485868788)

static struct collection_header header_sample(void)
{
	struct collection_header header = {
		.geometry = { .dim = 768,
		              .dtype = QUIVER_F4,
		              .vector_bytes = 3072,
		              .uuid = { 1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15,
		                        16 } },
		.tag = { 0x1112131415161718, 0x2122232425262728 },
		.dir = { .mtime_ns = -5,
		         .ctime_ns = 0x6162636465666768,
		         .uid = 0x41424344,
		         .gid = 0x51525354,
		         .mode = 07751 },
		.description = { .metric = QUIVER_IP, .label = "m\xc3\xa9" },
		.features_to_change = 0x0807,
		.features_to_pass = 0x0a09,
		.kept = { 0xb1, [95] = 0xb2 },
	};

	layout_make(3072, false, &header.layout);
	return header;
}

static void same_row(const struct row *a, const struct row *b)
{
	assert_true(a->id == b->id && a->sum == b->sum && a->revision == b->revision);
	assert_true(a->tag.client == b->tag.client && a->tag.counter == b->tag.counter);
	assert_true(a->attr.mtime_ns == b->attr.mtime_ns && a->attr.ctime_ns == b->attr.ctime_ns);
	assert_true(a->attr.uid == b->attr.uid && a->attr.gid == b->attr.gid);
	assert_int_equal(a->attr.mode, b->attr.mode);
}

static void test_row_reads_as_written(void **state)
{
	uint8_t bytes[ROW_BYTES];
	struct row row;

	(void)state;
	row_encode(&row_sample, COLLECTION, bytes);
	assert_int_equal(row_decode(bytes, sizeof(bytes), COLLECTION, row_sample.id, &row), 0);
	same_row(&row, &row_sample);
}

/* Against FORMAT.md, and not against the code's own idea of it. */
static void test_row_is_as_documented(void **state)
{
	uint8_t bytes[ROW_BYTES];
	uint8_t summed[76];

	(void)state;
	row_encode(&row_sample, COLLECTION, bytes);
	assert_int_equal(get_le32(bytes), 0x31525651);
	assert_int_equal(get_le16(bytes + 4), 1);
	assert_int_equal(get_le16(bytes + 6), 07751);
	assert_true(get_le64(bytes + 8) == row_sample.id);
	assert_true(get_le64(bytes + 16) == row_sample.tag.client);
	assert_true(get_le64(bytes + 24) == row_sample.tag.counter);
	assert_true((int64_t)get_le64(bytes + 32) == -5);
	assert_true(get_le64(bytes + 40) == 0x3132333435363738);
	assert_int_equal(get_le32(bytes + 48), 0x41424344);
	assert_int_equal(get_le32(bytes + 52), 0x51525354);
	assert_true(get_le64(bytes + 56) == row_sample.sum);
	assert_int_equal(get_le32(bytes + 64), 0x71727374);
	assert_true(get_le64(bytes + 72) == COLLECTION);
	memcpy(summed, bytes, 68);
	memcpy(summed + 68, bytes + 72, 8);
	assert_true(get_le32(bytes + 68) == (uint32_t)XXH3_64bits(summed, sizeof(summed)));
}

static void test_each_flipped_bit_of_a_row_is_damage(void **state)
{
	uint8_t bytes[ROW_BYTES];
	struct row row;

	(void)state;
	row_encode(&row_sample, COLLECTION, bytes);
	for (unsigned bit = 0; bit < 8 * ROW_BYTES; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(row_decode(bytes, ROW_BYTES, COLLECTION, row_sample.id, &row),
		                 -EUCLEAN);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void fix_crc(uint8_t bytes[ROW_BYTES])
{
	uint8_t summed[76];

	memcpy(summed, bytes, 68);
	memcpy(summed + 68, bytes + 72, 8);
	put_le32(bytes + 68, (uint32_t)XXH3_64bits(summed, sizeof(summed)));
}

static void test_rows_that_are_none(void **state)
{
	uint8_t bytes[ROW_BYTES + 1] = { 0 };
	struct row row;

	(void)state;
	assert_int_equal(row_decode(NULL, 0, COLLECTION, 1, &row), -ENOENT);
	assert_int_equal(row_decode(bytes, ROW_BYTES, COLLECTION, 0, &row), -EUCLEAN);
	row_encode(&row_sample, COLLECTION, bytes);
	/* what a collection of the same name has left */
	assert_int_equal(row_decode(bytes, ROW_BYTES, COLLECTION + 1, row_sample.id, &row),
	                 -ENOENT);
	/* the row of another vector, a row cut, one that is too long */
	assert_int_equal(row_decode(bytes, ROW_BYTES, COLLECTION, row_sample.id + 1, &row),
	                 -EUCLEAN);
	assert_int_equal(row_decode(bytes, ROW_BYTES - 1, COLLECTION, row_sample.id, &row),
	                 -EUCLEAN);
	assert_int_equal(row_decode(bytes, ROW_BYTES + 1, COLLECTION, row_sample.id, &row),
	                 -EUCLEAN);
	/* what no program of this version writes */
	put_le16(bytes + 6, 010000);
	fix_crc(bytes);
	assert_int_equal(row_decode(bytes, ROW_BYTES, COLLECTION, row_sample.id, &row), -EUCLEAN);
	row_encode(&row_sample, COLLECTION, bytes);
	put_le16(bytes + 4, 2);
	fix_crc(bytes);
	assert_int_equal(row_decode(bytes, ROW_BYTES, COLLECTION, row_sample.id, &row), -EUCLEAN);
}

static void test_a_sum_binds_bytes_to_vector_and_commit(void **state)
{
	static const uint8_t data[100] = { 1, 2, 3 };
	uint8_t summed[32];
	struct row row = row_sample;
	uint8_t other[100];

	(void)state;
	row.sum = row_sum(row.id, &row.tag, data, sizeof(data));
	put_le64(summed, row.id);
	put_le64(summed + 8, row.tag.client);
	put_le64(summed + 16, row.tag.counter);
	put_le64(summed + 24, XXH3_64bits(data, sizeof(data)));
	assert_true(row.sum == XXH3_64bits(summed, sizeof(summed)));
	assert_true(row_fits(&row, data, sizeof(data)));
	assert_false(row_fits(&row, data, sizeof(data) - 1));
	memcpy(other, data, sizeof(data));
	other[99] = 1;
	assert_false(row_fits(&row, other, sizeof(other)));
	row.tag.counter++;
	assert_false(row_fits(&row, data, sizeof(data)));
	row.tag.counter--;
	row.id++;
	assert_false(row_fits(&row, data, sizeof(data)));
}

static void test_versions_differ_with_their_tags(void **state)
{
	const struct tag one = { 1, 1 };
	const struct tag two = { 1, 2 };
	const struct tag three = { 2, 1 };

	(void)state;
	assert_true(tag_version(&one) != 0 && tag_version(&one) == tag_version(&one));
	assert_true(tag_version(&one) != tag_version(&two));
	assert_true(tag_version(&one) != tag_version(&three));
}

static void test_header_reads_as_written(void **state)
{
	const struct collection_header sample = header_sample();
	uint8_t bytes[COLLECTION_HEADER_BYTES];
	uint8_t again[COLLECTION_HEADER_BYTES];
	struct collection_header header;

	(void)state;
	collection_header_encode(&sample, bytes);
	assert_memory_equal(bytes, "QUIVERRC", 8);
	assert_int_equal(get_le32(bytes + 8), 1);
	assert_int_equal(get_le32(bytes + 56), 3072);
	assert_int_equal(get_le32(bytes + 60), 4096);
	assert_int_equal(get_le32(bytes + 64), 64);
	assert_true(get_le64(bytes + 4088) == XXH3_64bits(bytes, 4088));
	assert_int_equal(collection_header_decode(bytes, sizeof(bytes), &header), 0);
	assert_int_equal(header.geometry.dim, 768);
	assert_int_equal(header.geometry.dtype, QUIVER_F4);
	assert_int_equal(header.geometry.vector_bytes, 3072);
	assert_memory_equal(header.geometry.uuid, sample.geometry.uuid, 16);
	assert_string_equal(header.description.label, "m\xc3\xa9");
	assert_int_equal(header.description.metric, QUIVER_IP);
	/* all the rest */
	collection_header_encode(&header, again);
	assert_memory_equal(bytes, again, sizeof(bytes));
}

/* What a header with these bytes changed, and its sum put right, is taken for. */
static int decode_changed(size_t at, unsigned width, uint64_t value)
{
	const struct collection_header sample = header_sample();
	uint8_t bytes[COLLECTION_HEADER_BYTES];
	struct collection_header header;

	collection_header_encode(&sample, bytes);
	for (unsigned i = 0; i < width; i++)
		bytes[at + i] = (uint8_t)(value >> 8 * i);
	put_le64(bytes + 4088, XXH3_64bits(bytes, 4088));
	return collection_header_decode(bytes, sizeof(bytes), &header);
}

/* The mode of stat(2), which a program that uses the library may hand over. */
static void test_a_header_with_a_whole_mode_is_read_again(void **state)
{
	struct collection_header sample = header_sample();
	uint8_t bytes[COLLECTION_HEADER_BYTES];
	struct collection_header header;

	(void)state;
	sample.dir.mode = 040751;
	collection_header_encode(&sample, bytes);
	assert_int_equal(collection_header_decode(bytes, sizeof(bytes), &header), 0);
	assert_int_equal(header.dir.mode, 0751);
}

static void test_headers_that_are_refused(void **state)
{
	const struct collection_header sample = header_sample();
	uint8_t bytes[COLLECTION_HEADER_BYTES];
	struct collection_header header;

	(void)state;
	assert_int_equal(decode_changed(8, 4, 1), 0);
	assert_int_equal(decode_changed(0, 1, 'q'), -EINVAL);
	assert_int_equal(decode_changed(8, 4, 0), -EUCLEAN);
	assert_int_equal(decode_changed(8, 4, 2), -ENOTSUP);
	assert_int_equal(decode_changed(128, 8, 1), -ENOTSUP);
	assert_int_equal(decode_changed(136, 8, 1), 0);
	assert_int_equal(decode_changed(48, 4, 0), -EUCLEAN); /* dim */
	assert_int_equal(decode_changed(48, 4, 769), -EUCLEAN);
	assert_int_equal(decode_changed(48, 4, 65537), -EUCLEAN);
	assert_int_equal(decode_changed(52, 4, 7), -EUCLEAN); /* dtype */
	assert_int_equal(decode_changed(56, 4, 3073), -EUCLEAN); /* N */
	assert_int_equal(decode_changed(60, 4, 3072), -EUCLEAN); /* stride */
	assert_int_equal(decode_changed(60, 4, 0), -EUCLEAN);
	assert_int_equal(decode_changed(64, 4, 0), -EUCLEAN); /* S */
	assert_int_equal(decode_changed(64, 4, 32), -EUCLEAN);
	assert_int_equal(decode_changed(64, 4, 1), 0); /* sparse */
	assert_int_equal(decode_changed(68, 2, QUIVER_HAMMING), -EUCLEAN); /* of f4 */
	assert_int_equal(decode_changed(70, 2, 010000), -EUCLEAN);
	assert_int_equal(decode_changed(510, 2, 1025), -EUCLEAN);
	assert_int_equal(decode_changed(512, 1, 0x1b), -EUCLEAN);
	collection_header_encode(&sample, bytes);
	for (size_t length = 0; length < sizeof(bytes); length++)
		assert_int_equal(collection_header_decode(bytes, length, &header),
		                 length < 8 ? -EINVAL : -EUCLEAN);
	for (size_t i = 8; i < sizeof(bytes); i++) {
		bytes[i] ^= 1;
		assert_int_equal(collection_header_decode(bytes, sizeof(bytes), &header), -EUCLEAN);
		bytes[i] ^= 1;
	}
}

static void test_layouts(void **state)
{
	static const struct {
		uint32_t bytes, stride, slots;
	} expected[] = {
		{ 1, 1, 1024 },        { 255, 255, 1024 },    { 256, 256, 1024 },
		{ 257, 257, 512 },     { 512, 512, 512 },     { 2047, 2047, 128 },
		{ 2048, 4096, 64 },    { 3072, 4096, 64 },    { 4096, 4096, 64 },
		{ 4097, 8192, 32 },    { 65536, 65536, 4 },   { 131072, 131072, 2 },
		{ 131073, 135168, 1 }, { 262144, 262144, 1 }, { 524288, 524288, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		struct layout layout;

		layout_make(expected[i].bytes, false, &layout);
		assert_int_equal(layout.stride, expected[i].stride);
		assert_int_equal(layout.slots, expected[i].slots);
		assert_true(layout_is_valid(&layout));
		layout_make(expected[i].bytes, true, &layout);
		assert_int_equal(layout.stride, expected[i].stride);
		assert_int_equal(layout.slots, 1);
		assert_true(layout_is_valid(&layout));
	}
}

static void test_where_a_vector_lies(void **state)
{
	char name[OBJECT_NAME_BYTES];
	struct layout layout;

	(void)state;
	layout_make(3072, false, &layout);
	assert_true(layout_object(&layout, 6400) == 100);
	assert_int_equal(layout_slot(&layout, 6463), 63);
	assert_true(layout_offset(&layout, 6463) == 63 * 4096);
	assert_true(layout_object_bytes(&layout) == 63 * 4096 + 3072);
	layout_object_name("c", layout_object(&layout, QUIVER_ID_MAX), name);
	assert_string_equal(name, "c.03fffffffbffffff");
}

/* One name: what it is, and of which collection. */
static void check_name(const char *name, enum layout_what what, size_t bytes, uint64_t object)
{
	/* As from rados_object_list: with something behind it that is no NUL. */
	char *copy = malloc(strlen(name) + 1);
	size_t found = 99;
	uint64_t number = 99;

	assert_non_null(copy);
	memcpy(copy, name, strlen(name));
	copy[strlen(name)] = '7';
	assert_int_equal(layout_parse(copy, strlen(name), &found, &number), what);
	assert_int_equal(found, bytes);
	if (what == LAYOUT_DATA)
		assert_true(number == object);
	free(copy);
}

#define SIXTY_FOUR "0123456789012345678901234567890123456789012345678901234567890123"

static void test_names_of_objects(void **state)
{
	(void)state;
	check_name("a.header", LAYOUT_HEADER, 1, 0);
	check_name("a.0000000000000000", LAYOUT_DATA, 1, 0);
	check_name("a-_9Z.ffffffffffffffff", LAYOUT_DATA, 5, UINT64_MAX);
	check_name(SIXTY_FOUR ".000000000000000a", LAYOUT_DATA, 64, 10);
	check_name(SIXTY_FOUR "0.000000000000000a", LAYOUT_OTHER, 0, 0);
	check_name("a.lost+found.0000000000000001", LAYOUT_LOST, 1, 0);
	check_name("a.lost+found.0000000000000001.12", LAYOUT_LOST, 1, 0);
	check_name("a.lost+found.0000000000000001.", LAYOUT_OTHER, 0, 0);
	check_name("a.lost+found.0000000000000001.x", LAYOUT_OTHER, 0, 0);
	check_name("a.lost+found.000000000000001", LAYOUT_OTHER, 0, 0);
	check_name("", LAYOUT_OTHER, 0, 0);
	check_name(".header", LAYOUT_OTHER, 0, 0);
	check_name(".0000000000000000", LAYOUT_OTHER, 0, 0);
	check_name("a", LAYOUT_OTHER, 0, 0);
	check_name("a.", LAYOUT_OTHER, 0, 0);
	check_name("a.headers", LAYOUT_OTHER, 0, 0);
	check_name("a.000000000000000", LAYOUT_OTHER, 0, 0);
	check_name("a.00000000000000000", LAYOUT_OTHER, 0, 0);
	check_name("a.000000000000000A", LAYOUT_OTHER, 0, 0);
	check_name("a.b.0000000000000000", LAYOUT_OTHER, 0, 0);
	check_name("a b.0000000000000000", LAYOUT_OTHER, 0, 0);
	check_name("rbd_data.1234.0000000000000000", LAYOUT_OTHER, 0, 0);
}

static void test_a_collection_has_its_own_objects_only(void **state)
{
	static const char name[] = "ab.0000000000000001";
	uint64_t object = 0;

	(void)state;
	assert_int_equal(layout_parse_of("ab", name, strlen(name), &object), LAYOUT_DATA);
	assert_true(object == 1);
	assert_int_equal(layout_parse_of("a", name, strlen(name), &object), LAYOUT_OTHER);
	assert_int_equal(layout_parse_of("abc", name, strlen(name), &object), LAYOUT_OTHER);
	assert_int_equal(layout_parse_of("AB", name, strlen(name), &object), LAYOUT_OTHER);
}

static void test_names_that_are_made_are_known(void **state)
{
	char name[OBJECT_NAME_BYTES];
	uint64_t object = 0;

	(void)state;
	layout_header_name(SIXTY_FOUR, name);
	assert_int_equal(layout_parse_of(SIXTY_FOUR, name, strlen(name), &object), LAYOUT_HEADER);
	layout_object_name(SIXTY_FOUR, UINT64_MAX / 3, name);
	assert_int_equal(layout_parse_of(SIXTY_FOUR, name, strlen(name), &object), LAYOUT_DATA);
	assert_true(object == UINT64_MAX / 3);
	layout_lost_name(SIXTY_FOUR, QUIVER_ID_MAX, 1, name);
	assert_int_equal(layout_parse_of(SIXTY_FOUR, name, strlen(name), &object), LAYOUT_LOST);
	layout_lost_name(SIXTY_FOUR, QUIVER_ID_MAX, UINT32_MAX, name);
	assert_int_equal(layout_parse_of(SIXTY_FOUR, name, strlen(name), &object), LAYOUT_LOST);
}

static void test_names_of_collections(void **state)
{
	(void)state;
	assert_true(layout_name_is_valid("a", 1));
	assert_true(layout_name_is_valid(SIXTY_FOUR, 64));
	assert_false(layout_name_is_valid("", 0));
	assert_false(layout_name_is_valid(SIXTY_FOUR "0", 65));
	assert_false(layout_name_is_valid("a.b", 3));
	assert_false(layout_name_is_valid("a/b", 3));
	assert_false(layout_name_is_valid("\xc3\xa9", 2));
	assert_false(layout_name_is_valid("a\n", 2));
	assert_false(layout_name_is_valid("a\0b", 3));
}

static void test_keys(void **state)
{
	char key[KEY_BYTES];

	(void)state;
	for (uint32_t slot = 0; slot < SLOTS_MAX; slot++) {
		layout_key(slot, key);
		assert_int_equal(layout_key_slot(key, KEY_BYTES, SLOTS_MAX), slot);
	}
	assert_memory_equal(key, "03ff", 4);
	assert_int_equal(layout_key_slot(key, KEY_BYTES, 1023), -1);
	assert_int_equal(layout_key_slot(key, 3, SLOTS_MAX), -1);
	assert_int_equal(layout_key_slot("03fff", 5, SLOTS_MAX), -1);
	assert_int_equal(layout_key_slot("03FF", 4, SLOTS_MAX), -1);
	assert_int_equal(layout_key_slot(KEY_REMOVED, KEY_REMOVED_BYTES, SLOTS_MAX), -1);
	assert_int_equal(layout_key_slot("", 0, SLOTS_MAX), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_row_reads_as_written),
		cmocka_unit_test(test_row_is_as_documented),
		cmocka_unit_test(test_each_flipped_bit_of_a_row_is_damage),
		cmocka_unit_test(test_rows_that_are_none),
		cmocka_unit_test(test_a_sum_binds_bytes_to_vector_and_commit),
		cmocka_unit_test(test_versions_differ_with_their_tags),
		cmocka_unit_test(test_header_reads_as_written),
		cmocka_unit_test(test_a_header_with_a_whole_mode_is_read_again),
		cmocka_unit_test(test_headers_that_are_refused),
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_where_a_vector_lies),
		cmocka_unit_test(test_names_of_objects),
		cmocka_unit_test(test_a_collection_has_its_own_objects_only),
		cmocka_unit_test(test_names_that_are_made_are_known),
		cmocka_unit_test(test_names_of_collections),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
