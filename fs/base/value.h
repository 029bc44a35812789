/*
 * value.h - reading one value out of what somebody wrote. Pure functions.
 */
#ifndef VALUE_H
#define VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value in `size` bytes that were written to a control file: without blanks
 * and newlines at either end. *length may become 0. */
const char *value_trim(const char *bytes, size_t size, size_t *length);

/* The same of what blanks belong to: without one newline at its end. */
const char *value_line(const char *bytes, size_t size, size_t *length);

/* Digits and nothing else; leading zeros are fine. -EINVAL otherwise, or where it
 * does not fit. */
int value_parse_u64(const char *bytes, size_t length, uint64_t *number);

/* Whether the value is this word. */
bool value_is(const char *bytes, size_t length, const char *word);

/* Whether the value begins with this word, alone or before a blank. */
bool value_starts_with(const char *bytes, size_t length, const char *word);

/* A copy that is fit for a message: at most room - 1 bytes, cut with "..." where
 * longer, and '?' for what is not printable ASCII. */
void value_show(const char *bytes, size_t length, char *to, size_t room);

#endif
