/*
 * parquet_write.h - writing Parquet, by way of libduckdb.
 *
 * A table of two columns: the IDs, or keys, and the vectors as lists. The library asks for rows
 * where a format is handed them, so it writes in a thread of its own; memory is one of its row
 * groups, and two batches of rows on their way to it.
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
