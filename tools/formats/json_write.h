/*
 * json_write.h - rows of JSON, {"id": 1, "vector": [0.5, 2]}: what the formats jsonl and json
 * write.
 */
#ifndef JSON_WRITE_H
#define JSON_WRITE_H

#include "tools/formats/format.h"

/* A row and the end of its line. For formats to use as `write_row`; text_writer_end ends it. */
int json_write_line(struct format_writer *writer, uint64_t id, const void *row, const char *key);

/* An array of such rows, the whole file. */
int json_write_start(struct format_writer *writer);
int json_write_element(struct format_writer *writer, uint64_t id, const void *row, const char *key);
int json_write_end(struct format_writer *writer);

#endif
