/*
 * put_records.c - the records in one write(2) to control/put.
 */
#include "fs/control/put_records.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/codec/load.h"

#define ID_BYTES sizeof(uint64_t)
#define MODE_MAX 07777u

/* How the records lie. */
struct form {
	size_t head; /* bytes before the first */
	size_t before; /* bytes before the vector in each */
};

/* -EINVAL a head that is not understood. */
static int form_of(const char *bytes, size_t size, struct form *form, struct quiver_error *error)
{
	*form = (struct form){ .before = ID_BYTES };
	if (size < PUT_HEAD_BYTES || load64(bytes) != PUT_MARK)
		return 0;
	*form = (struct form){ .head = PUT_HEAD_BYTES, .before = PUT_RECORD_BYTES };
	if (load32(bytes + 8) == PUT_RECORD_BYTES && load32(bytes + 12) == 0)
		return 0;
	snprintf(error->text, sizeof(error->text),
	         "got records with attributes of %" PRIu32
	         " bytes before the vector and flags %" PRIu32 ", expected %u and 0",
	         load32(bytes + 8), load32(bytes + 12), PUT_RECORD_BYTES);
	return -EINVAL;
}

/* The attributes of the record at `at`. False where they are out of range. */
static bool take_attr(const char *at, struct quiver_attr *attr, unsigned *mask)
{
	uint32_t mode = load32(at + 24);

	*attr = (struct quiver_attr){ .mtime_ns = (int64_t)load64(at + 8),
		                      .uid = load32(at + 16),
		                      .gid = load32(at + 20),
		                      .mode = (uint16_t)mode };
	*mask = load32(at + 28);
	return mode <= MODE_MAX && (*mask & ~(unsigned)QUIVER_ATTR_ALL) == 0;
}

/* One record and, in that form, its attributes. -EINVAL. */
static int take(const char *at, const struct form *form, struct quiver_record *record,
                struct quiver_attr *attr, struct quiver_error *error)
{
	record->id = load64(at);
	record->data = at + form->before;
	if (record->id > QUIVER_ID_MAX) {
		snprintf(error->text, sizeof(error->text),
		         "a record has the ID %" PRIu64 ", expected at most %" PRIu64, record->id,
		         QUIVER_ID_MAX);
		return -EINVAL;
	}
	if (form->before == ID_BYTES)
		return 0;
	record->attr = attr;
	if (take_attr(at, attr, &record->attr_mask))
		return 0;
	snprintf(error->text, sizeof(error->text),
	         "the record of ID %" PRIu64 " has the mode %" PRIo32 " and the mask %" PRIu32
	         ", expected at most %o and %u",
	         record->id, load32(at + 24), load32(at + 28), MODE_MAX, (unsigned)QUIVER_ATTR_ALL);
	return -EINVAL;
}

int put_records(const char *bytes, size_t size, uint32_t vector_bytes,
                struct quiver_record **records, size_t *count, struct quiver_error *error)
{
	struct quiver_record *list;
	struct quiver_attr *attrs;
	size_t record_bytes;
	struct form form;
	int err;

	*records = NULL;
	*count = 0;
	err = form_of(bytes, size, &form, error);
	if (err != 0)
		return err;
	record_bytes = form.before + vector_bytes;
	if (size <= form.head || (size - form.head) % record_bytes != 0) {
		snprintf(error->text, sizeof(error->text),
		         "got %zu bytes, expected whole records of %zu (%zu bytes and a vector of "
		         "%" PRIu32 ") in each write%s",
		         size, record_bytes, form.before, vector_bytes,
		         form.head > 0 ? " after the head" : "");
		return -EINVAL;
	}
	*count = (size - form.head) / record_bytes;
	list = calloc(*count, sizeof(*list) + sizeof(*attrs));
	if (!list)
		return -ENOMEM;
	attrs = (struct quiver_attr *)(list + *count);
	for (size_t i = 0; err == 0 && i < *count; i++)
		err = take(bytes + form.head + i * record_bytes, &form, &list[i], &attrs[i], error);
	if (err != 0)
		free(list);
	else
		*records = list;
	return err;
}
