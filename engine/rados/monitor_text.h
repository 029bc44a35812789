/*
 * monitor_text.h - numbers out of what a monitor answers, which is JSON in one line.
 */
#ifndef QUIVER_RADOS_MONITOR_TEXT_H
#define QUIVER_RADOS_MONITOR_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* Of "df": a number of the pool with this id, as "max_avail". False: it does not tell. */
bool monitor_text_of_pool(const char *text, int64_t pool, const char *key, uint64_t *value);
/* The number of the first member of this name, as "quota_max_bytes". */
bool monitor_text_number(const char *text, const char *key, uint64_t *value);

#endif
