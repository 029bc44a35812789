#include "engine/index/overlay.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define PLACES_MIN 64u
#define SPARSE 32u /* where only every so manyth place is used, a burst is over */
#define SPREAD UINT64_C(0x9e3779b97f4a7c15) /* 2^64 over the golden ratio; Knuth 6.4 */

void overlay_init(struct overlay *overlay)
{
	pthread_mutex_init(&overlay->lock, NULL);
	overlay->rows = NULL;
	overlay->places = 0;
	atomic_init(&overlay->count, 0);
}

void overlay_destroy(struct overlay *overlay)
{
	free(overlay->rows);
	pthread_mutex_destroy(&overlay->lock);
}

static size_t home(const struct overlay *overlay, uint64_t slot)
{
	return (size_t)((slot * SPREAD) >> 20) & (overlay->places - 1);
}

/* Place of `slot`, or the empty place where it would go. Lock held, places > 0. */
static size_t find(const struct overlay *overlay, uint64_t slot)
{
	size_t at = home(overlay, slot);

	while (overlay->rows[at].slot != SLOT_NONE && overlay->rows[at].slot != slot)
		at = (at + 1) & (overlay->places - 1);
	return at;
}

/* Lock held. */
static int resize(struct overlay *overlay, size_t places)
{
	struct overlay_row *old = overlay->rows;
	size_t old_places = overlay->places;
	struct overlay_row *rows = malloc(places * sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < places; i++)
		rows[i].slot = SLOT_NONE;
	overlay->rows = rows;
	overlay->places = places;
	for (size_t i = 0; i < old_places; i++)
		if (old[i].slot != SLOT_NONE)
			rows[find(overlay, old[i].slot)] = old[i];
	free(old);
	return 0;
}

int overlay_make_room(struct overlay *overlay, size_t count)
{
	size_t need;
	size_t places;
	int r = 0;

	pthread_mutex_lock(&overlay->lock);
	need = atomic_load(&overlay->count) + count;
	places = overlay->places ? overlay->places : PLACES_MIN;
	while (places / 2 < need)
		places *= 2;
	if (places != overlay->places)
		r = resize(overlay, places);
	else if (places > PLACES_MIN && need < places / SPARSE)
		(void)resize(overlay, places / SPARSE * 4); /* without memory it stays large */
	pthread_mutex_unlock(&overlay->lock);
	return r;
}

void overlay_put(struct overlay *overlay, const struct overlay_row *row)
{
	size_t at;

	pthread_mutex_lock(&overlay->lock);
	at = find(overlay, row->slot);
	if (overlay->rows[at].slot == SLOT_NONE)
		atomic_fetch_add(&overlay->count, 1);
	overlay->rows[at] = *row;
	pthread_mutex_unlock(&overlay->lock);
}

bool overlay_get(struct overlay *overlay, uint64_t slot, struct meta_row *row)
{
	bool found = false;

	if (atomic_load_explicit(&overlay->count, memory_order_acquire) == 0)
		return false;
	pthread_mutex_lock(&overlay->lock);
	if (overlay->places > 0) {
		const struct overlay_row *there = &overlay->rows[find(overlay, slot)];

		found = there->slot == slot;
		if (found)
			*row = there->row;
	}
	pthread_mutex_unlock(&overlay->lock);
	return found;
}

/* Close the gap at `gap` so that probes need no tombstones (Knuth 6.4, algorithm R). */
static void close_gap(struct overlay *overlay, size_t gap)
{
	size_t mask = overlay->places - 1;
	size_t at = gap;

	for (;;) {
		size_t want;

		at = (at + 1) & mask;
		if (overlay->rows[at].slot == SLOT_NONE)
			break;
		want = home(overlay, overlay->rows[at].slot);
		if (((at - want) & mask) >= ((at - gap) & mask)) {
			overlay->rows[gap] = overlay->rows[at];
			gap = at;
		}
	}
	overlay->rows[gap].slot = SLOT_NONE;
}

void overlay_drop(struct overlay *overlay, uint64_t slot, uint64_t lsn)
{
	size_t at;

	if (atomic_load_explicit(&overlay->count, memory_order_acquire) == 0)
		return;
	pthread_mutex_lock(&overlay->lock);
	if (overlay->places > 0) {
		at = find(overlay, slot);
		if (overlay->rows[at].slot == slot && overlay->rows[at].lsn <= lsn) {
			close_gap(overlay, at);
			atomic_fetch_sub(&overlay->count, 1);
		}
	}
	pthread_mutex_unlock(&overlay->lock);
}

int overlay_copy(struct overlay *overlay, struct overlay_row **rows, size_t *count)
{
	size_t n = 0;
	int r = 0;

	*rows = NULL;
	*count = 0;
	pthread_mutex_lock(&overlay->lock);
	if (atomic_load(&overlay->count) > 0) {
		*rows = malloc(atomic_load(&overlay->count) * sizeof(**rows));
		r = *rows ? 0 : -ENOMEM;
	}
	for (size_t i = 0; *rows && i < overlay->places; i++)
		if (overlay->rows[i].slot != SLOT_NONE)
			(*rows)[n++] = overlay->rows[i];
	assert(!*rows || n == atomic_load(&overlay->count));
	*count = n;
	pthread_mutex_unlock(&overlay->lock);
	return r;
}
