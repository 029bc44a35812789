/*
 * element_text.h - elements as decimal numbers, and back. Any thread.
 */
#ifndef ELEMENT_TEXT_H
#define ELEMENT_TEXT_H

#include "engine/codec/element.h"

#include <stddef.h>

/* The longest number that is written, "-2.2250738585072014e-308", with a NUL. */
#define ELEMENT_TEXT_BYTES 32u

/*
 * Read the number at `text`, as strtod does, so that storing it as `type` rounds the decimal
 * number once, not by way of a double. For b1 true and false, in any case, are numbers too.
 * How many characters it takes, 0 where there is none, to *length. Sets errno as strtod.
 */
double element_read(enum element type, const char *text, size_t *length);

/*
 * Read a whole word as element `index` of those that begin at `elements`. -EINVAL no number,
 * -ERANGE one that does not fit the type. That a float is rounded is no fault.
 */
int element_read_word(enum element type, const char *word, void *elements, size_t index);

/* Write element `index` in the fewest digits that are read back as it is (but for the bits of
 * a NaN): the number of characters before the NUL. */
size_t element_write(enum element type, const void *elements, size_t index,
                     char to[ELEMENT_TEXT_BYTES]);

#endif
