/*
 * The index of an open store whose file is read as it is used: what a change needs of it before that,
 * and all of it anew from ids.npy and meta.npy where the file is damaged.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/index/catalog.h"

/* Of a table with so many pages all are read before the first change: it takes no longer than a few
 * reads, and then it is known that it names each slot once. */
#define SMALL_PAGES 256u
/* So many changes may be under way: others that are made before one take places on its way, so that
 * it goes further than it would have gone when it was planned. Of more it is found out where they go
 * all together (catalog_ready_many). */
#define READY_OPS_MAX 64u
/* Where there is a change for so many pages, all are read, one after the other. */
#define READY_SHARE 4u

/* Whether rows that are not live are free: nothing has been superseded since the store was opened. */
static bool nothing_has_changed(const struct catalog *catalog)
{
	return atomic_load(&catalog->index.members) == 0 && atomic_load(&catalog->index.moves) == 0;
}

/* One row. 0 or -ENOMEM; *wrong counts rows that do not say what the live map says, or nothing. */
static int mend_row(struct catalog *catalog, struct index *fresh, uint64_t slot, uint64_t *wrong)
{
	uint64_t id = columns_id(&catalog->columns, slot);
	bool live = slots_is_live(&catalog->slots, slot);
	struct meta_row row;
	int r;

	if (!live && !nothing_has_changed(catalog))
		return 0;
	r = columns_meta(&catalog->columns, slot, id, &row);
	/* One of a commit that is under way is not live yet. */
	if (r == 0 && !live && row.lsn > catalog->keep.header.lsn)
		return 0;
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

static void tell_of_missing(struct catalog *catalog, uint64_t wrong)
{
	report_add(&catalog->health->report,
	           "index: %" PRIu64
	           " rows of ids.npy and meta.npy are damaged and may belong to any vector; so a "
	           "vector that is not found is an I/O error; `quiverfs check` says which rows",
	           wrong);
}

void catalog_miss_some(struct catalog *catalog, uint64_t wrong)
{
	if (wrong == 0)
		return;
	atomic_store(&catalog->index.misses_some, true);
	tell_of_missing(catalog, wrong);
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
		report_add(&catalog->health->report, "index: %s; rebuilt from ids.npy and meta.npy",
		           why == -EBADMSG ? "damaged" : quiver_strerror(why));
	}
	index_destroy(&fresh);
	if (r == 0 && atomic_load(&catalog->index.misses_some)) {
		tell_of_missing(catalog, wrong);
		(void)health_judge(catalog->health, HEALTH_INDEX, -EUCLEAN);
	}
	return r;
}

/* The index is damaged, or cannot be read. Writer lock. */
static int mend(struct catalog *catalog, int why)
{
	int r = rebuild(catalog, why);

	if (r == 0 && atomic_load(&catalog->index.misses_some))
		r = -EROFS;
	return r;
}

/* Writer lock. */
static int whole_index(struct catalog *catalog)
{
	struct slots_counts counts;
	int r;

	slots_counts(&catalog->slots, &counts);
	r = index_load_rest(&catalog->index, (const uint64_t *)(uintptr_t)catalog->slots.live,
	                    counts.used);
	if (r == 0 || r == -ENOMEM)
		return r;
	return mend(catalog, r);
}

int catalog_whole_index(struct catalog *catalog)
{
	return index_is_whole(&catalog->index) ? 0 : whole_index(catalog);
}

int catalog_ready(struct catalog *catalog, uint64_t id, size_t pending, bool nowait)
{
	int r;

	if (index_is_whole(&catalog->index))
		return 0;
	if (index_pages(&catalog->index) <= SMALL_PAGES)
		return nowait ? -EAGAIN : whole_index(catalog);
	r = index_ready(&catalog->index, id, pending > READY_OPS_MAX ? 1 : READY_OPS_MAX + 1);
	return r == 0 || r == -ENOMEM ? r : mend(catalog, r);
}

bool catalog_wants_many(const struct catalog *catalog, size_t pending)
{
	return pending > READY_OPS_MAX && !index_is_whole(&catalog->index);
}

static int compare_begins(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int catalog_ready_many(struct catalog *catalog, uint64_t *ids, size_t count, bool nowait)
{
	int r;

	if (nowait)
		return -EAGAIN;
	if (index_pages(&catalog->index) <= SMALL_PAGES ||
	    count > index_pages(&catalog->index) / READY_SHARE)
		return whole_index(catalog);
	for (size_t i = 0; i < count; i++)
		ids[i] = index_way_begins(&catalog->index, ids[i]);
	qsort(ids, count, sizeof(*ids), compare_begins);
	r = index_ready_all(&catalog->index, ids, count);
	return r == 0 || r == -ENOMEM ? r : mend(catalog, r);
}

bool catalog_is_ready(struct catalog *catalog, uint64_t id)
{
	return index_is_whole(&catalog->index) ||
	       (index_pages(&catalog->index) > SMALL_PAGES &&
	        index_is_ready(&catalog->index, id, READY_OPS_MAX + 1));
}

int catalog_make_room(struct catalog *catalog, uint64_t count, bool nowait)
{
	int r = 0;

	if (!index_is_whole(&catalog->index) && index_is_outlived(&catalog->index, count))
		r = nowait ? -EAGAIN : whole_index(catalog);
	return r ? r : index_make_room(&catalog->index, count);
}

int catalog_rebuild_index(struct catalog *catalog)
{
	int r;

	pthread_mutex_lock(&catalog->writer_lock);
	r = index_damage(&catalog->index) ? whole_index(catalog) : 0;
	pthread_mutex_unlock(&catalog->writer_lock);
	if (r == 0 || r == -EROFS)
		return 0;
	report_add(&catalog->health->report, "index: damaged, and could not be rebuilt: %s",
	           quiver_strerror(r));
	return -EIO;
}
