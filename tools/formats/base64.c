/*
 * base64.c - numbers that are bytes in base64.
 */
#include "tools/formats/base64.h"

#include <stdint.h>
#include <string.h>

/* The six bits of a character, or -1. */
static int bits_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(const char *text, size_t length, unsigned char *to, size_t size)
{
	size_t characters = 0, bytes = 0, wanted = (size * 8 + 5) / 6;
	uint32_t held = 0;
	unsigned count = 0;

	for (size_t i = 0; i < length; i++) {
		int bits;

		if (text[i] == '\\' && i + 1 < length && text[i + 1] == '/')
			i++;
		bits = characters < wanted ? bits_of(text[i]) : text[i] == '=' ? 0 : -1;
		if (bits < 0 || ++characters > BASE64_LENGTH(size))
			return false;
		held = held << 6 | (uint32_t)bits;
		count += 6;
		if (count < 8)
			continue;
		count -= 8;
		if (bytes < size && to != NULL)
			to[bytes] = (unsigned char)(held >> count);
		bytes++;
	}
	return characters == BASE64_LENGTH(size);
}
