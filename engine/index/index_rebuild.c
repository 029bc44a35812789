/*
 * The index of an open store whose snapshot is read as it is used: the rest of it before the
 * first change, and all of it anew from ids.npy and meta.npy where the snapshot is damaged.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine/index/catalog.h"

/* One row of a store that nothing has changed since it was closed cleanly. 0 or -ENOMEM;
 * *wrong counts rows that do not say what the live map says, or nothing. */
static int mend_row(struct catalog *catalog, struct index *fresh, uint64_t slot, uint64_t *wrong)
{
	uint64_t id = columns_id(&catalog->columns, slot);
	bool live = slots_is_live(&catalog->slots, slot);
	struct meta_row row;
	int r = columns_meta(&catalog->columns, slot, id, &row);

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

static int rebuild(struct catalog *catalog, int why)
{
	struct slots_counts counts;
	struct index fresh;
	uint64_t wrong = 0;
	int r = index_init(&fresh, &catalog->columns, atomic_load(&catalog->index.count));

	if (r)
		return r;
	slots_counts(&catalog->slots, &counts);
	for (uint64_t slot = 0; r == 0 && slot < counts.used; slot++)
		r = mend_row(catalog, &fresh, slot, &wrong);
	if (r == 0) {
		if (wrong || atomic_load(&fresh.count) != atomic_load(&catalog->index.count))
			atomic_store(&catalog->index.misses_some, true);
		index_swap(&catalog->index, &fresh);
		report_add(&catalog->health->report,
		           "index: %s; made anew from ids.npy and meta.npy",
		           why == -EBADMSG ? "damaged" : quiver_strerror(why));
	}
	index_destroy(&fresh);
	if (r == 0 && atomic_load(&catalog->index.misses_some)) {
		report_add(&catalog->health->report,
		           "index: %" PRIu64
		           " rows of ids.npy and meta.npy do not match, so what is not found may "
		           "be there all the same and is an I/O error; `quiverfs check` says which",
		           wrong);
		(void)health_judge(catalog->health, HEALTH_INDEX, -EUCLEAN);
	}
	return r;
}

/* Writer lock. */
static int whole_index(struct catalog *catalog)
{
	/* All of the live map is as it was loaded: what changes it comes here first. */
	int r = index_load_rest(&catalog->index, (const uint64_t *)(uintptr_t)catalog->slots.live);

	if (r == 0 || r == -ENOMEM)
		return r;
	r = rebuild(catalog, r);
	if (r == 0 && atomic_load(&catalog->index.misses_some))
		r = -EROFS;
	return r;
}

int catalog_whole_index(struct catalog *catalog)
{
	return index_is_whole(&catalog->index) ? 0 : whole_index(catalog);
}

int catalog_rebuild_index(struct catalog *catalog)
{
	int r;

	pthread_mutex_lock(&catalog->writer_lock);
	r = index_damage(&catalog->index) ? whole_index(catalog) : 0;
	pthread_mutex_unlock(&catalog->writer_lock);
	if (r == 0 || r == -EROFS)
		return 0;
	report_add(&catalog->health->report, "index: damaged, and could not be made anew: %s",
	           quiver_strerror(r));
	return -EIO;
}
