/*
 * arrow_write.h - writing Arrow's IPC file format, as which Feather of version 2 is known, too.
 *
 * A table of two columns: the IDs, or keys, and the vectors as lists of a fixed size, not compressed.
 * The table of contents comes last, so that a pipe will do; memory is one batch.
 */
#ifndef ARROW_WRITE_H
#define ARROW_WRITE_H

#include "tools/formats/format.h"

/* As in struct format_calls. */
int arrow_write_header(struct format_writer *writer);
int arrow_write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key);
int arrow_write_finish(struct format_writer *writer);
void arrow_write_end(struct format_writer *writer);

#endif
