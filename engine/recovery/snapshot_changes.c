#include "engine/recovery/snapshot_changes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/error.h"

#define ROWS_AT_ONCE 4096u
#define CHANGES_FIRST 1024u

/* The rows of one of the two, read in pieces. */
struct side {
	struct snapshot_scan *scan; /* NULL: nothing */
	struct snapshot_row *rows; /* malloc'd */
	size_t count, at;
	uint64_t next;
	uint64_t found;
};

struct changes {
	struct snapshot_change *items;
	size_t count, capacity;
};

/* The row that is next, or NULL at the end; *r is -errno. */
static const struct snapshot_row *peek(struct side *side, int *r, struct quiver_error *error)
{
	int64_t n;

	if (side->at < side->count)
		return &side->rows[side->at];
	if (!side->scan)
		return NULL;
	n = snapshot_scan_read(side->scan, &side->next, side->rows, ROWS_AT_ONCE, error);
	if (n < 0)
		*r = (int)n;
	side->at = 0;
	side->count = n > 0 ? (size_t)n : 0;
	side->found += side->count;
	return side->count > 0 ? side->rows : NULL;
}

static int add(struct changes *changes, const struct snapshot_row *row, enum quiver_change change)
{
	if (changes->count == changes->capacity) {
		size_t capacity = changes->capacity ? 2 * changes->capacity : CHANGES_FIRST;
		struct snapshot_change *items = realloc(changes->items, capacity * sizeof(*items));

		if (!items)
			return -ENOMEM;
		changes->items = items;
		changes->capacity = capacity;
	}
	changes->items[changes->count++] = (struct snapshot_change){ .id = row->id,
		                                                     .slot = (uint32_t)row->slot,
		                                                     .change = change };
	return 0;
}

/* What one slot has in both, of which one may have nothing. */
static int compare_slot(struct changes *changes, const struct snapshot_row *was,
                        const struct snapshot_row *is)
{
	int r = 0;

	if (was && is && was->row.lsn == is->row.lsn)
		return was->row.attr_lsn == is->row.attr_lsn
		               ? 0
		               : add(changes, is, QUIVER_ATTRIBUTES_CHANGED);
	if (was)
		r = add(changes, was, QUIVER_REMOVED);
	return r == 0 && is ? add(changes, is, QUIVER_ADDED) : r;
}

static int compare_all(struct side *older, struct side *newer, struct changes *changes,
                       struct quiver_error *error)
{
	for (;;) {
		int r = 0;
		const struct snapshot_row *was = peek(older, &r, error);
		const struct snapshot_row *is = r == 0 ? peek(newer, &r, error) : NULL;

		if (r || (!was && !is))
			return r;
		if (was && is && was->slot < is->slot)
			is = NULL;
		else if (was && is && is->slot < was->slot)
			was = NULL;
		older->at += was != NULL;
		newer->at += is != NULL;
		r = compare_slot(changes, was, is);
		if (r) {
			error_set(error, "no memory for what differs between two snapshots");
			return r;
		}
	}
}

static int by_id(const void *a, const void *b)
{
	const struct snapshot_change *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->change > y->change) - (x->change < y->change);
}

/* What has gone from one slot and come into another is one change. */
static void join(struct changes *changes)
{
	size_t kept = 0;

	if (changes->count > 0)
		qsort(changes->items, changes->count, sizeof(*changes->items), by_id);
	for (size_t i = 0; i < changes->count; i++) {
		struct snapshot_change *last = kept > 0 ? &changes->items[kept - 1] : NULL;

		if (last && last->id == changes->items[i].id)
			last->change = QUIVER_CHANGED; /* added comes first: its slot stays */
		else
			changes->items[kept++] = changes->items[i];
	}
	changes->count = kept;
}

static int judge_order(const struct snapshot_scan *older, const struct snapshot_scan *newer,
                       struct quiver_error *error)
{
	const struct snapshot_page *was = snapshot_scan_page(older);
	const struct snapshot_page *is = snapshot_scan_page(newer);

	if (memcmp(was->store_uuid, is->store_uuid, sizeof(was->store_uuid)) == 0 &&
	    was->lsn <= is->lsn)
		return 0;
	error_set(error,
	          "the first snapshot must be the older one, but it was made after the second");
	return -EINVAL;
}

int snapshot_changes(struct snapshot_scan *older, struct snapshot_scan *newer,
                     struct snapshot_change **out, size_t *count, struct quiver_error *error)
{
	struct side sides[2] = { { .scan = older }, { .scan = newer } };
	struct changes changes = { 0 };
	int r = older ? judge_order(older, newer, error) : 0;

	*out = NULL;
	*count = 0;
	for (unsigned i = 0; r == 0 && i < 2; i++) {
		sides[i].rows = malloc(ROWS_AT_ONCE * sizeof(*sides[i].rows));
		if (!sides[i].rows) {
			error_set(error, "no memory to compare two snapshots");
			r = -ENOMEM;
		}
	}
	if (r == 0)
		r = compare_all(&sides[0], &sides[1], &changes, error);
	for (unsigned i = 0; r == 0 && i < 2; i++)
		if (sides[i].scan)
			r = snapshot_scan_whole(sides[i].scan, sides[i].found, error);
	free(sides[0].rows);
	free(sides[1].rows);
	if (r) {
		free(changes.items);
		return r;
	}
	join(&changes);
	*out = changes.items;
	*count = changes.count;
	return 0;
}
