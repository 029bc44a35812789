/*
 * row_order.c - whether files come in the order that whoever numbered them had in mind.
 */
#include "tools/cli/row_order.h"

#include <string.h>

size_t row_order_doubtful(char *const *paths, size_t count)
{
	size_t doubtful = count;

	for (size_t i = 0; i + 1 < count; i++) {
		if (strcmp(paths[i], paths[i + 1]) >= 0)
			return count;
		if (doubtful == count && strverscmp(paths[i], paths[i + 1]) > 0)
			doubtful = i;
	}
	return doubtful;
}
