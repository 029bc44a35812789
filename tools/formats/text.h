/*
 * text.h - what the formats of lines of text share.
 */
#ifndef TEXT_H
#define TEXT_H

#include "engine/codec/element_text.h"
#include "tools/formats/format.h"

/* Longest text of one number that is written, with what separates it. */
#define TEXT_NUMBER_BYTES ELEMENT_TEXT_BYTES
/* Longest decimal uint64, with its NUL. */
#define TEXT_ID_BYTES 21u

/*
 * Where nothing was taken, pass over the mark that Windows puts before a text of UTF-8. -EINVAL with
 * a reason for UTF-16, which has that mark, too, or a NUL in each of its first characters. Those that
 * read lines do it by themselves.
 */
int text_mark(struct format_reader *reader);

/* Whether a text would be taken for one with such a mark. */
bool text_is_marked(const char *text, size_t length);

/*
 * The next line that is not blank, ended by a NUL: 1, 0 at the end, or an error with
 * its reason. Sets reader->offset and counts reader->line.
 */
int text_line(struct format_reader *reader, char **line, size_t *length);

/* The same without taking it; blank lines before it are taken. *line has no NUL. */
int text_peek(struct format_reader *reader, char **line, size_t *length);

/* Before the first line: refuse a file whose lines end in CR alone, by that name. 0, or an error with
 * its reason. */
int text_check_lines(struct format_reader *reader);

/* Set what all files of text have in common: of the store's type and, until the format finds
 * otherwise, dim; of as many rows as will come, or of none where it is `empty`. */
void text_begin(struct format_reader *reader, bool empty);

/*
 * Read up to batch->room lines as `read` of a format does. `parse` makes one line, ended by
 * a NUL, a row at `to` and, where the reader has_ids, sets *id; 0, or an error with its
 * reason. Fewer lines than there is room for are all there were.
 */
int text_read_rows(struct format_reader *reader, struct format_batch *batch,
                   int (*parse)(struct format_reader *reader, char *line, size_t length,
                                unsigned char *to, uint64_t *id));

/*
 * Put a number as element `index` of a row, of the store's type. -EINVAL with a reason where it would
 * become another number and wanted.convert is not given: a fraction or a large number
 * as an integer, a number beyond the range of a float. That decimal digits are rounded
 * to the nearest float is no loss.
 */
int text_put(struct format_reader *reader, double number, void *elements, size_t index);

/* Read the number at *at, move *at behind it, and put it as text_put does. */
int text_number(struct format_reader *reader, const char **at, void *elements, size_t index);

/*
 * Read a row written as a list, "[1, 2, 3]", "{1,2,3}", "[1 2 3]" or "[[1, 2, 3]]", of `length`
 * characters that a bracket, a quote or a NUL ends, to `to`. -EINVAL with a reason.
 */
int text_list(struct format_reader *reader, const char *text, size_t length, unsigned char *to);

/* How many elements such a list has. */
uint32_t text_list_count(const char *text, size_t length);

/* Read a decimal uint64 of `length` characters. False where it is none. */
bool text_id(const char *text, size_t length, uint64_t *id);

/* Write a row, its elements separated by `separator`: the number of characters. `to`
 * has room for dim times TEXT_NUMBER_BYTES. */
size_t text_format_row(const struct format_writer *writer, const void *row, const char *separator,
                       char *to);

/* Make room for a line in writer->state, `extra` bytes beside the numbers. -ENOMEM. */
int text_writer_begin(struct format_writer *writer, size_t extra);
void text_writer_end(struct format_writer *writer);

#endif
