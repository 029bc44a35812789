/*
 * printable.h - the one rule for which text of others is shown to people as it came.
 *
 * A file name, a path that a LOCK names, a word of a file, a label: whoever chose it may have put
 * characters into it that a terminal obeys, or that make a line look like another. All messages go
 * through this.
 */
#ifndef QUIVER_PRINTABLE_H
#define QUIVER_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The character of UTF-8 at `text`, of which `length` bytes are left; its bytes to *bytes, 1 where
 * there is none, and then UINT32_MAX is returned. */
static inline uint32_t utf8_character(const char *text, size_t length, size_t *bytes)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *at = (const unsigned char *)text;
	size_t needs = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : 4;
	uint32_t value;

	*bytes = 1;
	if (needs > length || (needs == 4 && at[0] >> 3 != 30))
		return UINT32_MAX;
	value = needs == 1 ? at[0] : at[0] & (0xffu >> (needs + 1));
	for (size_t i = 1; i < needs; i++) {
		if (at[i] >> 6 != 2)
			return UINT32_MAX;
		value = value << 6 | (at[i] & 0x3fu);
	}
	if (value < least[needs] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return UINT32_MAX;
	*bytes = needs;
	return value;
}

/* A control character, also of C1, which terminals obey as they do those of ESC. */
static inline bool is_control(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0);
}

/* One that turns the order of what follows round, or ends a line. */
static inline bool is_format(uint32_t character)
{
	return character == 0x061c || character == 0x200e || character == 0x200f ||
	       (character >= 0x2028 && character <= 0x202e) ||
	       (character >= 0x2066 && character <= 0x2069);
}

/* Put '?' in the text for each character that is not to be shown, and for each byte that is none of
 * UTF-8. */
static inline void printable_clean(char *text)
{
	size_t left = strlen(text);
	char *to = text;
	size_t bytes;

	for (; left > 0; text += bytes, left -= bytes) {
		uint32_t character = utf8_character(text, left, &bytes);

		if (character == UINT32_MAX || is_control(character) || is_format(character)) {
			*to++ = '?';
		} else {
			memmove(to, text, bytes);
			to += bytes;
		}
	}
	*to = '\0';
}

#endif
