/*
 * parquet_write.h - writing Parquet, for which no library is needed.
 *
 * A table of two columns: the IDs, or keys, and the vectors as lists that have all their elements.
 * Nothing is compressed: elements of vectors hardly can be, and so a file is as fast as a copy. The
 * table of contents comes last, so that a pipe will do; memory is one row group.
 */
#ifndef PARQUET_WRITE_H
#define PARQUET_WRITE_H

#include "tools/formats/format.h"

/* As in struct format_calls. */
int parquet_write_header(struct format_writer *writer);
int parquet_write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key);
int parquet_write_finish(struct format_writer *writer);
void parquet_write_end(struct format_writer *writer);

#endif
