/*
 * dtype.c - the type of an element as people write it.
 */
#include "tools/cli/dtype.h"

#include <stddef.h>
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
