/*
 * ids.h - IDs as text.
 */
#ifndef IDS_H
#define IDS_H

#include <stdbool.h>
#include <stdint.h>

/* Read a canonical decimal ID of 0 ... QUIVER_ID_MAX: digits only, no leading
 * zero. False where `text` is something else; *id is then untouched. */
bool id_parse(const char *text, uint64_t *id);

#endif
