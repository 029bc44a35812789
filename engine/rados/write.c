#include "engine/rados/write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/latency.h"
#include "engine/base/record_attr.h"
#include "engine/media/ctime.h"
#include "engine/rados/directory.h"
#include "engine/rados/failure.h"
#include "engine/rados/hints.h"
#include "engine/rados/pause.h"
#include "engine/rados/seen.h"
#include "engine/rados/watch.h"

/* One change of one vector. */
struct change {
	struct collection *collection;
	uint64_t id;
	struct place place;
	const char *verb; /* for messages: "written" */
	const void *data; /* of a put */
	const struct quiver_attr *attr;
	unsigned mask;
	unsigned flags;
	struct tag tag; /* of the attempt */
	uint8_t row[ROW_BYTES]; /* that the attempt sets */
};

/* ---- the parts of an operation ---- */

/* The row is as it was seen. */
static void compare_row(struct flight *flight, const struct change *change, const struct seen *seen)
{
	rados_write_op_omap_cmp2(flight->write, change->place.key, LIBRADOS_CMPXATTR_OP_EQ,
	                         seen->row_bytes ? seen->row_value : "", KEY_BYTES, seen->row_bytes,
	                         &flight->rows_result);
}

/* Nothing has been removed since. */
static void compare_removed(struct flight *flight, const struct seen *seen)
{
	rados_write_op_omap_cmp2(flight->write, KEY_REMOVED, LIBRADOS_CMPXATTR_OP_EQ,
	                         seen->removed_bytes ? seen->removed_value : "", KEY_REMOVED_BYTES,
	                         seen->removed_bytes, &flight->rows_result);
}

static void set_row(struct flight *flight, struct change *change, const struct row *row)
{
	const char *key = change->place.key;
	const size_t key_bytes = KEY_BYTES;
	const size_t row_bytes = ROW_BYTES;
	const char *value = (const char *)change->row;

	row_encode(row, change->collection->mark, change->row);
	rados_write_op_omap_set2(flight->write, &key, &value, &key_bytes, &row_bytes, 1);
}

/* The whole slot: an OSD keeps blocks of 4 KiB, and would read the last one before it changes a part
 * of it, which costs a sixth of all that a write costs. */
static int set_bytes(struct flight *flight, const struct change *change)
{
	const struct layout *layout = &change->collection->layout;
	char *slot;

	if (layout->stride == layout->vector_bytes) {
		rados_write_op_write(flight->write, change->data, layout->stride,
		                     change->place.offset);
		return 0;
	}
	slot = calloc(1, layout->stride);
	if (!slot)
		return -ENOMEM;
	memcpy(slot, change->data, layout->vector_bytes);
	rados_write_op_write(flight->write, slot, layout->stride,
	                     change->place.offset); /* it copies them */
	free(slot);
	return 0;
}

/* ---- what the three do: fill the operation, from what was seen. 0, or what the call returns ---- */

static int fill_put(struct flight *flight, struct change *change, const struct seen *seen)
{
	size_t n = change->collection->layout.vector_bytes;
	struct row row = {
		.id = change->id,
		.tag = change->tag,
		.attr = *change->attr,
		.sum = row_sum(change->id, &change->tag, change->data, n),
	};

	row.attr.ctime_ns = clock_realtime_ns();
	if (seen->verdict == 0) {
		record_attr_inherit(&row.attr, change->mask, &seen->row.attr);
		row.attr.ctime_ns = ctime_after(seen->row.attr.ctime_ns, row.attr.ctime_ns);
	}
	row.attr.mode &= 07777;
	rados_write_op_create(flight->write, LIBRADOS_CREATE_IDEMPOTENT, NULL);
	compare_row(flight, change, seen);
	if (seen->row_bytes == 0)
		compare_removed(flight, seen);
	set_row(flight, change, &row);
	return set_bytes(flight, change);
}

static void fill_remove(struct flight *flight, const struct change *change, const struct seen *seen)
{
	const char *key = change->place.key;
	const char *removed_key = KEY_REMOVED;
	const size_t key_bytes = KEY_BYTES;
	const size_t removed_key_bytes = KEY_REMOVED_BYTES;
	const size_t tag_bytes = TAG_BYTES;
	uint8_t bytes[TAG_BYTES];
	const char *value = (const char *)bytes;

	tag_encode(&change->tag, bytes);
	compare_row(flight, change, seen);
	rados_write_op_zero(flight->write, change->place.offset, change->collection->layout.stride);
	rados_write_op_omap_rm_keys2(flight->write, &key, &key_bytes, 1);
	rados_write_op_omap_set2(flight->write, &removed_key, &value, &removed_key_bytes,
	                         &tag_bytes, 1);
}

static void fill_attr(struct flight *flight, struct change *change, const struct seen *seen)
{
	struct row row = seen->row;
	struct quiver_attr attr = *change->attr;

	record_attr_inherit(&attr, change->mask, &row.attr);
	attr.ctime_ns = ctime_after(row.attr.ctime_ns, clock_realtime_ns());
	attr.mode &= 07777;
	row.attr = attr;
	row.revision++;
	compare_row(flight, change, seen);
	set_row(flight, change, &row);
}

/* ---- until it has happened ---- */

/* Whether what was seen lets the change go on. 0, -EEXIST, -ENOENT, -EIO. */
static int permit(const struct change *change, const struct seen *seen)
{
	struct collection *collection = change->collection;
	bool is_there = seen->verdict != -ENOENT;
	int r;

	if (change->data)
		return is_there && (change->flags & QUIVER_NOREPLACE) ? -EEXIST : 0;
	if (!is_there) {
		r = watch_confirm(collection);
		return r ? r : -ENOENT;
	}
	if (change->attr && seen->verdict != 0) {
		failure_say(collection,
		            "vector %" PRIu64
		            ": its row in the object %s is damaged; `quiverfs check --repair` "
		            "moves it aside, `quiverfs import` writes it again",
		            change->id, change->place.object);
		return -EIO;
	}
	return 0;
}

