/* fuzz_view.c - vectors as text and as .npy, of every type. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/codec/element.h"
#include "fs/base/view_bytes.h"
#include "fuzz.h"

#define DIM 8u
#define VECTOR_BYTES_MAX (DIM * 8)
#define DTYPES 7u

/* Whether there is a NaN, of which text keeps the sign alone. */
static bool has_nan(enum quiver_dtype dtype, const unsigned char *vector)
{
	enum element type;
	double number;

	FUZZ_CHECK(element_parse(quiver_dtype_name(dtype), &type) == 0);
	for (unsigned i = 0; i < DIM; i++) {
		number = element_get(type, vector, i, NULL);
		if (number != number)
			return true;
	}
	return false;
}

/* What is taken is what its own view says, and that is taken again. */
static void of_type(enum quiver_dtype dtype, enum tree_form form, const char *file, size_t size)
{
	struct quiver_geometry geometry = { .dim = DIM,
		                            .dtype = dtype,
		                            .vector_bytes = quiver_vector_bytes(DIM, dtype) };
	unsigned char vector[VECTOR_BYTES_MAX], again[VECTOR_BYTES_MAX];
	struct view_reason reason = { "" };
	size_t made = 0, room = 0;
	char *bytes = NULL;

	if (view_decode(&geometry, form, file, size, vector, &reason) != 0) {
		FUZZ_CHECK(reason.text[0] != '\0');
		return;
	}
	FUZZ_CHECK(view_encode(&geometry, form, vector, &bytes, &made, &room) == 0);
	FUZZ_CHECK(view_decode(&geometry, form, bytes, made, again, &reason) == 0);
	FUZZ_CHECK((form == TREE_FORM_TXT && has_nan(dtype, vector)) ||
	           memcmp(vector, again, geometry.vector_bytes) == 0);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size > 0 ? size : 1); /* so that a sanitizer sees where it ends */

	FUZZ_CHECK(copy);
	if (size > 0)
		memcpy(copy, data, size);
	for (unsigned dtype = 0; dtype < DTYPES; dtype++) {
		of_type((enum quiver_dtype)dtype, TREE_FORM_TXT, copy, size);
		of_type((enum quiver_dtype)dtype, TREE_FORM_NPY, copy, size);
	}
	free(copy);
	return 0;
}

/* As people write vectors, and what looks like one. */
static const char *const texts[] = {
	"1 0 1 1 0 0 1 0",
	"[0.1, 0.2, -0.3, 4e-5, inf, nan, 0x1p3, 8]\n",
	"1,\n2,\n3,\n4,\n5,\n6,\n7,\n8,\n",
	"[[1 2 3 4\n 5 6 7 8]]",
	"0,1 0,2 0,3 0,4",
	"\xef\xbb\xbf[true, false, true, false, 1, 0, 1, 0]",
};
static const char *const types[DTYPES] = { "<f4", "<f2", "<f8", "|i1", "|u1", "<V2", "|b1" };
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

/* Those, and arrays of both shapes. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	unsigned which = number - (unsigned)TEXTS;
	size_t bytes;
	int used;

	if (number >= TEXTS + 2 * DTYPES || room < 256)
		return FUZZ_NO_SEED;
	if (number < TEXTS) {
		memcpy(to, texts[number], strlen(texts[number]));
		return strlen(texts[number]);
	}
	bytes = strtoul(types[which / 2] + 2, NULL, 10) * DIM;
	memcpy(to, "\x93NUMPY\x01\x00\x76\x00", 10);
	used = snprintf((char *)to + 10, 118,
	                "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
	                types[which / 2], which % 2 ? "1, 8" : "8,");
	memset(to + 10 + used, ' ', 118 - (size_t)used);
	to[127] = '\n';
	memset(to + 128, 1, bytes);
	return 128 + bytes;
}
