/*
 * ids.c - IDs as text.
 */
#include "tools/cli/ids.h"
#include "engine/quiver.h"

bool id_parse(const char *text, uint64_t *id)
{
	uint64_t value = 0;

	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return false;
	}
	if (value > QUIVER_ID_MAX)
		return false;
	*id = value;
	return true;
}
