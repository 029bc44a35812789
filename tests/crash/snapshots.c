/* Looking at the snapshots of a store, from all sides. */
#include "snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "manual_background.h"

#define PATH_BYTES 512

const char *snapshots_name(size_t n)
{
	static const char *const names[SNAPSHOTS_MAX] = {
		"a",
		"2026-11-29T20:15:00.123",
		"B_2",
		"-",
		/* the longest */
		"0123456789012345678901234567890123456789012345678901234567890123",
		"a.new",
	};

	return names[n];
}

static int wrong(const struct snapshots_place *place, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int wrong(const struct snapshots_place *place, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(place->why, place->room, format, args);
	va_end(args);
	return -EUCLEAN;
}

int snapshots_open(const struct snapshots_place *place, size_t n, bool alone, struct quiver **view)
{
	struct quiver_options options = { .size = sizeof(options), .read_only = true };
	char path[PATH_BYTES];

	if (!alone)
		return quiver_snapshot_open(place->store, snapshots_name(n), view);
	(void)snprintf(path, sizeof(path), "%s@%s", place->path, snapshots_name(n));
	return quiver_open(path, &options, view, NULL);
}

/* ---- one of them ---- */

/* Which vector has this ID, ORACLE_IDS where none has. */
static unsigned number_of(uint64_t id)
{
	unsigned i = 0;

	while (i < ORACLE_IDS && oracle_id(i) != id)
		i++;
	return i;
}

static uint64_t rows_of(struct quiver *view, enum quiver_column column, uint64_t row_bytes)
{
	return (quiver_column_bytes(view, column) - QUIVER_COLUMN_HEADER_BYTES) / row_bytes;
}

/* A row of the columns, as they are read. */
static int compare_row(const struct snapshots_place *place, size_t n, struct quiver *view,
                       const struct oracle_state *want, uint64_t row, unsigned *found)
{
	uint32_t bytes = place->oracle->vector_bytes;
	static uint8_t vector[ORACLE_VECTOR_BYTES_MAX];
	static const uint8_t zeros[ORACLE_VECTOR_BYTES_MAX];
	uint64_t id = 0;
	unsigned i;

	if (quiver_column_read(view, QUIVER_COLUMN_IDS, QUIVER_COLUMN_HEADER_BYTES + row * 8, 8,
	                       &id) != 8 ||
	    quiver_column_read(view, QUIVER_COLUMN_VECTORS,
	                       QUIVER_COLUMN_HEADER_BYTES + row * bytes, bytes, vector) != bytes)
		return wrong(place, "snapshot %s: row %" PRIu64 " cannot be read",
		             snapshots_name(n), row);
	if (id == QUIVER_ID_NONE)
		return memcmp(vector, zeros, bytes) == 0
		               ? 0
		               : wrong(place, "snapshot %s: row %" PRIu64 " is free and not zero",
		                       snapshots_name(n), row);
	i = number_of(id);
	if (i == ORACLE_IDS || !want->entries[i].present)
		return wrong(place, "snapshot %s: row %" PRIu64 " has ID %" PRIu64,
		             snapshots_name(n), row, id);
	if (XXH3_64bits(vector, bytes) != want->entries[i].hash)
		return wrong(place,
		             "snapshot %s: row %" PRIu64 " of vector %" PRIu64 " has other bytes",
		             snapshots_name(n), row, id);
	found[i]++;
	return 0;
}

/* A vector in the file that its column is: where it lies as a reader is told. */
static int compare_slot(const struct snapshots_place *place, size_t n, struct quiver *view, int fd,
                        unsigned i, const struct oracle_entry *want)
{
	uint32_t bytes = place->oracle->vector_bytes;
	static uint8_t vector[ORACLE_VECTOR_BYTES_MAX];
	struct quiver_ref ref;
	uint64_t hash;
	ssize_t got;

	if (quiver_get(view, oracle_id(i), 0, &ref) != 0)
		return wrong(place, "snapshot %s: vector %" PRIu64 " cannot be had",
		             snapshots_name(n), oracle_id(i));
	got = pread(fd, vector, bytes,
	            (off_t)(QUIVER_COLUMN_HEADER_BYTES + ref.slot * (uint64_t)bytes));
	hash = got == bytes ? XXH3_64bits(vector, bytes) : 0;
	quiver_unref(view, &ref);
	return hash == want->hash
	               ? 0
	               : wrong(place, "snapshot %s: vector %" PRIu64 " is not in its slot",
	                       snapshots_name(n), oracle_id(i));
}

static int compare_columns(const struct snapshots_place *place, size_t n, struct quiver *view,
                           const struct oracle_state *want)
{
	unsigned found[ORACLE_IDS] = { 0 };
	uint64_t rows = rows_of(view, QUIVER_COLUMN_IDS, 8);
	uint64_t size;
	int fd;
	int r = 0;

	if (rows_of(view, QUIVER_COLUMN_VECTORS, place->oracle->vector_bytes) != rows)
		return wrong(place, "snapshot %s: columns of different lengths", snapshots_name(n));
	if (quiver_column_hold(view, QUIVER_COLUMN_VECTORS, &fd, &size) != 0)
		return wrong(place, "snapshot %s: no columns", snapshots_name(n));
	for (uint64_t row = 0; r == 0 && row < rows; row++)
		r = compare_row(place, n, view, want, row, found);
	for (unsigned i = 0; r == 0 && i < ORACLE_IDS; i++) {
		if (found[i] != want->entries[i].present)
			r = wrong(place, "snapshot %s: vector %" PRIu64 " is in %u rows",
			          snapshots_name(n), oracle_id(i), found[i]);
		else if (want->entries[i].present)
			r = compare_slot(place, n, view, fd, i, &want->entries[i]);
	}
	quiver_column_release(view, QUIVER_COLUMN_VECTORS);
	return r;
}

int snapshots_compare(const struct snapshots_place *place, size_t n, struct quiver *view,
                      const struct oracle_state *want)
{
	struct quiver_attr attr = { .mode = 0600 };
	uint8_t bytes[ORACLE_VECTOR_BYTES_MAX] = { 0 };
	char why[256];
	struct oracle_state is;
	size_t at;

	if (oracle_read_frozen(view, place->oracle->vector_bytes, &is, why, sizeof(why)) != 0)
		return wrong(place, "snapshot %s: %s", snapshots_name(n), why);
	if (!oracle_same_vectors(&is, want) || !oracle_same_attr(&is.dir, &want->dir)) {
		(void)wrong(place, "snapshot %s is not what was there:", snapshots_name(n));
		at = strlen(place->why);
		oracle_tell(place->oracle, &is, want, place->why + at, place->room - at);
		return -EUCLEAN;
	}
	if (!(quiver_capabilities(view) & QUIVER_IMMUTABLE) ||
	    quiver_put(view, oracle_id(1), bytes, &attr, QUIVER_ATTR_ALL, 0, NULL) != -EROFS)
		return wrong(place, "snapshot %s can be changed", snapshots_name(n));
	return compare_columns(place, n, view, want);
}

/* ---- what two differ in ---- */

struct differing {
	const struct snapshot_known *older;
	const struct snapshot_known *newer;
	uint64_t last; /* ID, and one */
	bool told[ORACLE_IDS];
	uint64_t id; /* the first that is wrong */
	const char *why; /* NULL: none is */
};

static bool fits(const struct oracle_entry *was, const struct oracle_entry *is,
                 enum quiver_change change)
{
	switch (change) {
	case QUIVER_ADDED:
		return !was->present && is->present;
	case QUIVER_REMOVED:
		return was->present && !is->present;
	case QUIVER_CHANGED:
		return was->present && is->present &&
		       (was->hash != is->hash || !was->attr_lsn || was->attr_lsn != is->attr_lsn);
	case QUIVER_ATTRIBUTES_CHANGED:
		return was->present && is->present && was->hash == is->hash &&
		       (!was->attr_lsn || was->attr_lsn != is->attr_lsn);
	}
	return false;
}

static int hear_change(void *arg, uint64_t id, enum quiver_change change)
{
	struct differing *d = arg;
	unsigned i = number_of(id);

	if (i == ORACLE_IDS || id < d->last)
		d->why = "is not one, or out of order";
	else if (!fits(&d->older->state.entries[i], &d->newer->state.entries[i], change))
		d->why = "has not changed so";
	else
		d->told[i] = true;
	d->last = id + 1;
	d->id = id;
	return d->why != NULL;
}

static int compare_difference(const struct snapshots_place *place, size_t from, size_t to,
                              const struct snapshots_known *known)
{
	struct differing d = { .older = &known->items[from], .newer = &known->items[to] };
	struct quiver_error error = { "" };
	int r = quiver_snapshot_diff(place->path, snapshots_name(from), snapshots_name(to),
	                             hear_change, &d, &error);

	for (unsigned i = 0; r == 0 && !d.why && i < ORACLE_IDS; i++)
		if (!d.told[i] &&
		    !oracle_same_entry(&d.older->state.entries[i], &d.newer->state.entries[i])) {
			d.why = "has changed and is not told";
			d.id = oracle_id(i);
		}
	if (!r && !d.why)
		return 0;
	return wrong(place, "from %s to %s: %" PRIu64 " %s (%s)", snapshots_name(from),
	             snapshots_name(to), d.id, d.why ? d.why : strerror(-r), error.text);
}

/* ---- all of them ---- */

size_t snapshots_least(const struct snapshots_known *known)
{
	size_t count = 0;

	for (size_t n = 0; n < SNAPSHOTS_MAX; n++)
		count += known->items[n].kind == SNAPSHOT_THERE;
	return count;
}

size_t snapshots_most(const struct snapshots_known *known)
{
	size_t count = 0;

	for (size_t n = 0; n < SNAPSHOTS_MAX; n++)
		count += known->items[n].kind != SNAPSHOT_NONE;
	return count;
}

static uint64_t count_of(const struct oracle_state *state)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < ORACLE_IDS; i++)
		count += state->entries[i].present;
	return count;
}

