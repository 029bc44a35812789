/*
 * printable.h - the one rule for which characters are printed as they came, and which part words.
 */
#ifndef PRINTABLE_H
#define PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>

static inline bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copy `length` bytes, '?' for what is not printable. */
static inline void printable_copy(char *to, const char *from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to[i] = is_printable(from[i]) ? from[i] : '?';
}

/* The same in a text as it stands. */
static inline void printable_replace(char *text)
{
	for (char *c = text; *c != '\0'; c++)
		*c = is_printable(*c) ? *c : '?';
}

#endif
