/*
 * value.c - reading one value out of what somebody wrote.
 */
#include "fs/base/value.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "fs/base/printable.h"

const char *value_trim(const char *bytes, size_t size, size_t *length)
{
	while (size > 0 && is_blank(bytes[size - 1]))
		size--;
	while (size > 0 && is_blank(bytes[0])) {
		bytes++;
		size--;
	}
	*length = size;
	return bytes;
}

const char *value_line(const char *bytes, size_t size, size_t *length)
{
	*length = size > 0 && bytes[size - 1] == '\n' ? size - 1 : size;
	return bytes;
}

int value_parse_u64(const char *bytes, size_t length, uint64_t *number)
{
	uint64_t sum = 0;

	if (length == 0)
		return -EINVAL;
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] < '0' || bytes[i] > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(sum, UINT64_C(10), &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(bytes[i] - '0'), &sum))
			return -EINVAL;
	}
	*number = sum;
	return 0;
}

bool value_is(const char *bytes, size_t length, const char *word)
{
	return length == strlen(word) && memcmp(bytes, word, length) == 0;
}

bool value_starts_with(const char *bytes, size_t length, const char *word)
{
	size_t word_length = strlen(word);

	return length >= word_length && memcmp(bytes, word, word_length) == 0 &&
	       (length == word_length || is_blank(bytes[word_length]));
}

void value_show(const char *bytes, size_t length, char *to, size_t room)
{
	bool cut = length > room - 1;
	size_t shown = cut ? room - 4 : length;

	assert(room >= 8);
	printable_copy(to, bytes, shown);
	memcpy(to + shown, cut ? "..." : "", cut ? 4 : 1);
}
