#include "engine/rados/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/latency.h"
#include "engine/rados/batch_fill.h"
#include "engine/rados/directory.h"
#include "engine/rados/failure.h"
#include "engine/rados/watch.h"

/* Objects that are written at once, 256 KiB each: import is as fast with 16 as with more. */
#define PARTS_MAX 16u
/* So often another client may change something else in the object before the rows are compared one
 * by one: that costs the OSD more than the version alone does (of 1024 rows of 256 bytes 2.4 ms in
 * place of 1.2), but then only a change of the same vectors is in the way. */
#define VERSIONS_MAX 3u
/* As of a single put; pause.h. */
#define ATTEMPTS_MAX 1000u

struct part {
	struct batch_part fill;
	char object[OBJECT_NAME_BYTES];
	bool is_looking; /* its flight asks for the rows */
	unsigned attempts; /* that others were faster than */
	uint32_t created; /* vectors that were not there, of the operation in the air */
	struct part *next; /* of those that are not used */
};

struct batch {
	struct batch_call call;
	unsigned flags;
	struct flights *flights;
	struct rows rows;
	struct part parts[PARTS_MAX];
	struct part *unused;
	size_t next; /* of call.order, not begun yet */
	uint64_t created;
	uint32_t last; /* the record that is the caller's last */
	struct tag last_tag;
	const char *failed_object; /* of the first failure */
};

/* ---- which records count ---- */

static int compare_records(const void *a, const void *b, void *arg)
{
	const struct quiver_record *records = ((const struct batch_call *)arg)->records;
	uint32_t i = *(const uint32_t *)a;
	uint32_t j = *(const uint32_t *)b;

	if (records[i].id != records[j].id)
		return records[i].id < records[j].id ? -1 : 1;
	return i < j ? -1 : i > j;
}

/* By their IDs; of the same ID the last. */
static void put_in_order(struct batch_call *call, size_t count)
{
	bool ascends = true;

	for (size_t i = 0; i < count; i++) {
		call->order[i] = (uint32_t)i;
		ascends = ascends && (i == 0 || call->records[i - 1].id < call->records[i].id);
	}
	call->count = count;
	if (ascends)
		return;
	qsort_r(call->order, count, sizeof(*call->order), compare_records, call);
	call->count = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t id = call->records[call->order[i]].id;

		if (i + 1 == count || call->records[call->order[i + 1]].id != id)
			call->order[call->count++] = call->order[i];
	}
}

static const struct quiver_record *first_of(const struct batch *batch, const struct part *part)
{
	return &batch->call.records[batch->call.order[part->fill.first]];
}

/* ---- one object ---- */

static int look(struct batch *batch, struct part *part)
{
	const struct layout *layout = &batch->call.collection->layout;
	struct flight *flight = flight_to_read();
	uint32_t *slots = malloc(part->fill.count * sizeof(*slots));
	int r = flight && slots ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < part->fill.count; i++)
		slots[i] = layout_slot(
			layout, batch->call.records[batch->call.order[part->fill.first + i]].id);
	if (r == 0)
		r = rows_ask_keys(flight, slots, part->fill.count);
	free(slots);
	if (r != 0) {
		flight_free(flight);
		return r;
	}
	part->is_looking = true;
	flight->arg = part;
	return flights_send(batch->flights, flight, part->object);
}

/* `rows`: NULL where there is no object. */
static int write_part(struct batch *batch, struct part *part, const struct rows *rows)
{
	struct collection *collection = batch->call.collection;
	struct flight *flight = flight_to_write();
	int r;

	if (!flight)
		return -ENOMEM;
	part->is_looking = false;
	part->fill.tag = collection_tags(collection, part->fill.count);
	r = batch_fill(flight, &batch->call, &part->fill, rows);
	if (r != 0) {
		flight_free(flight);
		return r;
	}
	flight->arg = part;
	return flights_send(batch->flights, flight, part->object);
}

static int write_new(struct batch *batch, struct part *part)
{
	part->fill.guard = BATCH_NO_OBJECT;
	part->created = part->fill.count;
	return write_part(batch, part, NULL);
}

