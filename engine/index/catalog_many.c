/*
 * catalog_many.c - many vectors for one call. Where they lie is looked for some IDs ahead, and the
 * bytes of the next are on their way from memory while one is copied: else each look-up waits for
 * memory three times, one after the other.
 */
#include <errno.h>

#include "engine/base/epoch.h"
#include "engine/index/catalog.h"

/* How far ahead. An entry of the index takes as long as the bytes of a vector; its row lies where
 * the entry says. More than one vector ahead is more than a processor has under way at a time. */
#define ENTRY_AHEAD 12u
#define ROW_AHEAD 6u
#define VECTOR_AHEAD 1u

/* Only hints: of what has changed meanwhile the look-up itself finds out. */
static void look_ahead(struct catalog *catalog, const uint64_t *ids, size_t count, size_t i,
                       bool copies)
{
	const struct columns *columns = &catalog->columns;
	uint64_t slot;

	epoch_enter();
	if (i + ENTRY_AHEAD < count)
		index_prefetch(&catalog->index, ids[i + ENTRY_AHEAD]);
	if (i + ROW_AHEAD < count) {
		slot = index_guess(&catalog->index, ids[i + ROW_AHEAD]);
		if (slot != SLOT_NONE) {
			columns_prefetch_row(columns, slot);
			columns_prefetch_id(columns, slot);
		}
	}
	if (copies && i + VECTOR_AHEAD < count) {
		slot = index_guess(&catalog->index, ids[i + VECTOR_AHEAD]);
		if (slot != SLOT_NONE)
			columns_prefetch_all(columns, slot);
	}
	epoch_leave();
}

int catalog_get_many(struct catalog *catalog, const uint64_t *ids, size_t count, void *to,
                     struct quiver_attr *attrs, int *results)
{
	size_t bytes = catalog->columns.geometry.vector_bytes;

	for (size_t i = 0; i < count; i++) {
		struct quiver_attr *attr = attrs ? &attrs[i] : NULL;
		int r;

		look_ahead(catalog, ids, count, i, to != NULL);
		r = to ? catalog_get_copy(catalog, ids[i], (char *)to + i * bytes, attr, NULL)
		       : catalog_stat(catalog, ids[i], 0, attr, NULL);
		if (r && r != -ENOENT && r != -EIO)
			return r;
		results[i] = r;
	}
	return 0;
}
