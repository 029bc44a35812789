/*
 * json_wrapped.h - rows that one object of JSON holds together, as the answers of services do.
 *
 * They are not read, since all of them would have to be in memory: jq(1) takes them out.
 */
#ifndef JSON_WRAPPED_H
#define JSON_WRAPPED_H

#include "tools/formats/json_scan.h"

#include <stdbool.h>
#include <stdint.h>

#define JSON_WRAPPED_BYTES 352

/*
 * Look whether an object, or an array, that is whole holds rows rather than being one, and say where
 * and how jq makes rows of them: "holds its rows in .data; jq ...". Known are lists of rows at any
 * place up to four members deep, also with their IDs in a list beside (Chroma), rows by their ID
 * (Pinecone), and what pandas writes. An object with a list of `dim` numbers is a row itself; 0 where
 * that does not matter. `in_array`: it is an element of the array that is the file. False where it is
 * nothing of these.
 */
bool json_wrapped_tell(struct json_span value, uint32_t dim, bool in_array,
                       char to[JSON_WRAPPED_BYTES]);

#endif
