/*
 * dtype.c - the type of an element as people write it.
 */
#include "tools/cli/dtype.h"
#include "tools/cli/arguments.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool dtype_parse(const char *text, enum quiver_dtype *dtype)
{
	static const struct {
		const char *name;
		enum quiver_dtype dtype;
	} names[] = {
		{ "float32", QUIVER_F4 }, { "float16", QUIVER_F2 }, { "float64", QUIVER_F8 },
		{ "int8", QUIVER_I1 },    { "uint8", QUIVER_U1 },   { "bfloat16", QUIVER_BF2 },
		{ "bits", QUIVER_B1 },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i].name) == 0) {
			*dtype = names[i].dtype;
			return true;
		}
	}
	return quiver_dtype_parse(text, dtype) == 0;
}

error_t dtype_take(void *to, char *text, const struct argp_state *state)
{
	if (!dtype_parse(text, to))
		arguments_error(state, "--dtype: expected " DTYPE_NAMES ", got '%s'", text);
	return 0;
}

error_t dtype_take_dim(void *to, char *text, const struct argp_state *state)
{
	uint32_t *dim = to;
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || number < 1 ||
	    number > QUIVER_DIM_MAX)
		arguments_error(state, "--dim: expected a number from 1 to %u, got '%s'",
		                QUIVER_DIM_MAX, text);
	*dim = (uint32_t)number;
	return 0;
}
