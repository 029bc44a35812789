#include "engine/rados/layout.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/quiver.h"

/* From here on a slot begins at a block of the OSDs' disks, so that a write touches no other. */
#define ALIGN_FROM_BYTES 2048u
#define ALIGN_BYTES 4096u
/* Larger objects import no faster, and list and recover more coarsely. */
#define OBJECT_BYTES_MAX (256u << 10)

#define HEADER_SUFFIX ".header"
#define LOST_SUFFIX ".lost+found."
#define NUMBER_DIGITS 16u

static_assert(COLLECTION_NAME_BYTES_MAX + sizeof(LOST_SUFFIX) + NUMBER_DIGITS +
                              sizeof(".4294967295") <=
                      OBJECT_NAME_BYTES,
              "the longest name");
static_assert(SLOTS_MAX <= 0x10000, "a key has four digits");

void layout_make(uint32_t vector_bytes, bool sparse, struct layout *layout)
{
	uint32_t stride = vector_bytes;
	uint32_t slots = 1;

	if (vector_bytes >= ALIGN_FROM_BYTES)
		stride = (vector_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
	while (!sparse && slots < SLOTS_MAX && (uint64_t)slots * 2 * stride <= OBJECT_BYTES_MAX)
		slots *= 2;
	*layout = (struct layout){ vector_bytes, stride, slots };
}

bool layout_is_valid(const struct layout *layout)
{
	struct layout dense;

	layout_make(layout->vector_bytes, false, &dense);
	return layout->stride == dense.stride &&
	       (layout->slots == dense.slots || layout->slots == 1);
}

static bool is_name_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

bool layout_name_is_valid(const char *name, size_t length)
{
	if (length < 1 || length > COLLECTION_NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!is_name_char(name[i]))
			return false;
	}
	return true;
}

/* The names of snprintf's fit: the static_assert above, and layout_name_is_valid. */
void layout_header_name(const char *collection, char to[OBJECT_NAME_BYTES])
{
	(void)snprintf(to, OBJECT_NAME_BYTES, "%s" HEADER_SUFFIX, collection);
}

void layout_object_name(const char *collection, uint64_t object, char to[OBJECT_NAME_BYTES])
{
	(void)snprintf(to, OBJECT_NAME_BYTES, "%s.%016" PRIx64, collection, object);
}

void layout_lost_name(const char *collection, uint64_t id, unsigned number,
                      char to[OBJECT_NAME_BYTES])
{
	if (number == 1)
		(void)snprintf(to, OBJECT_NAME_BYTES, "%s" LOST_SUFFIX "%016" PRIx64, collection,
		               id);
	else
		(void)snprintf(to, OBJECT_NAME_BYTES, "%s" LOST_SUFFIX "%016" PRIx64 ".%u",
		               collection, id, number);
}

/* `count` lower case hexadecimal digits. */
static bool parse_hex(const char *text, size_t count, uint64_t *value)
{
	*value = 0;
	for (size_t i = 0; i < count; i++) {
		char c = text[i];

		if (c >= '0' && c <= '9')
			*value = *value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*value = *value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	return true;
}

static bool parse_data(const char *suffix, size_t length, uint64_t *object)
{
	return length == 1 + NUMBER_DIGITS && parse_hex(suffix + 1, NUMBER_DIGITS, object);
}

/* What a repair names: the ID, and perhaps a number behind it. */
static bool parse_lost(const char *suffix, size_t length)
{
	const size_t prefix = sizeof(LOST_SUFFIX) - 1;
	uint64_t id;

	if (length < prefix + NUMBER_DIGITS || memcmp(suffix, LOST_SUFFIX, prefix) != 0 ||
	    !parse_hex(suffix + prefix, NUMBER_DIGITS, &id))
		return false;
	suffix += prefix + NUMBER_DIGITS;
	length -= prefix + NUMBER_DIGITS;
	if (length == 0)
		return true;
	if (length < 2 || length > sizeof(".4294967295") - 1 || suffix[0] != '.')
		return false;
	for (size_t i = 1; i < length; i++) {
		if (suffix[i] < '0' || suffix[i] > '9')
			return false;
	}
	return true;
}

enum layout_what layout_parse(const char *name, size_t length, size_t *collection_bytes,
                              uint64_t *object)
{
	const char *dot = memchr(name, '.', length);
	size_t before = dot ? (size_t)(dot - name) : 0;
	size_t left = length - before;
	enum layout_what what = LAYOUT_OTHER;
	uint64_t number = 0;

	if (dot && layout_name_is_valid(name, before)) {
		if (parse_data(dot, left, &number))
			what = LAYOUT_DATA;
		else if (left == sizeof(HEADER_SUFFIX) - 1 && memcmp(dot, HEADER_SUFFIX, left) == 0)
			what = LAYOUT_HEADER;
		else if (parse_lost(dot, left))
			what = LAYOUT_LOST;
	}
	*collection_bytes = what == LAYOUT_OTHER ? 0 : before;
	if (object)
		*object = number;
	return what;
}

enum layout_what layout_parse_of(const char *collection, const char *name, size_t length,
                                 uint64_t *object)
{
	size_t bytes;
	enum layout_what what = layout_parse(name, length, &bytes, object);

	if (bytes != strlen(collection) || memcmp(name, collection, bytes) != 0)
		return LAYOUT_OTHER;
	return what;
}

void layout_key(uint32_t slot, char to[KEY_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < KEY_BYTES; i++)
		to[i] = digits[slot >> 4 * (KEY_BYTES - 1 - i) & 15];
}

int layout_key_slot(const char *key, size_t length, uint32_t slots)
{
	uint64_t slot;

	if (length != KEY_BYTES || !parse_hex(key, KEY_BYTES, &slot) || slot >= slots)
		return -1;
	return (int)slot;
}
