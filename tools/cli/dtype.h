/*
 * dtype.h - the type of an element as people write it: f4, or float32 as NumPy has it.
 */
#ifndef DTYPE_H
#define DTYPE_H

#include <argp.h>
#include <stdbool.h>

#include "engine/quiver.h"

/* For messages and --help. */
#define DTYPE_NAMES                                                                              \
	"f4 (float32), f2 (float16), f8 (float64), i1 (int8), u1 (uint8), bf2 (bfloat16) or b1 " \
	"(bits, eight in a byte)"

/* For the tables of arguments.h: --dtype to an enum quiver_dtype, --dim to a uint32_t. What is wrong ends
 * the process with a message. 0. */
error_t dtype_take(void *to, char *text, const struct argp_state *state);
error_t dtype_take_dim(void *to, char *text, const struct argp_state *state);

/* False where `text` is neither name of a type. */
bool dtype_parse(const char *text, enum quiver_dtype *dtype);

#endif
