#include "engine/rados/walk.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Objects whose bytes are here at once: 256 KiB each, 512 KiB of the largest vectors. */
#define WITH_BYTES_MAX 16u

static_assert(WITH_BYTES_MAX <= FLIGHTS_MAX, "there is a visit for each");

/* Of one object, as long as it is looked at; the flight's arg. */
struct visit {
	uint64_t number;
	char name[OBJECT_NAME_BYTES];
	bool by_key; /* all that is there has to be asked for by its key */
	bool with_bytes;
	uint32_t others; /* by_key: those that came before */
	struct visit *next; /* of those that are not used */
};

struct walking {
	const struct walk *walk;
	struct scan *scan;
	struct flights *flights;
	struct rows rows;
	struct visit visits[FLIGHTS_MAX]; /* no flight asks for more */
	struct visit *unused;
	bool is_scanned; /* no more names come */
};

static int prepare(const struct walk *walk, struct flight *flight, const struct visit *visit)
{
	size_t bytes = layout_object_bytes(&walk->layout);
	int r = 0;

	if (visit->with_bytes) {
		r = flight_room(flight, bytes);
		if (r != 0)
			return r;
		rados_read_op_read(flight->read, 0, bytes, (char *)flight->bytes,
		                   &flight->bytes_read, &flight->bytes_result);
	}
	if (visit->by_key)
		return rows_ask_keys(flight, NULL, walk->layout.slots);
	rows_ask(flight, walk->layout.slots);
	return r;
}

/* Send it, or send it anew. */
static int send_visit(struct walking *walking, struct visit *visit)
{
	struct flight *flight = flight_to_read();
	int r = flight ? prepare(walking->walk, flight, visit) : -ENOMEM;

	if (r != 0) {
		flight_free(flight);
		return r;
	}
	flight->arg = visit;
	return flights_send(walking->flights, flight, visit->name);
}

static int visit_object(struct walking *walking, const struct scan_item *item)
{
	struct visit *visit = walking->unused;

	walking->unused = visit->next;
	*visit = (struct visit){ .number = item->object, .with_bytes = walking->walk->with_bytes };
	memcpy(visit->name, item->name, sizeof(visit->name));
	return send_visit(walking, visit);
}

/* Take a name and send for it. 0, also where there is none now; what has failed. */
static int go_on(struct walking *walking)
{
	const struct walk *walk = walking->walk;
	struct scan_item item;
	int r = scan_next(walking->scan, flights_flying(walking->flights) == 0, &item);

	if (r == 0)
		walking->is_scanned = true;
	if (r <= 0)
		return r;
	if (item.what == LAYOUT_DATA)
		return visit_object(walking, &item);
	return item.what == LAYOUT_LOST && walk->lost ? walk->lost(walk->arg, item.name) : 0;
}

/* Whether it has to be sent once more, otherwise. Where not all came, the key that did not is that of
 * the last removal, or some are not ours. */
static bool is_to_try_again(struct walking *walking, struct flight *flight, struct visit *visit)
{
	if (flight->result == -EIO && visit->with_bytes) {
		visit->with_bytes = false;
		return true;
	}
	if (flight->result != 0)
		return false;
	rows_take(&walking->rows, flight);
	if (flight->rows_more && !visit->by_key &&
	    walking->rows.present < walking->rows.slot_count) {
		visit->by_key = true;
		visit->others = walking->rows.others;
		return true;
	}
	walking->rows.has_more = visit->by_key || flight->rows_more;
	if (visit->by_key)
		walking->rows.others = visit->others;
	return false;
}

static int tell(struct walking *walking, const struct visit *visit, struct flight **flight)
{
	const struct walk *walk = walking->walk;

	if ((*flight)->result == -ENOENT)
		return 0;
	if ((*flight)->result == -ETIMEDOUT && walk->unread)
		return walk->unread(walk->arg, visit->name);
	if ((*flight)->result != 0)
		return (*flight)->result;
	return walk->object(walk->arg, visit->number, flight, &walking->rows);
}

/* What the next that lands has brought. */
static int look_at_next(struct walking *walking)
{
	struct flight *flight = NULL;
	struct visit *visit;
	int r = flights_land(walking->flights, &flight);

	if (r != 0)
		return r;
	visit = flight->arg;
	if (is_to_try_again(walking, flight, visit)) {
		flight_free(flight);
		return send_visit(walking, visit);
	}
	r = tell(walking, visit, &flight);
	visit->next = walking->unused;
	walking->unused = visit;
	flight_free(flight);
	return r;
}

static int run(struct walking *walking)
{
	int r = 0;

	while (r == 0 && (!walking->is_scanned || flights_flying(walking->flights) > 0)) {
		if (!walking->is_scanned && !flights_full(walking->flights)) {
			r = go_on(walking);
			if (r != -EAGAIN)
				continue;
		}
		r = look_at_next(walking);
	}
	return r;
}

static int prepare_all(struct walking *walking)
{
	const struct walk *walk = walking->walk;
	int r = rows_make(&walking->rows, walk->layout.slots);

	if (r != 0)
		return r;
	for (unsigned i = 0; i < FLIGHTS_MAX; i++) {
		walking->visits[i].next = walking->unused;
		walking->unused = &walking->visits[i];
	}
	walking->flights =
		flights_new(walk->connection->io, walk->with_bytes ? WITH_BYTES_MAX : FLIGHTS_MAX);
	if (!walking->flights)
		return -ENOMEM;
	return scan_begin(walk->connection, walk->collection, &walking->scan);
}

int walk_run(const struct walk *walk)
{
	struct walking walking = { .walk = walk };
	int r = prepare_all(&walking);

	if (r == 0)
		r = run(&walking);
	scan_end(walking.scan);
	flights_free(walking.flights);
	rows_free(&walking.rows);
	return r;
}