/* The list has exactly those that are there, in their order. */
static int compare_list(const struct snapshots_place *place, struct snapshots_known *known)
{
	struct quiver_snapshot *listed = NULL;
	struct quiver_snapshot one;
	size_t count = 0;
	size_t there = 0;
	int r = quiver_snapshots(place->store, &listed, &count);

	if (r)
		return wrong(place, "listing the snapshots: %s", strerror(-r));
	for (size_t n = 0; r == 0 && n < SNAPSHOTS_MAX; n++) {
		struct snapshot_known *item = &known->items[n];
		int found = quiver_snapshot_stat(place->store, snapshots_name(n), &one);

		if (item->kind == SNAPSHOT_MAYBE)
			item->kind = found == 0 ? SNAPSHOT_THERE : SNAPSHOT_NONE;
		if (found != (item->kind == SNAPSHOT_THERE ? 0 : -ENOENT))
			r = wrong(place, "snapshot %s: %s", snapshots_name(n),
			          found ? strerror(-found) : "is there");
		else if (found == 0 && (one.count != count_of(&item->state) || one.damaged))
			r = wrong(place, "snapshot %s has %" PRIu64 " vectors, not %" PRIu64 "%s",
			          snapshots_name(n), one.count, count_of(&item->state),
			          one.damaged ? ", and is damaged" : "");
		there += found == 0;
	}
	for (size_t at = 1; r == 0 && at < count; at++)
		if (listed[at].lsn < listed[at - 1].lsn)
			r = wrong(place, "the list of snapshots is not in order");
	if (r == 0 && count != there)
		r = wrong(place, "%zu snapshots are listed, but %zu are known", count, there);
	free(listed);
	return r;
}

