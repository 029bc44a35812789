/*
 * npy_literal.h - the Python dictionary inside a .npy header.
 */
#ifndef NPY_LITERAL_H
#define NPY_LITERAL_H

#include "engine/codec/npy_array.h"

#include <stdarg.h>
#include <stddef.h>

/*
 * Parse the text of a header, `length` bytes, and set the type, item size and
 * shape of *array. -EINVAL with a reason for anything else than a dictionary
 * with exactly the keys descr, fortran_order and shape.
 */
int npy_parse_literal(const char *text, size_t length, struct npy_array *array,
                      struct npy_reason *reason);

/* Set *reason and return -EINVAL, so that a check is one line. */
int npy_refuse(struct npy_reason *reason, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