static int fly(struct change *change, const struct seen *seen)
{
	struct flight *flight = flight_to_write();
	int r = 0;

	if (!flight)
		return -ENOMEM;
	change->tag = collection_tag(change->collection);
	if (change->data)
		r = fill_put(flight, change, seen);
	else if (change->attr)
		fill_attr(flight, change, seen);
	else
		fill_remove(flight, change, seen);
	if (r == 0)
		r = flight_fly(io_of(change->collection), flight, change->place.object);
	flight_free(flight);
	return r;
}

/* What is known now of what was changed. */
static void remember(const struct change *change, int r)
{
	uint8_t removed[TAG_BYTES];

	if (r != 0) {
		hints_drop(change->collection, change->id);
	} else if (change->data || change->attr) {
		hints_keep(change->collection, change->id, change->row, ROW_BYTES);
	} else {
		tag_encode(&change->tag, removed);
		hints_keep(change->collection, change->id, NULL, 0);
		hints_keep_removed(change->collection, change->id, removed, TAG_BYTES);
	}
}

/* Whether the change can begin with the guess: where it is wrong the comparison says so, but an
 * answer for which nothing is sent must not rest on it. */
static bool is_enough(const struct change *change, const struct seen *guess)
{
	if (guess->verdict == -ENOENT)
		return change->data;
	return !(change->data && (change->flags & QUIVER_NOREPLACE));
}

/* What the change begins with. 0, and then seen_free; what the call returns. */
static int look(const struct change *change, bool may_guess, struct seen *seen)
{
	if (may_guess && seen_guess(change->collection, change->id, seen) &&
	    is_enough(change, seen))
		return 0;
	return seen_get(change->collection, change->id, change->data ? SEEN_REMOVED : 0, seen);
}

/* One attempt. 0, and *was_there; -ECANCELED others were faster, or the guess was wrong; all others:
 * what the call returns. */
static int attempt(struct change *change, bool may_guess, bool *was_there)
{
	struct seen seen;
	int r = look(change, may_guess, &seen);

	if (r != 0)
		return r;
	*was_there = seen.verdict != -ENOENT;
	r = permit(change, &seen);
	if (r == 0) {
		r = fly(change, &seen);
		remember(change, r);
		if (r != 0 && r != -ECANCELED)
			r = failure_of(change->collection, r, true,
			               "vector %" PRIu64 " cannot be %s", change->id, change->verb);
	}
	seen_free(&seen);
	return r;
}

/* 0; what the call returns. */
static int apply(struct change *change, bool *was_there)
{
	struct collection *collection = change->collection;
	struct pause pause = { 0 };
	uint64_t begun_ns = clock_monotonic_ns();
	int r;

	if (collection->read_only)
		return -EROFS;
	if (change->flags & QUIVER_NOWAIT)
		return -EAGAIN;
	r = watch_permit(collection);
	if (r != 0)
		return r;
	collection_place(collection, change->id, &change->place);
	r = attempt(change, true, was_there);
	while (r == -ECANCELED) {
		r = pause_take(&pause);
		if (r == 0)
			r = attempt(change, false, was_there);
	}
	if (r == -EBUSY)
		failure_say(collection,
		            "vector %" PRIu64 " was not %s: other clients changed it each of the "
		            "%u times that it was tried",
		            change->id, change->verb, PAUSES_MAX);
	if (r == 0)
		latency_add(&collection->counters.commit, clock_monotonic_ns() - begun_ns);
	return r;
}

int write_put(struct quiver *store, uint64_t id, const void *data, const struct quiver_attr *attr,
              unsigned attr_mask, unsigned flags, uint64_t *lsn)
{
	struct collection *collection = collection_of(store);
	struct change change = { .collection = collection,
		                 .id = id,
		                 .verb = "written",
		                 .data = data,
		                 .attr = attr,
		                 .mask = attr_mask,
		                 .flags = flags };
	bool was_there;
	int r;

	if (id > QUIVER_ID_MAX)
		return -EINVAL;
	r = apply(&change, &was_there);
	if (r != 0)
		return r;
	atomic_fetch_add(&collection->counters.puts, 1);
	if (!was_there) {
		collection_count(collection, 1);
		directory_changed(collection);
	}
	if (lsn)
		*lsn = tag_version(&change.tag);
	return 0;
}

int write_remove(struct quiver *store, uint64_t id, unsigned flags, uint64_t *lsn)
{
	struct collection *collection = collection_of(store);
	struct change change = {
		.collection = collection, .id = id, .verb = "removed", .flags = flags
	};
	bool was_there;
	int r = id > QUIVER_ID_MAX ? -ENOENT : apply(&change, &was_there);

	if (r != 0)
		return r;
	atomic_fetch_add(&collection->counters.removes, 1);
	collection_count(collection, -1);
	directory_changed(collection);
	if (lsn)
		*lsn = tag_version(&change.tag);
	return 0;
}

int write_set_attr(struct quiver *store, uint64_t id, const struct quiver_attr *attr, unsigned mask,
                   unsigned flags)
{
	struct collection *collection = collection_of(store);
	struct change change = { .collection = collection,
		                 .id = id,
		                 .verb = "given other attributes",
		                 .attr = attr,
		                 .mask = mask,
		                 .flags = flags };
	bool was_there;
	int r = id > QUIVER_ID_MAX ? -ENOENT : apply(&change, &was_there);

	if (r == 0)
		atomic_fetch_add(&collection->counters.set_attrs, 1);
	return r;
}
