/*
 * json_vector.h - the elements of a vector in JSON.
 */
#ifndef JSON_VECTOR_H
#define JSON_VECTOR_H

#include "tools/formats/format.h"
#include "tools/formats/json_scan.h"

#include <stdbool.h>

/* Whether a value can be a vector: an array, or one in a string, which PostgREST and Supabase make
 * of a column of pgvector, or in base64. */
bool json_vector_is(const struct format_reader *reader, struct json_span value);
/* How many elements a value has that is a vector as OpenAI's encoding_format "base64" has it, float32
 * in little-endian: exactly as many as are wanted, or any number where none is. 0: it is none. */
uint32_t json_vector_packed_dim(const struct format_reader *reader, struct json_span value);

/* Take the elements of one that json_vector_is, however they are written, to a row. 0, or -EINVAL or
 * -ENOMEM with a reason. */
int json_vector_take(struct format_reader *reader, struct json_span vector, unsigned char *to);

#endif
