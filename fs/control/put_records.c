/*
 * put_records.c - the records in one write(2) to control/put.
 */
#include "fs/control/put_records.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_BYTES sizeof(uint64_t)

int put_records(const char *bytes, size_t size, uint32_t vector_bytes,
                struct quiver_record **records, size_t *count, struct quiver_error *error)
{
	const size_t record_bytes = ID_BYTES + vector_bytes;
	struct quiver_record *list;

	*records = NULL;
	*count = size / record_bytes;
	if (size == 0 || size % record_bytes != 0) {
		snprintf(error->text, sizeof(error->text),
		         "got %zu bytes, expected whole records of %zu (an ID of 8 bytes and a "
		         "vector of %" PRIu32 ") in each write",
		         size, record_bytes, vector_bytes);
		return -EINVAL;
	}
	list = calloc(*count, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < *count; i++) {
		const char *at = bytes + i * record_bytes;
		uint64_t id;

		memcpy(&id, at, sizeof(id));
		list[i].id = le64toh(id);
		list[i].data = at + ID_BYTES;
		if (list[i].id > QUIVER_ID_MAX) {
			snprintf(error->text, sizeof(error->text),
			         "record %zu of %zu has the ID %" PRIu64
			         ", expected at most %" PRIu64,
			         i + 1, *count, list[i].id, QUIVER_ID_MAX);
			free(list);
			return -EINVAL;
		}
	}
	*records = list;
	return 0;
}
