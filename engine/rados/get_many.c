#include "engine/rados/get_many.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rados/damage.h"
#include "engine/rados/failure.h"
#include "engine/rados/flight.h"
#include "engine/rados/read.h"
#include "engine/rados/rows.h"
#include "engine/rados/watch.h"

/* Objects that are read at once: 256 KiB each, 512 KiB of the largest vectors. */
#define READS_MAX 16u
/* Slots that nobody asked for, between two that somebody did, up to which one read is cheaper. */
#define GAP_MAX 4u

/* One of `ids`: of one object those stand together, by their slots. */
struct wanted {
	uint64_t id;
	size_t index; /* in the arrays of the caller */
};

/* Neighbours that are read at once; in the flight, as librados writes to it. */
struct run {
	uint32_t first; /* slot */
	uint32_t count; /* slots */
	size_t at; /* its bytes among those of the flight */
	size_t bytes_read;
	int result;
};

struct many {
	struct collection *collection;
	struct flights *flights;
	struct rows rows;
	struct wanted *wanted;
	size_t count;
	size_t next; /* of `wanted`, not sent for yet */
	char *to; /* NULL: attributes alone */
	struct quiver_attr *attrs;
	int *results;
	bool missed; /* something was not there: is the collection? */
};

/* The IDs of one object; at the head of the flight's bytes, and what is read behind it. */
struct group {
	const struct wanted *wanted;
	size_t count;
	size_t run_count;
	struct run runs[]; /* room for `count` */
};

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *x = a;
	const struct wanted *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static size_t run_bytes(const struct layout *layout, const struct run *run)
{
	return (size_t)(run->count - 1) * layout->stride + layout->vector_bytes;
}

static uint32_t slot_of(const struct many *many, const struct wanted *wanted)
{
	return layout_slot(&many->collection->layout, wanted->id);
}

/* Find the runs of a group. How many bytes they hold. */
static size_t find_runs(const struct many *many, struct group *group)
{
	const struct layout *layout = &many->collection->layout;
	size_t bytes = 0;

	for (size_t i = 0; i < group->count; i++) {
		uint32_t slot = slot_of(many, &group->wanted[i]);
		struct run *last = group->run_count ? &group->runs[group->run_count - 1] : NULL;

		if (!last || slot > last->first + last->count + GAP_MAX)
			group->runs[group->run_count++] = (struct run){ .first = slot, .count = 1 };
		else
			last->count = slot - last->first + 1;
	}
	for (size_t i = 0; i < group->run_count; i++) {
		group->runs[i].at = bytes;
		bytes += run_bytes(layout, &group->runs[i]);
	}
	return bytes;
}

static int ask_rows(const struct many *many, struct flight *flight, const struct group *group)
{
	uint32_t *slots = malloc(group->count * sizeof(*slots));
	int r;

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < group->count; i++)
		slots[i] = slot_of(many, &group->wanted[i]);
	r = rows_ask_keys(flight, slots, (uint32_t)group->count);
	free(slots);
	return r;
}

/* Of the first `count` of `wanted`, all of one object. */
static int prepare(const struct many *many, struct flight *flight, const struct wanted *wanted,
                   size_t count)
{
	const struct layout *layout = &many->collection->layout;
	const size_t head = sizeof(struct group) + count * sizeof(struct run);
	/* No run reads a slot twice, and none goes beyond the last. */
	const size_t most = count > layout->slots / (GAP_MAX + 1)
	                            ? layout_object_bytes(layout)
	                            : count * (GAP_MAX + 1) * (size_t)layout->stride;
	int r = flight_room(flight, many->to ? head + most : head);
	struct group *group;

	if (r != 0)
		return r;
	group = (struct group *)(void *)flight->bytes;
	*group = (struct group){ .wanted = wanted, .count = count };
	(void)find_runs(many, group);
	for (size_t i = 0; many->to && i < group->run_count; i++) {
		struct run *run = &group->runs[i];

		rados_read_op_read(flight->read, (uint64_t)run->first * layout->stride,
		                   run_bytes(layout, run), (char *)flight->bytes + head + run->at,
		                   &run->bytes_read, &run->result);
	}
	return ask_rows(many, flight, group);
}

/* Those of the next object. */
static int send_next(struct many *many)
{
	const struct layout *layout = &many->collection->layout;
	const struct wanted *wanted = &many->wanted[many->next];
	uint64_t object = layout_object(layout, wanted->id);
	struct flight *flight = flight_to_read();
	char name[OBJECT_NAME_BYTES];
	size_t count = 0;
	int r;

	if (!flight)
		return -ENOMEM;
	while (many->next < many->count &&
	       layout_object(layout, many->wanted[many->next].id) == object) {
		count++;
		many->next++;
	}
	r = prepare(many, flight, wanted, count);
	if (r != 0) {
		flight_free(flight);
		return r;
	}
	layout_object_name(many->collection->connection.target.name, object, name);
	return flights_send(many->flights, flight, name);
}