/* The rows have come. */
static int write_over(struct batch *batch, struct part *part, struct flight *flight)
{
	const struct collection *collection = batch->call.collection;
	uint32_t there = 0;

	rows_take(&batch->rows, flight);
	for (uint32_t i = 0; i < part->fill.count; i++) {
		uint64_t id = batch->call.records[batch->call.order[part->fill.first + i]].id;
		const struct value *value =
			&batch->rows.slots[layout_slot(&collection->layout, id)];
		struct row row;

		there += row_decode(value->bytes, value->length, collection->mark, id, &row) !=
		         -ENOENT;
	}
	if (there > 0 && (batch->flags & QUIVER_NOREPLACE))
		return -EEXIST;
	part->fill.guard = part->attempts < VERSIONS_MAX ? BATCH_VERSION : BATCH_ROWS;
	part->fill.version = flight->version;
	part->created = part->fill.count - there;
	return write_part(batch, part, &batch->rows);
}

/* Whether its object is likely to be new: what comes in the order of its IDs begins each object at
 * its beginning. A wrong guess costs one operation. */
static bool seems_new(const struct batch *batch, const struct part *part)
{
	const struct collection *collection = batch->call.collection;

	return layout_slot(&collection->layout, first_of(batch, part)->id) == 0 &&
	       atomic_load_explicit(&collection->finds_new, memory_order_relaxed);
}

static int begin(struct batch *batch)
{
	struct collection *collection = batch->call.collection;
	struct part *part = batch->unused;
	uint64_t object;

	batch->unused = part->next;
	*part = (struct part){ .fill.first = batch->next };
	object = layout_object(&collection->layout, first_of(batch, part)->id);
	while (batch->next < batch->call.count &&
	       layout_object(&collection->layout,
	                     batch->call.records[batch->call.order[batch->next]].id) == object)
		batch->next++;
	part->fill.count = (uint32_t)(batch->next - part->fill.first);
	layout_object_name(collection->connection.target.name, object, part->object);
	return seems_new(batch, part) ? write_new(batch, part) : look(batch, part);
}

/* It is written. */
static void finish(struct batch *batch, struct part *part)
{
	batch->created += part->created;
	for (uint32_t i = 0; i < part->fill.count; i++) {
		if (batch->call.order[part->fill.first + i] == batch->last)
			batch->last_tag =
				(struct tag){ part->fill.tag.client, part->fill.tag.counter + i };
	}
	part->next = batch->unused;
	batch->unused = part;
}

/* Others were faster: what is there now? */
static int look_again(struct batch *batch, struct part *part)
{
	if (++part->attempts > ATTEMPTS_MAX)
		return -EBUSY;
	return flight_is_stopped() ? -EINTR : look(batch, part);
}

/* What a flight has come back with. */
static int go_on(struct batch *batch, struct part *part, struct flight *flight)
{
	struct collection *collection = batch->call.collection;
	int r = flight->result;

	if (part->is_looking) {
		if (r == -ENOENT || r == 0)
			atomic_store_explicit(&collection->finds_new, r != 0, memory_order_relaxed);
		if (r == -ENOENT)
			return write_new(batch, part);
		return r == 0 ? write_over(batch, part, flight) : r;
	}
	switch (r) {
	case 0:
		finish(batch, part);
		return 0;
	case -EEXIST: /* the exclusive create */
		atomic_store_explicit(&collection->finds_new, false, memory_order_relaxed);
		return look_again(batch, part);
	case -ERANGE: /* the version is another, either way */
	case -EOVERFLOW:
	case -ECANCELED: /* a row is */
	case -ENOENT: /* the object has gone: its collection is being removed */
		return look_again(batch, part);
	default:
		return r;
	}
}

/* ---- all of them ---- */

static int land(struct batch *batch)
{
	struct flight *flight = NULL;
	struct part *part;
	int r = flights_land(batch->flights, &flight);

	if (r != 0)
		return r;
	part = flight->arg;
	r = go_on(batch, part, flight);
	if (r != 0 && !batch->failed_object)
		batch->failed_object = part->object;
	flight_free(flight);
	return r;
}

