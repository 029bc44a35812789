#include "engine/rados/repair.h"

#include <errno.h>
#include <inttypes.h>

#include "engine/rados/failure.h"
#include "engine/rados/seen.h"
#include "engine/rados/watch.h"

#define KEY_ROW "row"
#define KEY_ROW_BYTES 3u
/* Of one ID; so often nothing breaks that somebody looks at. */
#define NAMES_MAX 10000u

/* What there is of it, with its bytes if they can be read. As seen_get. */
static int see(struct collection *collection, uint64_t id, struct seen *seen)
{
	int r = seen_get(collection, id, SEEN_BYTES | SEEN_REMOVED, seen);

	if (r != -EIO)
		return r;
	r = seen_get(collection, id, SEEN_REMOVED, seen);
	if (r == 0 && seen->verdict == 0)
		seen->verdict =
			-EUCLEAN; /* its row is good, but who has bytes that nobody can read? */
	return r;
}

static int make_lost(struct collection *collection, const struct seen *seen, const char *name)
{
	const char *key = KEY_ROW;
	const size_t key_bytes = KEY_ROW_BYTES;
	struct flight *flight = flight_to_write();
	int r;

	if (!flight)
		return -ENOMEM;
	rados_write_op_create(flight->write, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	if (seen->flight->bytes && seen->flight->bytes_read > 0)
		rados_write_op_write_full(flight->write, (const char *)seen->flight->bytes,
		                          seen->flight->bytes_read);
	rados_write_op_omap_set2(flight->write, &key, &seen->row_value, &key_bytes,
	                         &seen->row_bytes, 1);
	r = flight_fly(io_of(collection), flight, name);
	flight_free(flight);
	return r;
}

/* Under the first name that is not taken. */
static int keep(struct collection *collection, uint64_t id, const struct seen *seen,
                char name[OBJECT_NAME_BYTES])
{
	int r = -EEXIST;

	for (unsigned number = 1; r == -EEXIST && number <= NAMES_MAX; number++) {
		layout_lost_name(collection->connection.target.name, id, number, name);
		r = make_lost(collection, seen, name);
	}
	return r;
}

/* If its row is the one that was seen. -ECANCELED it is not. */
static int take_out(struct collection *collection, uint64_t id, const struct seen *seen)
{
	const struct tag tag = collection_tag(collection);
	const char *removed_key = KEY_REMOVED;
	const size_t key_bytes = KEY_BYTES;
	const size_t removed_key_bytes = KEY_REMOVED_BYTES;
	const size_t tag_bytes = TAG_BYTES;
	uint8_t bytes[TAG_BYTES];
	const char *value = (const char *)bytes;
	struct flight *flight = flight_to_write();
	struct place place;
	const char *key = place.key;
	int r;

	if (!flight)
		return -ENOMEM;
	collection_place(collection, id, &place);
	tag_encode(&tag, bytes);
	rados_write_op_omap_cmp2(flight->write, key, LIBRADOS_CMPXATTR_OP_EQ, seen->row_value,
	                         KEY_BYTES, seen->row_bytes, &flight->rows_result);
	/* All up to the next slot: an OSD that cannot read some of it need not. */
	rados_write_op_zero(flight->write, place.offset, collection->layout.stride);
	rados_write_op_omap_rm_keys2(flight->write, &key, &key_bytes, 1);
	rados_write_op_omap_set2(flight->write, &removed_key, &value, &removed_key_bytes,
	                         &tag_bytes, 1);
	r = flight_fly(io_of(collection), flight, place.object);
	flight_free(flight);
	return r;
}

/* The object that was made in vain. */
static int drop_lost(struct collection *collection, const char *name)
{
	struct flight *flight = flight_to_write();
	int r;

	if (!flight)
		return -ENOMEM;
	rados_write_op_remove(flight->write);
	r = flight_fly(io_of(collection), flight, name);
	flight_free(flight);
	return r;
}

int repair_move_aside(struct collection *collection, uint64_t id, char to[OBJECT_NAME_BYTES])
{
	struct seen seen;
	int r = watch_permit(collection);

	if (r == 0)
		r = see(collection, id, &seen);
	if (r != 0)
		return r;
	if (seen.verdict == -EUCLEAN) {
		r = keep(collection, id, &seen, to);
		if (r == 0)
			r = take_out(collection, id, &seen);
		if (r == -ECANCELED)
			r = drop_lost(collection, to) == 0 ? -ENOENT : -EIO;
		if (r != 0 && r != -ENOENT)
			r = failure_of(collection, r, true,
			               "vector %" PRIu64 " cannot be moved aside to the object %s",
			               id, to);
	} else {
		r = -ENOENT;
	}
	seen_free(&seen);
	return r;
}
