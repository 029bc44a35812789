/*
 * csv_write.h - rows of CSV: what the format csv writes.
 */
#ifndef CSV_WRITE_H
#define CSV_WRITE_H

#include "tools/formats/format.h"

/* The line of names, where writer->header asks for it. */
int csv_write_names(struct format_writer *writer);

/*
 * The ID, or the key, and the elements: a column each or, where writer->vector_column names it,
 * as one list, "[1,2,3]". text_writer_end ends it.
 */
int csv_write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key);

#endif
