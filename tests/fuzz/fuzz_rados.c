/* fuzz_rados.c - a header, a row with the bytes of its vector, and the name of an object, as a
 * stranger may have put them into a pool; with their sums put right or left alone. */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/rados/header.h"
#include "fuzz.h"

/* FORMAT.md: the named fields end before that, but for the label, */
#define FRONT_BYTES 256u
/* which begins here with its length. */
#define AT_LABEL 510u
#define LABEL_BYTES 24u
#define COLLECTION UINT64_C(7)

enum { AS_HEADER, AS_ROW, AS_NAME, AS_COUNT };

/* In memory of their own of just that size, so that a byte read beyond them is seen. */
static uint8_t *rest_of(struct fuzz_input *input, size_t least)
{
	uint8_t *bytes = calloc(1, input->size > least ? input->size : least);

	FUZZ_CHECK(bytes);
	if (input->size > 0)
		memcpy(bytes, input->data, input->size);
	return bytes;
}

/* What is read lies within its bounds, and written it reads the same. */
static void header_is_usable(const struct collection_header *header)
{
	static uint8_t again[COLLECTION_HEADER_BYTES];
	struct collection_header read;

	FUZZ_CHECK(header->geometry.vector_bytes ==
	           quiver_vector_bytes(header->geometry.dim, header->geometry.dtype));
	FUZZ_CHECK(header->geometry.vector_bytes >= 1);
	FUZZ_CHECK(header->layout.vector_bytes == header->geometry.vector_bytes);
	FUZZ_CHECK(header->layout.stride >= header->layout.vector_bytes);
	FUZZ_CHECK(header->layout.slots >= 1 && header->layout.slots <= SLOTS_MAX);
	FUZZ_CHECK(layout_object_bytes(&header->layout) <= QUIVER_VECTOR_BYTES_MAX);
	collection_header_encode(header, again);
	FUZZ_CHECK(collection_header_decode(again, sizeof(again), &read) == 0);
	FUZZ_CHECK(strcmp(read.description.label, header->description.label) == 0);
	FUZZ_CHECK(read.tag.counter == header->tag.counter);
	FUZZ_CHECK(memcmp(read.kept, header->kept, sizeof(read.kept)) == 0);
}

static void try_header(struct fuzz_input *input)
{
	uint64_t fix = fuzz_take(input, 1);
	uint64_t cut = fuzz_take(input, 2);
	uint8_t *bytes = calloc(1, COLLECTION_HEADER_BYTES);
	size_t length = fix & 2 ? COLLECTION_HEADER_BYTES : cut % (COLLECTION_HEADER_BYTES + 1);
	struct collection_header header;
	uint8_t *object;

	FUZZ_CHECK(bytes);
	for (size_t i = 0; input->size > 0 && i < COLLECTION_HEADER_BYTES - AT_LABEL + FRONT_BYTES;
	     i++)
		bytes[i < FRONT_BYTES ? i : i - FRONT_BYTES + AT_LABEL] =
			(uint8_t)fuzz_take(input, 1);
	if (fix & 1) {
		memcpy(bytes, "QUIVERRC", 8);
		put_le64(bytes + COLLECTION_HEADER_BYTES - 8,
		         XXH3_64bits(bytes, COLLECTION_HEADER_BYTES - 8));
	}
	object = malloc(length ? length : 1);
	FUZZ_CHECK(object);
	memcpy(object, bytes, length);
	if (collection_header_decode(object, length, &header) == 0)
		header_is_usable(&header);
	free(object);
	free(bytes);
}

