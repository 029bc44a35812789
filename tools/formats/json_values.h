/*
 * json_values.h - the values of JSON in a stream, one after another.
 *
 * A line each, or the elements of one array, or values that follow one another over any
 * lines: which it is, the first characters tell. Memory is one value, whatever the length.
 */
#ifndef JSON_VALUES_H
#define JSON_VALUES_H

#include "tools/formats/format.h"
#include "tools/formats/json_scan.h"

struct json_values {
	enum json_layout { JSON_LINES, JSON_STREAM, JSON_ARRAY } layout;
	bool begun; /* of an array: a value was handed out */
	bool ended; /* of an array: its bracket was closed */
	uint64_t lines; /* their ends before the next byte; not of JSON_LINES */
};

/* Look how the stream begins: 1, 0 where it holds nothing, or an error with its reason. */
int json_values_open(struct format_reader *reader, struct json_values *values);

/*
 * The next value without taking it, up to the end of its line where there is one a line: more may
 * follow it there, and it may be none. 1, 0 at the end, or an error with its reason. Sets
 * reader->offset and, but for lines, reader->line.
 */
int json_values_peek(struct format_reader *reader, struct json_values *values,
                     struct json_span *value);
/* The same, and take it: valid until the next call, and of a line a NUL ends it. */
int json_values_next(struct format_reader *reader, struct json_values *values,
                     struct json_span *value);

/* Refuse what is no JSON, and say where in `value` it goes wrong. */
int json_values_refuse(struct format_reader *reader, struct json_span value);

#endif
