/*
 * json_wrapped.h - rows that one object of JSON holds together, as the answers of services do.
 *
 * They are not read, since all of them would have to be in memory: jq(1) takes them out.
 */
#ifndef JSON_WRAPPED_H
#define JSON_WRAPPED_H

#include "tools/formats/json_scan.h"

#include <stdbool.h>

/* A longer path is left out; the longest program has it twice. */
#define JSON_WRAPPED_PATH_BYTES 48
#define JSON_WRAPPED_BYTES 192

struct json_wrapped {
	char path[JSON_WRAPPED_PATH_BYTES]; /* where they are, as jq has it: ".result.points" */
	char program[JSON_WRAPPED_BYTES]; /* of jq, which makes a row of each */
};

/*
 * Look whether an object, or an array, that is whole holds rows rather than being one. Known are
 * lists of rows at any place up to four members deep, also with their IDs in a list beside
 * (Chroma), rows by their ID (Pinecone), and what pandas writes. False where it is nothing of
 * these.
 */
bool json_wrapped_find(struct json_span value, struct json_wrapped *wrapped);

#endif