/* Which slots are live, and how many snapshots have each. */
struct slots_seen {
	bool *live;
	unsigned *by;
	uint64_t count;
};

static int see_slots(const struct snapshots_place *place, struct quiver *view,
                     const struct oracle_state *state, struct slots_seen *seen, bool live)
{
	for (unsigned i = 0; i < ORACLE_IDS; i++) {
		struct quiver_ref ref;

		if (state && !state->entries[i].present)
			continue;
		if (quiver_get(view, oracle_id(i), 0, &ref) != 0)
			continue; /* what is not there was seen before */
		if (ref.slot >= seen->count)
			return wrong(place, "vector %" PRIu64 " is in slot %" PRIu64 " of %" PRIu64,
			             oracle_id(i), ref.slot, seen->count);
		if (live)
			seen->live[ref.slot] = true;
		else
			seen->by[ref.slot]++;
		quiver_unref(view, &ref);
	}
	return 0;
}

/* How many of the slots of one nobody else has. */
static int compare_own(const struct snapshots_place *place, size_t n, struct quiver *view,
                       const struct slots_seen *seen)
{
	struct quiver_snapshot told;
	uint64_t own = 0;

	for (unsigned i = 0; i < ORACLE_IDS; i++) {
		struct quiver_ref ref;

		if (quiver_get(view, oracle_id(i), 0, &ref) != 0)
			continue;
		own += !seen->live[ref.slot] && seen->by[ref.slot] == 1;
		quiver_unref(view, &ref);
	}
	if (quiver_snapshot_stat(place->store, snapshots_name(n), &told) != 0 ||
	    told.own_vectors != own)
		return wrong(place, "snapshot %s alone has %" PRIu64 " vectors, not %" PRIu64,
		             snapshots_name(n), own, told.own_vectors);
	return 0;
}

static int compare_held(const struct snapshots_place *place, const struct slots_seen *seen,
                        uint64_t snapshots)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	uint64_t held = 0;

	for (uint64_t slot = 0; slot < seen->count; slot++)
		held += !seen->live[slot] && seen->by[slot] > 0;
	quiver_stats(place->store, &stats);
	if (stats.slots_held != held || stats.snapshots != snapshots)
		return wrong(place,
		             "%" PRIu64 " snapshots hold %" PRIu64 " slots, but %" PRIu64
		             " and %" PRIu64 " are told",
		             snapshots, held, stats.snapshots, stats.slots_held);
	if (stats.slots_used != stats.count + stats.slots_free + stats.slots_retired + held)
		return wrong(place,
		             "of %" PRIu64 " slots in use %" PRIu64 " are live, %" PRIu64
		             " free, %" PRIu64 " retired and %" PRIu64 " held",
		             stats.slots_used, stats.count, stats.slots_free, stats.slots_retired,
		             held);
	return 0;
}

