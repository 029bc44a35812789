/*
 * The index of an open store whose snapshot is read as it is used: the rest of it before the
 * first change, and all of it anew from ids.npy and meta.npy where the snapshot is damaged.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine/store/store.h"

/* One row of a store that nothing has changed since it was closed cleanly. 0 or -ENOMEM;
 * *wrong counts rows that do not say what the live map says, or nothing. */
static int mend_row(struct quiver *store, struct index *fresh, uint64_t slot, uint64_t *wrong)
{
	uint64_t id = columns_id(&store->columns, slot);
	bool live = slots_is_live(&store->slots, slot);
	struct meta_row row;
	int r = columns_meta(&store->columns, slot, id, &row);

	if (r || (row.lsn != 0) != live)
		++*wrong;
	else if (live && (id > QUIVER_ID_MAX || index_find(fresh, id) != SLOT_NONE))
		++*wrong;
	else if (live) {
		r = index_make_room(fresh, 1);
		if (r)
			return r;
		index_insert(fresh, id, slot);
	}
	return 0;
}

static int rebuild(struct quiver *store, int why)
{
	struct slots_counts counts;
	struct index fresh;
	uint64_t wrong = 0;
	int r = index_init(&fresh, &store->columns, atomic_load(&store->index.count));

	if (r)
		return r;
	slots_counts(&store->slots, &counts);
	for (uint64_t slot = 0; r == 0 && slot < counts.used; slot++)
		r = mend_row(store, &fresh, slot, &wrong);
	if (r == 0) {
		if (wrong || atomic_load(&fresh.count) != atomic_load(&store->index.count))
			atomic_store(&store->index.misses_some, true);
		index_swap(&store->index, &fresh);
		report_add(&store->health.report, "index: %s; made anew from ids.npy and meta.npy",
		           why == -EBADMSG ? "damaged" : strerror(-why));
	}
	index_destroy(&fresh);
	if (r == 0 && atomic_load(&store->index.misses_some)) {
		report_add(&store->health.report,
		           "index: %" PRIu64
		           " rows of ids.npy and meta.npy do not match, so what is not found may "
		           "be there all the same and is an I/O error; `quiverfs check` says which",
		           wrong);
		(void)health_judge(&store->health, HEALTH_INDEX, -EUCLEAN);
	}
	return r;
}

/* Writer lock. */
static int whole_index(struct quiver *store)
{
	/* All of the live map is as it was loaded: what changes it comes here first. */
	int r = index_load_rest(&store->index, (const uint64_t *)(uintptr_t)store->slots.live);

	if (r == 0 || r == -ENOMEM)
		return r;
	r = rebuild(store, r);
	if (r == 0 && atomic_load(&store->index.misses_some))
		r = -EROFS;
	return r;
}

int store_whole_index(struct quiver *store)
{
	return index_is_whole(&store->index) ? 0 : whole_index(store);
}

int store_rebuild_index(struct quiver *store)
{
	int r;

	pthread_mutex_lock(&store->writer_lock);
	r = index_damage(&store->index) ? whole_index(store) : 0;
	pthread_mutex_unlock(&store->writer_lock);
	if (r == 0 || r == -EROFS)
		return 0;
	report_add(&store->health.report, "index: damaged, and could not be made anew: %s",
	           strerror(-r));
	return -EIO;
}
