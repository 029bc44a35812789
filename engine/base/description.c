#include "engine/base/description.h"

/* The character at `text`, of which `length` bytes are left; its length to *bytes. UINT32_MAX where
 * there is none. */
static uint32_t character(const unsigned char *text, size_t length, size_t *bytes)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = text[0];
	uint32_t value;

	*bytes = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : 4;
	if (*bytes > length || (*bytes == 4 && first >> 3 != 30))
		return UINT32_MAX;
	value = *bytes == 1 ? first : first & (0xffu >> (*bytes + 1));
	for (size_t i = 1; i < *bytes; i++) {
		if (text[i] >> 6 != 2)
			return UINT32_MAX;
		value = value << 6 | (text[i] & 0x3fu);
	}
	return value < least[*bytes] ? UINT32_MAX : value;
}

bool description_label_is_valid(const char *text, size_t length)
{
	size_t bytes;

	for (size_t at = 0; at < length; at += bytes) {
		uint32_t value = character((const unsigned char *)text + at, length - at, &bytes);

		if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000) || value < 0x20 ||
		    (value >= 0x7f && value < 0xa0))
			return false;
	}
	return true;
}

bool description_fits_metric(enum quiver_dtype dtype, uint32_t metric)
{
	if (metric == QUIVER_HAMMING)
		return dtype == QUIVER_B1 || dtype == QUIVER_U1;
	return metric < QUIVER_HAMMING;
}
