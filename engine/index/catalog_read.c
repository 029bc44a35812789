/* Reading: lock-free lookups that pin a slot, and copies of its bytes. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/epoch.h"
#include "engine/base/fault.h"
#include "engine/base/xxh3.h"
#include "engine/index/catalog.h"

/* What comes along with a vector that has to be read from the disk, where all vectors fit into
 * memory: about what the disk delivers in the time in which it answers one request, so that a
 * single read waits next to no longer. 100,000 vectors of 3 KiB, once each in random order, two
 * clients of a mount: 75 us each without, 16 with 128 KiB, 15 with 256, 15 with 512. */
#define AROUND_BYTES (UINT64_C(256) << 10)

int catalog_row(struct catalog *catalog, uint64_t slot, uint64_t id, struct meta_row *row)
{
	if (attr_deltas_get(&catalog->attr_deltas, slot, row))
		return 0;
	return columns_meta(&catalog->columns, slot, id, row);
}

int catalog_row_error(struct catalog *catalog, uint64_t id, uint64_t slot, int r)
{
	if (r == -EBADMSG) {
		atomic_fetch_add(&catalog->health->counters.checksum_errors, 1);
		report_add(&catalog->health->report,
		           "vector %" PRIu64 ": row %" PRIu64
		           " of meta.npy does not match its checksum; restore it from a copy",
		           id, slot);
	} else {
		atomic_fetch_add(&catalog->health->counters.io_errors, 1);
		report_add(&catalog->health->report,
		           "vector %" PRIu64 ": reading row %" PRIu64 " of meta.npy: %s", id, slot,
		           strerror(-r));
	}
	return -EIO;
}

int catalog_missing(struct catalog *catalog, uint64_t id)
{
	if (index_way_is_sound(&catalog->index, id))
		return -ENOENT;
	atomic_fetch_add(&catalog->health->counters.checksum_errors, 1);
	report_add(&catalog->health->report,
	           "vector %" PRIu64 ": not found, but a damaged row of ids.npy or meta.npy may "
	           "belong to it; `quiverfs check` says which row",
	           id);
	return -EIO;
}

/* Keep a slot as it is until let_go, by any thread, with the pin returned. In the epoch section
 * that found the slot. `own` as of readers_own. */
static inline void *hold(struct catalog *catalog, struct reader *own, uint64_t slot)
{
	void *pin = own ? reader_pin(own, slot) : NULL;

	if (!pin)
		slots_pin(&catalog->slots, slot);
	return pin;
}

static void let_go(struct catalog *catalog, uint64_t slot, void *pin)
{
	if (pin)
		reader_unpin(pin);
	else
		slots_unpin(&catalog->slots, slot);
}

/* Where IDs lie as the last few did, have all of `id` come from memory before its bucket has said
 * so. */
static inline void expect(struct catalog *catalog, const struct reader *own, uint64_t id, bool read)
{
	const struct columns *columns = &catalog->columns;
	uint64_t slot = own ? reader_expects(own, id) : SLOT_NONE;

	if (slot >= atomic_load_explicit(&columns->rows, memory_order_relaxed))
		return;
	columns_prefetch_id(columns, slot);
	columns_prefetch_row(columns, slot);
	if (read)
		columns_prefetch_vector(columns, slot);
}

/* The row of a vector that is in `slot`, which is held with *pin where `pin` is given. 0, -EIO
 * (reported, nothing held). */
static int bad_row(struct catalog *catalog, uint64_t id, uint64_t slot, void **pin, int r)
{
	if (pin)
		let_go(catalog, slot, *pin);
	return catalog_row_error(catalog, id, slot, r);
}

/* Find the slot and row of a vector, and hold the slot where `pin` is given. 0; -ENOENT (*slot is
 * SLOT_NONE); -EIO (reported, nothing held); -EAGAIN the index is damaged. */
static inline int find_once(struct catalog *catalog, struct reader *own, uint64_t id,
                            uint64_t *slot, struct meta_row *row, void **pin)
{
	struct index_found found;
	int r;

	expect(catalog, own, id, pin != NULL);
	index_settle(&catalog->index);
	epoch_enter();
	found = index_look_up(&catalog->index, id, pin != NULL);
	*slot = found.slot;
	if (found.slot != SLOT_NONE) {
		if (pin)
			*pin = hold(catalog, own, found.slot);
		r = catalog_row(catalog, found.slot, id, row);
		if (r == 0 && row->lsn == 0)
			r = -EBADMSG; /* the index says that it is there */
	} else if (found.stopped) {
		r = -EAGAIN;
	} else {
		r = index_found_sound(&catalog->index, id, &found) ? -ENOENT
		                                                   : catalog_missing(catalog, id);
	}
	epoch_leave();
	if (found.slot == SLOT_NONE)
		return r;
	if (own)
		reader_learn(own, id, found.slot);
	return r == 0 ? 0 : bad_row(catalog, id, found.slot, pin, r);
}

