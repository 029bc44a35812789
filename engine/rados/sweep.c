#include "engine/rados/sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rados/collection.h"
#include "engine/rados/flight.h"
#include "engine/rados/header_read.h"
#include "engine/rados/rows.h"
#include "engine/rados/scan.h"

/* Objects that are looked at before the header is asked once, and then removed at once. */
#define WINDOW 128u
/* Who changes an object all the while has a collection there. */
#define ATTEMPTS_MAX 100u

struct candidate {
	char name[OBJECT_NAME_BYTES];
	enum layout_what what;
	unsigned attempts;
	bool is_there;
	uint64_t version;
	bool is_done;
};

struct sweeping {
	struct connection *connection;
	char header_name[OBJECT_NAME_BYTES];
	struct flights *flights;
	struct rows rows;
	struct candidate window[WINDOW];
	unsigned count;
	bool has_owner; /* a collection of this name was there, after the window was looked at */
	uint64_t mark; /* of its rows */
	uint64_t removed;
};

/* Send one for a candidate; it is freed where that fails. */
static int send_for(struct sweeping *sweeping, struct flight *flight, struct candidate *candidate)
{
	flight->arg = candidate;
	return flights_send(sweeping->flights, flight, candidate->name);
}

/* ---- looking ---- */

static int ask_version(struct sweeping *sweeping, struct candidate *candidate)
{
	struct flight *flight = flight_to_read();

	if (!flight)
		return -ENOMEM;
	rados_read_op_assert_exists(flight->read);
	return send_for(sweeping, flight, candidate);
}

static int look(struct sweeping *sweeping)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < sweeping->count; i++)
		r = ask_version(sweeping, &sweeping->window[i]);
	while (r == 0 && flights_flying(sweeping->flights) > 0) {
		struct flight *flight = NULL;
		struct candidate *candidate;

		r = flights_land(sweeping->flights, &flight);
		if (r != 0)
			break;
		candidate = flight->arg;
		candidate->is_there = flight->result == 0;
		candidate->version = flight->version;
		candidate->is_done = flight->result == -ENOENT;
		r = candidate->is_done ? 0 : flight->result;
		flight_free(flight);
	}
	return r;
}

/* Whether the name is somebody's again. */
static int ask_owner(struct sweeping *sweeping)
{
	struct found_header found;
	int r = header_fetch(sweeping->connection->io, sweeping->header_name, &found);

	sweeping->has_owner = r != -ENOENT;
	if (r == 0)
		sweeping->mark = row_collection(found.header.geometry.uuid);
	return r == -ENOENT ? 0 : r;
}

/* ---- nobody has the name: the objects go ---- */

static int send_removal(struct sweeping *sweeping, struct candidate *candidate)
{
	struct flight *flight = flight_to_write();

	if (!flight)
		return -ENOMEM;
	rados_write_op_assert_version(flight->write, candidate->version);
	rados_write_op_remove(flight->write);
	return send_for(sweeping, flight, candidate);
}

/* What a removal has come back with. */
static int landed(struct sweeping *sweeping, struct candidate *candidate, int r)
{
	switch (r) {
	case 0:
		sweeping->removed++;
		candidate->is_done = true;
		return 0;
	case -ENOENT:
		candidate->is_done = true;
		return 0;
	case -ERANGE: /* it has changed since it was looked at */
	case -EOVERFLOW:
		return ++candidate->attempts < ATTEMPTS_MAX ? 0 : -EBUSY;
	default:
		return r;
	}
}

static int remove_all(struct sweeping *sweeping)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < sweeping->count; i++) {
		if (sweeping->window[i].is_there)
			r = send_removal(sweeping, &sweeping->window[i]);
	}
	while (r == 0 && flights_flying(sweeping->flights) > 0) {
		struct flight *flight = NULL;

		r = flights_land(sweeping->flights, &flight);
		if (r == 0)
			r = landed(sweeping, flight->arg, flight->result);
		flight_free(flight);
	}
	return r;
}

/* ---- somebody has the name: only rows go that are not his ---- */

static bool is_left_over(const struct sweeping *sweeping, uint64_t id, const struct value *value)
{
	struct row row;

	return value->bytes &&
	       row_decode(value->bytes, value->length, sweeping->mark, id, &row) == -ENOENT;
}