static void answer(struct many *many, const struct wanted *wanted, int result)
{
	many->results[wanted->index] = result;
	if (result == -ENOENT)
		many->missed = true;
}

/* One of them, whose run is `run` with its bytes at `bytes`. */
static void look_at(struct many *many, const struct wanted *wanted, const struct run *run,
                    const unsigned char *bytes)
{
	struct collection *collection = many->collection;
	const size_t n = collection->layout.vector_bytes;
	uint32_t slot = slot_of(many, wanted);
	size_t offset = (size_t)(slot - run->first) * collection->layout.stride;
	const struct value *value = &many->rows.slots[slot];
	struct row row;
	int r = row_decode(value->bytes, value->length, collection->mark, wanted->id, &row);

	if (r == 0 && many->to &&
	    (offset + n > run->bytes_read || !row_fits(&row, bytes + offset, n)))
		r = -EUCLEAN;
	if (r == -EUCLEAN)
		r = damage_report(collection, wanted->id);
	if (r == 0) {
		if (many->to)
			memcpy(many->to + wanted->index * n, bytes + offset, n);
		if (many->attrs)
			many->attrs[wanted->index] = row.attr;
	}
	answer(many, wanted, r);
}

static void look_at_all(struct many *many, struct flight *flight, const struct group *group)
{
	const unsigned char *bytes =
		flight->bytes + sizeof(*group) + group->count * sizeof(struct run);
	size_t run = 0;

	rows_take(&many->rows, flight);
	for (size_t i = 0; i < group->count; i++) {
		uint32_t slot = slot_of(many, &group->wanted[i]);

		while (slot >= group->runs[run].first + group->runs[run].count)
			run++;
		look_at(many, &group->wanted[i], &group->runs[run], bytes + group->runs[run].at);
	}
}

/* One of them cannot be read where all are asked for, as of a damaged replica: each by itself. */
static int look_one_by_one(struct many *many, const struct group *group)
{
	const size_t n = many->collection->layout.vector_bytes;
	int r = 0;

	for (size_t i = 0; i < group->count; i++) {
		struct quiver *store = (struct quiver *)many->collection;
		uint64_t id = group->wanted[i].id;
		size_t index = group->wanted[i].index;
		struct quiver_attr *attr = many->attrs ? &many->attrs[index] : NULL;

		r = many->to ? read_get_copy(store, id, many->to + index * n, attr, NULL)
		             : read_stat(store, id, 0, attr, NULL);
		if (r != 0 && r != -ENOENT && r != -EIO)
			return r;
		answer(many, &group->wanted[i], r);
	}
	return 0;
}

static int land(struct many *many)
{
	struct flight *flight = NULL;
	const struct group *group;
	int r = flights_land(many->flights, &flight);

	if (r != 0)
		return r;
	group = (const struct group *)(void *)flight->bytes;
	r = flight->result;
	if (r == 0) {
		look_at_all(many, flight, group);
	} else if (r == -EIO) {
		r = look_one_by_one(many, group);
	} else if (r == -ENOENT) {
		for (size_t i = 0; i < group->count; i++)
			answer(many, &group->wanted[i], -ENOENT);
		r = 0;
	}
	flight_free(flight);
	return r;
}

static int run_all(struct many *many)
{
	int r = 0;

	while (r == 0 && (many->next < many->count || flights_flying(many->flights) > 0)) {
		if (many->next < many->count && !flights_full(many->flights))
			r = send_next(many);
		else
			r = land(many);
	}
	if (r == 0 && many->missed)
		return watch_confirm(many->collection);
	return r == 0 || r == -ENOMEM ? r
	                              : failure_of(many->collection, r, false,
	                                           "%zu vectors cannot be read", many->count);
}

static void sort_wanted(struct many *many, const uint64_t *ids, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		many->wanted[many->count] = (struct wanted){ ids[i], i };
		if (ids[i] > QUIVER_ID_MAX)
			many->results[i] = -ENOENT;
		else
			many->count++;
	}
	qsort(many->wanted, many->count, sizeof(*many->wanted), compare_wanted);
}

int get_many(struct quiver *store, const uint64_t *ids, size_t count, void *to,
             struct quiver_attr *attrs, int *results)
{
	struct collection *collection = collection_of(store);
	struct many many = {
		.collection = collection, .to = to, .attrs = attrs, .results = results
	};
	int r = watch_refuse(collection);

	if (r != 0 || count == 0)
		return r;
	many.wanted = malloc(count * sizeof(*many.wanted));
	many.flights = flights_new(io_of(collection), READS_MAX);
	r = rows_make(&many.rows, collection->layout.slots);
	if (r == 0 && (!many.wanted || !many.flights))
		r = -ENOMEM;
	if (r == 0) {
		sort_wanted(&many, ids, count);
		r = run_all(&many);
	}
	if (r == 0)
		atomic_fetch_add_explicit(&collection->gets, count, memory_order_relaxed);
	rows_free(&many.rows);
	flights_free(many.flights);
	free(many.wanted);
	return r;
}