/* The same, but never -EAGAIN. */
static int find_row(struct catalog *catalog, struct reader *own, uint64_t id, uint64_t *slot,
                    struct meta_row *row, void **pin)
{
	int r = find_once(catalog, own, id, slot, row, pin);

	if (r != -EAGAIN)
		return r;
	r = catalog_rebuild_index(catalog);
	if (r == 0)
		r = find_once(catalog, own, id, slot, row, pin); /* whole now */
	return r == -EAGAIN ? -EIO : r;
}

bool catalog_would_wait(struct catalog *catalog, uint64_t id)
{
	uint32_t second = residency_second();
	struct index_way way;
	bool found = false;
	uint64_t slot;
	int r = 1;

	epoch_enter();
	way = index_way_of(&catalog->index, id);
	while (!found && r == 1) {
		r = index_way_next(&way, &slot);
		if (r == 1 &&
		    !residency_has_row(&catalog->residency, &catalog->columns, slot, second))
			r = -EAGAIN;
		found = r == 1 && columns_id(&catalog->columns, slot) == id;
	}
	epoch_leave();
	return r < 0;
}

int catalog_warm(struct catalog *catalog, uint64_t id, unsigned flags)
{
	struct meta_row row;
	uint64_t slot;

	if (flags & QUIVER_NOWAIT)
		atomic_store_explicit(&catalog->has_hasty, true, memory_order_relaxed);
	else if (!atomic_load_explicit(&catalog->has_hasty, memory_order_relaxed))
		return 0;
	if (!catalog_would_wait(catalog, id))
		return 0;
	if (flags & QUIVER_NOWAIT)
		return -EAGAIN;
	epoch_enter();
	slot = index_find(&catalog->index, id);
	if (slot != SLOT_NONE)
		(void)catalog_row(catalog, slot, id,
		                  &row); /* whoever changes it says what is wrong */
	epoch_leave();
	return 0;
}

/* As catalog_count_get; `own` as of readers_own. */
static inline void count_get(struct catalog *catalog, struct reader *own, int r)
{
	if (r == 0 && own)
		reader_count(&own->gets);
	else if (r == 0)
		atomic_fetch_add_explicit(&catalog->readers.gets, 1, memory_order_relaxed);
	else if (r == -ENOENT && own)
		reader_count(&own->misses);
	else if (r == -ENOENT)
		atomic_fetch_add_explicit(&catalog->readers.misses, 1, memory_order_relaxed);
}

void catalog_count_get(struct catalog *catalog, int r)
{
	count_get(catalog, readers_own(&catalog->readers), r);
}

int catalog_get(struct catalog *catalog, uint64_t id, unsigned flags, struct quiver_ref *ref)
{
	struct reader *own = readers_own(&catalog->readers);
	struct meta_row row;
	uint64_t slot;
	int r;

	if ((flags & QUIVER_NOWAIT) && catalog_would_wait(catalog, id))
		return -EAGAIN;
	r = find_row(catalog, own, id, &slot, &row, &ref->pin);
	count_get(catalog, own, r);
	if (r)
		return r;
	ref->data = columns_vector(&catalog->columns, slot);
	ref->id = id;
	ref->lsn = row.lsn;
	ref->slot = slot;
	/* One by one, as they were stored (engine/meson.build). */
	ref->attr.mtime_ns = row.attr.mtime_ns;
	ref->attr.ctime_ns = row.attr.ctime_ns;
	ref->attr.uid = row.attr.uid;
	ref->attr.gid = row.attr.gid;
	ref->attr.mode = row.attr.mode;
	ref->sum = row.sum;
	return 0;
}

void catalog_unref(struct catalog *catalog, struct quiver_ref *ref)
{
	let_go(catalog, ref->slot, ref->pin);
	ref->data = NULL;
	ref->slot = SLOT_NONE;
}

static int check_sum(struct catalog *catalog, const struct quiver_ref *ref, int r, uint64_t hash)
{
	if (r == 0 && vector_sum(ref->id, ref->lsn, hash) == ref->sum)
		return 0;
	if (r) {
		atomic_fetch_add(&catalog->health->counters.io_errors, 1);
		report_add(&catalog->health->report,
		           "vector %" PRIu64 ": reading slot %" PRIu64 " of vectors.npy: %s",
		           ref->id, ref->slot, strerror(-r));
	} else {
		atomic_fetch_add(&catalog->health->counters.checksum_errors, 1);
		report_add(&catalog->health->report,
		           "vector %" PRIu64 ": slot %" PRIu64
		           " of vectors.npy does not match its checksum; restore it from a copy",
		           ref->id, ref->slot);
	}
	return -EIO;
}