static void try_row(struct fuzz_input *input)
{
	uint64_t fix = fuzz_take(input, 1);
	uint64_t id = fuzz_take(input, 8);
	uint8_t *bytes = rest_of(input, 1);
	uint8_t again[ROW_BYTES];
	struct row row;

	if (fix & 1 && input->size >= ROW_BYTES) {
		uint8_t summed[76];

		memcpy(bytes, "QVR1", 4);
		memcpy(summed, bytes, 68);
		memcpy(summed + 68, bytes + 72, 8);
		put_le32(bytes + 68, (uint32_t)XXH3_64bits(summed, sizeof(summed)));
	}
	if (row_decode(bytes, input->size, COLLECTION, id, &row) == 0) {
		FUZZ_CHECK(row.id == id && id <= QUIVER_ID_MAX && row.attr.mode <= 07777);
		row_encode(&row, COLLECTION, again);
		FUZZ_CHECK(input->size == ROW_BYTES && memcmp(again, bytes, ROW_BYTES) == 0);
	}
	free(bytes);
}

static void try_name(struct fuzz_input *input)
{
	uint8_t *bytes = rest_of(input, 1);
	const char *name = (const char *)bytes;
	char collection[COLLECTION_NAME_BYTES_MAX + 1] = "";
	char again[OBJECT_NAME_BYTES];
	uint64_t object = 0;
	size_t length = 0;
	enum layout_what what = layout_parse(name, input->size, &length, &object);
	int slot = layout_key_slot(name, input->size, SLOTS_MAX);

	FUZZ_CHECK(slot >= -1 && slot < (int)SLOTS_MAX);
	FUZZ_CHECK((what == LAYOUT_OTHER) == (length == 0));
	if (what != LAYOUT_OTHER) {
		FUZZ_CHECK(layout_name_is_valid(name, length));
		memcpy(collection, name, length);
		FUZZ_CHECK(layout_parse_of(collection, name, input->size, &object) == what);
	}
	if (what == LAYOUT_DATA) {
		layout_object_name(collection, object, again);
		FUZZ_CHECK(strlen(again) == input->size && memcmp(again, name, input->size) == 0);
	}
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };

	switch (fuzz_take(&input, 1) % AS_COUNT) {
	case AS_HEADER:
		try_header(&input);
		break;
	case AS_ROW:
		try_row(&input);
		break;
	default:
		try_name(&input);
		break;
	}
	return 0;
}

static size_t header_seed(unsigned dtype, bool sparse, uint8_t *to)
{
	struct collection_header header = {
		.geometry = { .dim = 768,
		              .dtype = (enum quiver_dtype)dtype,
		              .vector_bytes = quiver_vector_bytes(768, (enum quiver_dtype)dtype) },
		.dir = { .mode = 0755 },
		.description = { .label = "a label" },
	};
	uint8_t bytes[COLLECTION_HEADER_BYTES];

	layout_make(header.geometry.vector_bytes, sparse, &header.layout);
	collection_header_encode(&header, bytes);
	memcpy(to, (const uint8_t[]){ AS_HEADER, 3, 0, 0 }, 4);
	memcpy(to + 4, bytes, FRONT_BYTES);
	memcpy(to + 4 + FRONT_BYTES, bytes + AT_LABEL, LABEL_BYTES);
	return 4 + FRONT_BYTES + LABEL_BYTES;
}

static size_t row_seed(uint64_t id, uint8_t *to)
{
	const struct row row = { .id = id, .tag = { 1, 2 }, .attr = { .mode = 0644 }, .sum = 3 };

	to[0] = AS_ROW;
	to[1] = 1;
	put_le64(to + 2, id);
	row_encode(&row, COLLECTION, to + 10);
	return 10 + ROW_BYTES;
}

size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	static const char *const names[] = { "0a1f", "removed", "a.header", "ab-_.00000000000000ff",
		                             "a.lost+found.00000000000000ff.2" };

	FUZZ_CHECK(room >= 1024);
	if (number <= 2 * QUIVER_B1 + 1)
		return header_seed(number / 2, number % 2, to);
	number -= 2 * QUIVER_B1 + 2;
	if (number < 2)
		return row_seed(number ? QUIVER_ID_MAX : 1, to);
	number -= 2;
	if (number >= sizeof(names) / sizeof(names[0]))
		return FUZZ_NO_SEED;
	to[0] = AS_NAME;
	memcpy(to + 1, names[number], strlen(names[number]));
	return 1 + strlen(names[number]);
}