/* What is in the air lands, so that it is known what has happened; nothing more is sent. */
static void let_land(struct batch *batch)
{
	struct flight *flight = NULL;

	while (flights_flying(batch->flights) > 0 && flights_land(batch->flights, &flight) == 0) {
		struct part *part = flight->arg;

		if (flight->result == 0 && !part->is_looking)
			finish(batch, part);
		flight_free(flight);
	}
}

static int run(struct batch *batch)
{
	int r = 0;

	while (r == 0 && (batch->next < batch->call.count || flights_flying(batch->flights) > 0)) {
		if (batch->next < batch->call.count && batch->unused)
			r = begin(batch);
		else
			r = land(batch);
	}
	if (r != 0 && r != -EINTR)
		let_land(batch);
	return r;
}

static void tell(struct batch *batch, int r)
{
	struct collection *collection = batch->call.collection;

	if (batch->created > 0) {
		collection_count(collection, (int64_t)batch->created);
		directory_changed(collection);
	}
	if (r != 0)
		return;
	atomic_fetch_add(&collection->counters.puts, batch->call.count);
	atomic_fetch_add(&collection->counters.batches, 1);
}

static int explain(const struct batch *batch, int r)
{
	struct collection *collection = batch->call.collection;

	if (r == 0 || r == -EEXIST || r == -ENOMEM)
		return r;
	if (r == -EBUSY) {
		failure_say(collection,
		            "a batch of %zu vectors was not written completely: other clients "
		            "changed the object %s each of the %u times that it was tried",
		            batch->call.count, batch->failed_object, ATTEMPTS_MAX);
		return r;
	}
	return failure_of(collection, r, true,
	                  "a batch of %zu vectors cannot be written completely%s%s",
	                  batch->call.count, batch->failed_object ? ", because of the object " : "",
	                  batch->failed_object ? batch->failed_object : "");
}

static int prepare(struct batch *batch, size_t count)
{
	struct collection *collection = batch->call.collection;
	int r = rows_make(&batch->rows, collection->layout.slots);

	batch->call.order = malloc(count * sizeof(*batch->call.order));
	batch->flights = flights_new(io_of(collection), PARTS_MAX);
	if (r != 0 || !batch->call.order || !batch->flights)
		return -ENOMEM;
	put_in_order(&batch->call, count);
	for (unsigned i = 0; i < PARTS_MAX; i++) {
		batch->parts[i].next = batch->unused;
		batch->unused = &batch->parts[i];
	}
	return 0;
}

/* 0; what the call returns where it may not begin. */
static int permit(struct collection *collection, const struct quiver_record *records, size_t count,
                  unsigned flags)
{
	if (collection->read_only)
		return -EROFS;
	for (size_t i = 0; i < count; i++) {
		if (records[i].id > QUIVER_ID_MAX)
			return -EINVAL;
	}
	if (count > QUIVER_BATCH_VECTORS_MAX ||
	    count > QUIVER_BATCH_BYTES_MAX / collection->layout.vector_bytes)
		return -E2BIG;
	if (flags & QUIVER_NOWAIT)
		return -EAGAIN;
	return watch_permit(collection);
}

int batch_put(struct quiver *store, const struct quiver_record *records, size_t count,
              const struct quiver_attr *attr, unsigned attr_mask, unsigned flags, uint64_t *lsn)
{
	struct collection *collection = collection_of(store);
	struct batch batch = { .call = { .collection = collection,
		                         .records = records,
		                         .attr = attr,
		                         .attr_mask = attr_mask },
		               .flags = flags,
		               .last = (uint32_t)count - 1 };
	uint64_t begun_ns = clock_monotonic_ns();
	int r = permit(collection, records, count, flags);

	if (r != 0 || count == 0)
		return r;
	r = prepare(&batch, count);
	if (r == 0)
		r = explain(&batch, run(&batch));
	tell(&batch, r);
	flights_free(batch.flights);
	free(batch.call.order);
	rows_free(&batch.rows);
	if (r != 0)
		return r;
	latency_add(&collection->counters.commit, clock_monotonic_ns() - begun_ns);
	if (lsn)
		*lsn = tag_version(&batch.last_tag);
	return 0;
}
