/*
 * The index of a catalog and its file: loading what a superblock names, and writing what one that is
 * about to be written shall name.
 */
#include <errno.h>
#include <string.h>

#include "engine/index/catalog.h"
#include "engine/index/index_old.h"

struct index_stamp catalog_index_stamp(const struct superblock *sb)
{
	struct index_stamp stamp = { .generation = sb->index_generation,
		                     .salt = sb->index_salt,
		                     .lsn = sb->checkpoint_lsn,
		                     .slots_used = sb->slots_used,
		                     .count = sb->count,
		                     .ctime_max_ns = sb->ctime_max_ns };

	memcpy(stamp.uuid, sb->geometry.uuid, sizeof(stamp.uuid));
	return stamp;
}

int catalog_load_index(struct catalog *catalog, const struct superblock *sb)
{
	struct index_stamp stamp = catalog_index_stamp(sb);
	uint64_t live_bytes = index_live_bytes(stamp.slots_used);
	uint64_t *live;
	int r;

	if (sb->index_generation == 0)
		return -ENOENT;
	live = slots_map_room(&catalog->slots, live_bytes);
	r = index_load(&catalog->index, &catalog->columns, catalog->keep.io, catalog->keep.dir_fd,
	               &stamp, live, &catalog->slots.live_changed);
	if (r) {
		memset(live, 0, live_bytes);
		return r;
	}
	slots_map_loaded(&catalog->slots, stamp.slots_used, stamp.count);
	index_keep_loaded(&catalog->keep, &catalog->index, sb->clean);
	return 0;
}

/* Where the file says that the ID of a row is in its slot it is there, whatever is wrong with the
 * rest of the row: who reads it is told. */
static int fill_from_old(struct catalog *catalog, const struct index_old *old,
                         const struct index_stamp *stamp, uint64_t *wrong)
{
	int r = index_make_room(&catalog->index, stamp->count);

	for (uint64_t slot = 0; r == 0 && slot < stamp->slots_used; slot++) {
		uint64_t id;

		if (!(old->live[slot / 64] >> slot % 64 & 1))
			continue;
		id = columns_id(&catalog->columns, slot);
		if (index_old_names(old, id, slot))
			index_insert(&catalog->index, id, slot);
		else
			++*wrong;
	}
	return r;
}

int catalog_load_old_index(struct catalog *catalog, const struct superblock *sb)
{
	struct index_stamp stamp = catalog_index_stamp(sb);
	struct index_old old;
	uint64_t live_bytes = index_live_bytes(stamp.slots_used);
	uint64_t wrong = 0;
	int r = index_old_read(catalog->keep.io, catalog->keep.dir_fd, &stamp, &old);

	if (r)
		return r;
	r = index_init(&catalog->index, &catalog->columns, stamp.count);
	if (r == 0) {
		r = fill_from_old(catalog, &old, &stamp, &wrong);
		/* As of one that was loaded: nothing has changed. */
		atomic_store(&catalog->index.members, 0);
		if (r)
			index_destroy(&catalog->index);
	}
	if (r == 0) {
		memcpy(slots_map_room(&catalog->slots, live_bytes), old.live, live_bytes);
		slots_map_loaded(&catalog->slots, stamp.slots_used, stamp.count);
		catalog_miss_some(catalog, wrong);
	}
	index_old_free(&old);
	return r;
}

int catalog_keep_begin(struct catalog *catalog, const struct index_keep_as *as, uint64_t most_bytes)
{
	struct index *index = &catalog->index;
	int r = 0;

	/* What is not found may be there all the same: the rows say so when it is made anew. */
	if (atomic_load(&index->misses_some))
		return 0;
	if (index_keep_bytes(&catalog->keep, index, as->slots_used) > most_bytes)
		return 0;
	if (index_keep_needs_all(&catalog->keep, index))
		r = catalog_whole_index(catalog);
	if (r == 0)
		r = index_keep_begin(&catalog->keep, index, as);
	return r ? r : 1;
}

int catalog_keep_index(struct catalog *catalog, struct superblock *next)
{
	struct index_keep *keep = &catalog->keep;
	struct index_keep_as as = { .generation = next->sequence + 1,
		                    .lsn = next->checkpoint_lsn,
		                    .slots_used = next->slots_used,
		                    .count = next->count,
		                    .ctime_max_ns = next->ctime_max_ns };
	int r = 0;

	memcpy(as.uuid, next->geometry.uuid, sizeof(as.uuid));
	next->index_generation = 0;
	next->index_salt = 0;
	if (next->version == 1)
		return 0; /* it has no place for it */
	pthread_mutex_lock(&catalog->writer_lock);
	if (index_keep_is_saved(keep, &catalog->index, &as)) {
		next->index_generation = keep->header.generation;
		next->index_salt = keep->header.salt;
	} else {
		r = catalog_keep_begin(catalog, &as, UINT64_MAX);
	}
	pthread_mutex_unlock(&catalog->writer_lock);
	if (r != 1)
		return r;
	r = index_keep_write(keep, catalog->columns.ids.fd);
	if (r) {
		(void)catalog_keep_end(catalog,
		                       INDEX_UNNAMED); /* what failed first is the reason */
		return r;
	}
	next->index_generation = keep->next.generation;
	next->index_salt = keep->next.salt;
	return 0;
}

int catalog_keep_end(struct catalog *catalog, enum index_keep_fate fate)
{
	pthread_mutex_lock(&catalog->writer_lock);
	index_keep_end(&catalog->keep, fate);
	pthread_mutex_unlock(&catalog->writer_lock);
	return fate == INDEX_MAYBE_NAMED ? 0 : index_keep_name(&catalog->keep);
}
