/*
 * page.h - the page of a map in HTML, and the script that places points otherwise, as text: embed.py makes
 * them part of the program.
 */
#ifndef MAP_PAGE_H
#define MAP_PAGE_H

#include <stddef.h>

/* What stands before the data, and behind. Static; the length, which has no NUL, to *length. */
const char *page_before(size_t *length);
const char *page_behind(size_t *length);

/* A script of Python, ended by a NUL: see place.py. Static. */
const char *page_place(void);

#endif