bool catalog_ref_resident(struct catalog *catalog, const struct quiver_ref *ref)
{
	/* The largest vector spans this many pages at most; mincore tells of each. */
	unsigned char pages[QUIVER_VECTOR_BYTES_MAX / 4096 + 2];
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = (uintptr_t)ref->data & ~(page - 1);
	uintptr_t to = ((uintptr_t)ref->data + catalog->columns.geometry.vector_bytes + page - 1) &
	               ~(page - 1);

	if (mincore((void *)from, to - from, pages) != 0)
		return false;
	for (size_t i = 0; i < (to - from) / page; i++)
		if (!(pages[i] & 1))
			return false;
	return true;
}

int catalog_ref_verify(struct catalog *catalog, const struct quiver_ref *ref, unsigned flags)
{
	uint64_t hash = 0;
	int r;

	if ((flags & QUIVER_NOWAIT) && !catalog_ref_resident(catalog, ref))
		return -EAGAIN;
	r = fault_hash(ref->data, catalog->columns.geometry.vector_bytes, &hash);
	return check_sum(catalog, ref, r, hash);
}

int catalog_ref_read(struct catalog *catalog, const struct quiver_ref *ref, uint64_t offset,
                     size_t length, void *to)
{
	int r = fault_copy(to, (const uint8_t *)ref->data + offset, length);

	if (r) {
		atomic_fetch_add(&catalog->health->counters.io_errors, 1);
		report_add(&catalog->health->report,
		           "vector %" PRIu64 ": reading slot %" PRIu64 " of vectors.npy: %s",
		           ref->id, ref->slot, strerror(-r));
	}
	return r;
}

static void fetch(uintptr_t from, uintptr_t to)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	from &= ~(page - 1);
	if (from < to)
		(void)madvise((void *)from, to - from, MADV_WILLNEED); /* only a hint */
}

/* Whether the file of the vectors leaves half of the memory to others. */
static bool fits_memory(const struct catalog *catalog)
{
	uint64_t rows = atomic_load_explicit(&catalog->columns.rows, memory_order_relaxed);
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	return rows <= memory / 2 / catalog->columns.geometry.vector_bytes;
}

void catalog_ref_prefetch(struct catalog *catalog, const struct quiver_ref *ref)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = (uintptr_t)ref->data,
		  end = begin + catalog->columns.geometry.vector_bytes;
	uintptr_t map = (uintptr_t)catalog->columns.vectors.map;
	uintptr_t window = map + (begin - map) / AROUND_BYTES * AROUND_BYTES;

	if (!fits_memory(catalog)) {
		fetch((begin & ~(page - 1)) + page, end);
		return;
	}
	fetch(begin, end); /* first, as somebody waits for it */
	fetch(window, window + AROUND_BYTES);
}

int catalog_ref_copy(struct catalog *catalog, const struct quiver_ref *ref, void *to)
{
	uint64_t hash = 0;
	int r = fault_copy(to, ref->data, catalog->columns.geometry.vector_bytes);

	if (r == 0)
		hash = XXH3_64bits(to, catalog->columns.geometry.vector_bytes);
	return check_sum(catalog, ref, r, hash);
}

int catalog_get_copy(struct catalog *catalog, uint64_t id, void *to, struct quiver_attr *attr,
                     uint64_t *lsn)
{
	struct quiver_ref ref;
	int r = catalog_get(catalog, id, 0, &ref);

	if (r)
		return r;
	r = catalog_ref_copy(catalog, &ref, to);
	if (r == 0 && attr)
		*attr = ref.attr;
	if (r == 0 && lsn)
		*lsn = ref.lsn;
	catalog_unref(catalog, &ref);
	return r;
}

int catalog_stat(struct catalog *catalog, uint64_t id, unsigned flags, struct quiver_attr *attr,
                 uint64_t *lsn)
{
	struct meta_row row;
	uint64_t slot;
	int r;

	if ((flags & QUIVER_NOWAIT) && catalog_would_wait(catalog, id))
		return -EAGAIN;
	r = find_row(catalog, readers_own(&catalog->readers), id, &slot, &row, NULL);
	if (r == 0 && attr)
		*attr = row.attr;
	if (r == 0 && lsn)
		*lsn = row.lsn;
	return r;
}

uint64_t catalog_count(struct catalog *catalog)
{
	return atomic_load(&catalog->index.count);
}