/* With the views of all that are there. */
static int compare_slots(const struct snapshots_place *place, struct quiver **views)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct slots_seen seen;
	uint64_t snapshots = 0;
	int r;

	quiver_stats(place->store, &stats);
	seen = (struct slots_seen){ .live = calloc(stats.slots + 1, sizeof(bool)),
		                    .by = calloc(stats.slots + 1, sizeof(unsigned)),
		                    .count = stats.slots };
	if (!seen.live || !seen.by)
		abort();
	r = see_slots(place, place->store, NULL, &seen, true);
	for (size_t n = 0; r == 0 && n < SNAPSHOTS_MAX; n++)
		if (views[n]) {
			r = see_slots(place, views[n], NULL, &seen, false);
			snapshots++;
		}
	for (size_t n = 0; r == 0 && n < SNAPSHOTS_MAX; n++)
		if (views[n])
			r = compare_own(place, n, views[n], &seen);
	if (r == 0)
		r = compare_held(place, &seen, snapshots);
	free(seen.live);
	free(seen.by);
	return r;
}

int snapshots_look(const struct snapshots_place *place, struct snapshots_known *known, bool exact)
{
	struct quiver *views[SNAPSHOTS_MAX] = { NULL };
	size_t before = SNAPSHOTS_MAX;
	int r = compare_list(place, known);

	for (size_t n = 0; r == 0 && n < SNAPSHOTS_MAX; n++) {
		if (known->items[n].kind != SNAPSHOT_THERE)
			continue;
		r = snapshots_open(place, n, false, &views[n]);
		if (r)
			r = wrong(place, "opening snapshot %s: %s", snapshots_name(n),
			          strerror(-r));
		else
			r = snapshots_compare(place, n, views[n], &known->items[n].state);
		if (r == 0 && before < SNAPSHOTS_MAX) {
			bool older = known->items[before].k <= known->items[n].k;

			r = compare_difference(place, older ? before : n, older ? n : before,
			                       known);
		}
		before = n;
	}
	if (r == 0 && exact)
		r = compare_slots(place, views);
	for (size_t n = 0; n < SNAPSHOTS_MAX; n++)
		if (views[n])
			(void)quiver_close(views[n]); /* nothing is written of it */
	return r;
}

int snapshots_look_alone(const struct snapshots_place *place, const struct snapshots_known *known)
{
	int r = 0;

	for (size_t n = 0; r == 0 && n < SNAPSHOTS_MAX; n++) {
		const struct snapshot_known *item = &known->items[n];
		struct quiver *view = NULL;

		if (item->kind == SNAPSHOT_NONE)
			continue;
		r = snapshots_open(place, n, true, &view);
		if (r == -ENOENT && item->kind == SNAPSHOT_MAYBE) {
			r = 0;
		} else if (r) {
			r = wrong(place, "opening %s@%s: %s", place->path, snapshots_name(n),
			          strerror(-r));
		} else {
			r = snapshots_compare(place, n, view, &item->state);
			(void)quiver_close(view); /* nothing is written of it */
		}
	}
	return r;
}

int snapshots_remove_all(const struct snapshots_place *place, struct snapshots_known *known)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	char path[PATH_BYTES];
	int r = 0;

	for (size_t n = 0; r == 0 && n < SNAPSHOTS_MAX; n++) {
		if (known->items[n].kind == SNAPSHOT_THERE)
			r = quiver_snapshot_remove(place->store, snapshots_name(n));
		known->items[n].kind = SNAPSHOT_NONE;
	}
	if (r == 0)
		r = quiver_checkpoint(place->store);
	if (r == 0)
		r = manual_background_compact(place->store);
	if (r)
		return wrong(place, "removing all snapshots: %s", strerror(-r));
	quiver_stats(place->store, &stats);
	(void)snprintf(path, sizeof(path), "%s/versions", place->path);
	if (stats.snapshots || stats.slots_held || stats.versions_bytes || access(path, F_OK) == 0)
		return wrong(place,
		             "without snapshots %" PRIu64 " slots are held, and %" PRIu64
		             " bytes kept",
		             stats.slots_held, stats.versions_bytes);
	if (stats.slots_used != stats.count)
		return wrong(place,
		             "without snapshots %" PRIu64 " vectors take %" PRIu64
		             " slots after compaction",
		             stats.count, stats.slots_used);
	return 0;
}
