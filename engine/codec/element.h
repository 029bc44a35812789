/*
 * element.h - types of elements in files, and conversion between them.
 *
 * Nothing here knows of stores; any thread may call anything.
 */
#ifndef ELEMENT_H
#define ELEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum element {
	ELEMENT_F2,
	ELEMENT_F4,
	ELEMENT_F8,
	ELEMENT_I1,
	ELEMENT_U1,
	ELEMENT_BF2, /* bfloat16: the upper half of an f4 */
	ELEMENT_B1, /* bits: element i is bit 7 - i % 8 of byte i / 8, as numpy.packbits does */
	/* only in files, never in a store: */
	ELEMENT_I2,
	ELEMENT_U2,
	ELEMENT_I4,
	ELEMENT_U4,
	ELEMENT_I8,
	ELEMENT_U8,
	ELEMENT_BOOL, /* a byte that is 0 or 1 */
	ELEMENT_COUNT
};

/* Those that a store has come first. */
#define ELEMENT_STORE_COUNT (ELEMENT_B1 + 1)

/* How many b1 are in a byte. */
#define ELEMENT_BITS 8u

/* What conversion changed. */
struct element_loss {
	uint64_t elements; /* converted in all */
	uint64_t rounded; /* became another number, within range */
	uint64_t beyond; /* out of the new type's range: became its nearest number, or infinity */
	double largest; /* greatest difference of a rounded one */
};

/* "f4" and the like; static. 0, or -EINVAL for another word. */
const char *element_name(enum element type);
int element_parse(const char *name, enum element *type);
/* Of one element; 0 for b1. */
uint32_t element_bytes(enum element type);
/* Of `count` elements that follow one another. */
size_t element_row_bytes(enum element type, size_t count);
bool element_is_float(enum element type);

/* Turn the bytes of each of `count` elements around. */
void element_swap(void *elements, uint32_t bytes, size_t count);

/* The little-endian element at `at` as a number, of b1 the first bit there; what an i8 or
 * u8 loses is added to `loss`, which may be NULL. */
double element_load(enum element type, const void *at, struct element_loss *loss);
/* The same of element `index` of those that begin at `elements`. */
double element_get(enum element type, const void *elements, size_t index,
                   struct element_loss *loss);

/*
 * Put `number` as element `index` of those that begin at `elements`, rounded to nearest, ties
 * to even; changes are added to *loss. b1 are put in order: the first of a byte clears the
 * rest of it. -EDOM what no element comes near to, and nothing is put: a NaN as an integer,
 * another number than 0 and 1 as a b1.
 */
int element_put(enum element type, double number, void *elements, size_t index,
                struct element_loss *loss);
/* The same of the element at `to`. */
int element_store(enum element type, double number, void *to, struct element_loss *loss);

/*
 * Convert `count` little-endian elements; `from` and `to` do not overlap. -EDOM as
 * element_put, and at a bool that is neither 0 nor 1; its index to *bad.
 */
int element_convert(enum element from_type, const void *from, enum element to_type, void *to,
                    size_t count, struct element_loss *loss, size_t *bad);

/* What element_convert says -EDOM of, in words; static. */
const char *element_refusal(enum element from_type, enum element to_type);

/* Whether all of `count` little-endian elements are finite, else the index of the
 * first that is not to *bad. */
bool element_all_finite(enum element type, const void *elements, size_t count, size_t *bad);

#endif
