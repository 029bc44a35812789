#include "engine/rados/inspect.h"

#include <errno.h>

#include "engine/rados/failure.h"
#include "engine/rados/seen.h"
#include "engine/rados/walk.h"
#include "engine/rados/watch.h"

#define BAD_ROW "its row is damaged"
#define BAD_SUM "its bytes do not match its checksum"
#define CUT "the object ends before its bytes do"
#define UNREADABLE "the cluster cannot read it"

struct inspecting {
	const struct inspection *inspection;
	bool has_failed; /* a callback has, and not the cluster */
};

/* What is wrong with the bytes of a vector, of which the object has all or some; NULL: nothing. */
static const char *compare(const struct collection *collection, const struct flight *flight,
                           const struct row *row)
{
	const struct layout *layout = &collection->layout;
	uint64_t offset = layout_offset(layout, row->id);

	if (offset + layout->vector_bytes > flight->bytes_read)
		return CUT;
	return row_fits(row, flight->bytes + offset, layout->vector_bytes) ? NULL : BAD_SUM;
}

/* The same by a read of its own, where the object could not be read as a whole. 0; -ENOENT it has
 * gone meanwhile; what the inspection is to return. */
static int compare_alone(struct collection *collection, uint64_t id, const char **fault)
{
	struct seen seen;
	int r = seen_get(collection, id, SEEN_BYTES, &seen);

	*fault = r == -EIO ? UNREADABLE : NULL;
	if (r != 0)
		return r == -EIO ? watch_confirm(collection) : r;
	if (seen.verdict == -EUCLEAN)
		*fault = BAD_SUM;
	r = seen.verdict == -ENOENT ? -ENOENT : 0;
	seen_free(&seen);
	return r;
}

/* One slot that has a row. */
static int look_at(struct inspecting *inspecting, uint64_t id, const struct value *value,
                   const struct flight *flight, struct inspected *object)
{
	const struct inspection *inspection = inspecting->inspection;
	struct collection *collection = inspection->collection;
	const char *fault = NULL;
	struct row row;
	int r = row_decode(value->bytes, value->length, collection->mark, id, &row);

	if (r == -ENOENT) {
		object->left++;
		return 0;
	}
	if (r != 0)
		fault = BAD_ROW;
	else if (flight->bytes)
		fault = compare(collection, flight, &row);
	else if ((r = compare_alone(collection, id, &fault)) != 0)
		return r == -ENOENT ? 0 : r;
	object->vectors++;
	r = inspection->vector(inspection->arg, id, fault);
	inspecting->has_failed = r != 0;
	return r;
}

static int look_at_object(void *arg, uint64_t number, struct flight **flight,
                          const struct rows *rows)
{
	struct inspecting *inspecting = arg;
	const struct inspection *inspection = inspecting->inspection;
	const struct collection *collection = inspection->collection;
	struct inspected object = { .others = rows->others, .has_more = rows->has_more };
	int r = 0;

	layout_object_name(collection->connection.target.name, number, object.name);
	object.is_beyond = number > QUIVER_ID_MAX / collection->layout.slots;
	for (uint32_t slot = 0; r == 0 && !object.is_beyond && slot < rows->slot_count; slot++) {
		uint64_t id = number * collection->layout.slots + slot;

		if (!rows->slots[slot].bytes)
			continue;
		if (id > QUIVER_ID_MAX)
			object.others++;
		else
			r = look_at(inspecting, id, &rows->slots[slot], *flight, &object);
	}
	if (r == 0 && inspection->object) {
		r = inspection->object(inspection->arg, &object);
		inspecting->has_failed = r != 0;
	}
	return r;
}

static int look_at_lost(void *arg, const char *object)
{
	struct inspecting *inspecting = arg;
	const struct inspection *inspection = inspecting->inspection;
	int r = inspection->lost ? inspection->lost(inspection->arg, object) : 0;

	inspecting->has_failed = r != 0;
	return r;
}

static int miss(void *arg, const char *object)
{
	struct inspecting *inspecting = arg;
	const struct inspection *inspection = inspecting->inspection;
	int r = inspection->unread(inspection->arg, object);

	inspecting->has_failed = r != 0;
	return r;
}

int inspect(const struct inspection *inspection)
{
	struct collection *collection = inspection->collection;
	struct inspecting inspecting = { .inspection = inspection };
	const struct walk walk = { .connection = &collection->connection,
		                   .collection = collection->connection.target.name,
		                   .layout = collection->layout,
		                   .with_bytes = true,
		                   .object = look_at_object,
		                   .lost = look_at_lost,
		                   .unread = inspection->unread ? miss : NULL,
		                   .arg = &inspecting };
	int r = watch_refuse(collection);

	if (r != 0)
		return r;
	r = walk_run(&walk);
	if (r == 0)
		return watch_confirm(collection); /* of one that is gone there was nothing to see */
	if (inspecting.has_failed || r == -ENOMEM)
		return r;
	return failure_of(collection, r, false, "the vectors cannot be read");
}