/* Take the leftover rows out; how many there are. Of which ID such a row is does not matter. */
static unsigned fill_strip(const struct sweeping *sweeping, struct flight *flight)
{
	unsigned count = 0;

	for (uint32_t slot = 0; slot < sweeping->rows.slot_count; slot++) {
		const struct value *value = &sweeping->rows.slots[slot];
		const size_t key_bytes = KEY_BYTES;
		char text[KEY_BYTES];
		const char *key = text;

		if (!is_left_over(sweeping, slot, value))
			continue;
		layout_key(slot, text);
		rados_write_op_omap_cmp2(flight->write, key, LIBRADOS_CMPXATTR_OP_EQ, value->bytes,
		                         KEY_BYTES, value->length, NULL);
		rados_write_op_omap_rm_keys2(flight->write, &key, &key_bytes, 1);
		count++;
	}
	return count;
}

/* 0; -ECANCELED somebody was faster. */
static int strip(struct sweeping *sweeping, const char *name)
{
	rados_ioctx_t io = sweeping->connection->io;
	struct flight *seen = flight_to_read();
	struct flight *flight = flight_to_write();
	int r = seen && flight ? rows_ask_keys(seen, NULL, SLOTS_MAX) : -ENOMEM;

	if (r == 0)
		r = flight_fly(io, seen, name);
	if (r == 0) {
		rows_take(&sweeping->rows, seen);
		if (fill_strip(sweeping, flight) > 0)
			r = flight_fly(io, flight, name);
	}
	flight_free(flight);
	flight_free(seen);
	return r == -ENOENT ? 0 : r;
}

static int strip_all(struct sweeping *sweeping)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < sweeping->count; i++) {
		struct candidate *candidate = &sweeping->window[i];

		if (candidate->is_there && candidate->what == LAYOUT_DATA)
			r = strip(sweeping, candidate->name);
		candidate->is_done = r != -ECANCELED;
		if (r == -ECANCELED)
			r = ++candidate->attempts < ATTEMPTS_MAX ? 0 : -EBUSY;
	}
	return r;
}

/* ---- window by window ---- */

/* What is not done stays, behind it come others. `*is_scanned`: no more do. */
static int fill(struct sweeping *sweeping, struct scan *scan, bool *is_scanned)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < sweeping->count; i++) {
		if (!sweeping->window[i].is_done)
			sweeping->window[kept++] = sweeping->window[i];
	}
	sweeping->count = kept;
	while (!*is_scanned && sweeping->count < WINDOW) {
		struct scan_item item;
		int r = scan_next(scan, true, &item);

		if (r < 0)
			return r;
		if (r == 0) {
			*is_scanned = true;
		} else if (item.what != LAYOUT_HEADER) {
			struct candidate *candidate = &sweeping->window[sweeping->count++];

			*candidate = (struct candidate){ .what = item.what };
			memcpy(candidate->name, item.name, sizeof(candidate->name));
		}
	}
	return 0;
}

static int run(struct sweeping *sweeping, struct scan *scan)
{
	bool is_scanned = false;
	int r;

	while ((r = fill(sweeping, scan, &is_scanned)) == 0 && sweeping->count > 0) {
		if (flight_is_stopped())
			return -EINTR;
		/* In this order: who writes rows has made the header before. */
		r = look(sweeping);
		if (r == 0)
			r = ask_owner(sweeping);
		if (r == 0)
			r = sweeping->has_owner ? strip_all(sweeping) : remove_all(sweeping);
		if (r != 0)
			break;
	}
	return r;
}

int sweep(struct connection *connection, uint64_t *removed)
{
	const char *name = connection->target.name;
	struct sweeping *sweeping = calloc(1, sizeof(*sweeping));
	struct scan *scan = NULL;
	int r;

	*removed = 0;
	if (!sweeping)
		return -ENOMEM;
	sweeping->connection = connection;
	layout_header_name(name, sweeping->header_name);
	sweeping->flights = flights_new(connection->io, WINDOW);
	r = rows_make(&sweeping->rows, SLOTS_MAX);
	if (r == 0)
		r = sweeping->flights ? scan_begin(connection, name, &scan) : -ENOMEM;
	if (r == 0)
		r = run(sweeping, scan);
	*removed = sweeping->removed;
	scan_end(scan);
	flights_free(sweeping->flights);
	rows_free(&sweeping->rows);
	free(sweeping);
	return r;
}
