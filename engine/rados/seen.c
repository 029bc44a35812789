#include "engine/rados/seen.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine/rados/failure.h"
#include "engine/rados/watch.h"

static int prepare(struct flight *flight, const struct collection *collection,
                   const struct place *place, unsigned what)
{
	const char *keys[] = { place->key, KEY_REMOVED };
	const size_t key_bytes[] = { KEY_BYTES, KEY_REMOVED_BYTES };
	int r = 0;

	if (what & SEEN_BYTES) {
		r = flight_room(flight, collection->layout.vector_bytes);
		if (r != 0)
			return r;
		rados_read_op_read(flight->read, place->offset, collection->layout.vector_bytes,
		                   (char *)flight->bytes, &flight->bytes_read,
		                   &flight->bytes_result);
	}
	rados_read_op_omap_get_vals_by_keys2(flight->read, keys, what & SEEN_REMOVED ? 2 : 1,
	                                     key_bytes, &flight->rows, &flight->rows_result);
	return r;
}

static void take_values(struct seen *seen, const struct place *place)
{
	const char *key, *value;
	size_t key_bytes, value_bytes;

	while (flight_row(seen->flight, &key, &key_bytes, &value, &value_bytes)) {
		if (key_bytes == KEY_BYTES && memcmp(key, place->key, KEY_BYTES) == 0) {
			seen->row_value = value;
			seen->row_bytes = value_bytes;
		} else {
			seen->removed_value = value;
			seen->removed_bytes = value_bytes;
		}
	}
}

static int judge(const struct collection *collection, uint64_t id, unsigned what, struct seen *seen)
{
	const struct flight *flight = seen->flight;
	int r = row_decode(seen->row_value, seen->row_bytes, collection->mark, id, &seen->row);

	if (r == 0 && (what & SEEN_BYTES) &&
	    (flight->bytes_read != collection->layout.vector_bytes ||
	     !row_fits(&seen->row, flight->bytes, flight->bytes_read)))
		r = -EUCLEAN;
	return r;
}

int seen_get(struct collection *collection, uint64_t id, unsigned what, struct seen *seen)
{
	struct place place;
	int r;

	*seen = (struct seen){ 0 };
	r = watch_refuse(collection);
	if (r != 0)
		return r;
	seen->flight = flight_to_read();
	if (!seen->flight)
		return -ENOMEM;
	collection_place(collection, id, &place);
	r = prepare(seen->flight, collection, &place, what);
	if (r == 0)
		r = flight_fly(io_of(collection), seen->flight, place.object);
	if (r == 0)
		take_values(seen, &place);
	if (r == 0 || r == -ENOENT) {
		seen->verdict = judge(collection, id, what, seen);
		if (seen->verdict == 0 || seen->row_bytes == 0)
			hints_keep(collection, id, seen->row_value, seen->row_bytes);
		if (what & SEEN_REMOVED)
			hints_keep_removed(collection, id, seen->removed_value,
			                   seen->removed_bytes);
		return 0;
	}
	seen_free(seen);
	return failure_of(collection, r, false, "vector %" PRIu64 " cannot be read", id);
}

bool seen_guess(struct collection *collection, uint64_t id, struct seen *seen)
{
	struct guess *guess = &seen->guess;

	*seen = (struct seen){ 0 };
	if (!hints_find(collection, id, guess))
		return false;
	seen->row_value = (const char *)guess->row;
	seen->row_bytes = guess->row_bytes;
	seen->removed_value = (const char *)guess->removed;
	seen->removed_bytes = guess->removed_bytes;
	seen->verdict =
		row_decode(seen->row_value, seen->row_bytes, collection->mark, id, &seen->row);
	return seen->verdict == 0 || seen->row_bytes == 0;
}

void seen_free(struct seen *seen)
{
	flight_free(seen->flight);
	seen->flight = NULL;
}
