/*
 * search_filter.h - the IDs among which is searched.
 */
#ifndef SEARCH_FILTER_H
#define SEARCH_FILTER_H

#include "tools/cli/search_ask.h"

#include <stddef.h>
#include <stdint.h>

/* Read them from a file (ids_file.h), ascending and each once, to wanted->ids, malloc'd; free rows of a
 * store's ids.npy are none. Says errors. */
int search_filter_read(const char *path, struct search_wanted *wanted);

/* Leave of `ids`, *count of them ascending, those that are among them. */
void search_filter_cut(const struct search_wanted *wanted, uint64_t *ids, size_t *count);

#endif
