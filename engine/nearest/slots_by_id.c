#include "engine/nearest/slots_by_id.h"

#include "engine/base/epoch.h"
#include "engine/disk/columns.h"

/* The slot that was found keeps its bytes until `release`, since it is not used again while a section is
 * open that may have found it. */
static int find(void *arg, const uint64_t *ids, size_t count, const void **rows)
{
	struct catalog *catalog = arg;

	index_settle(&catalog->index);
	epoch_enter();
	for (size_t i = 0; i < count; i++) {
		uint64_t slot = index_find(&catalog->index, ids[i]);

		rows[i] = slot == SLOT_NONE ? NULL : columns_vector(&catalog->columns, slot);
		if (rows[i])
			columns_prefetch_vector(&catalog->columns, slot);
	}
	return 0;
}

static void release(void *arg)
{
	(void)arg;
	epoch_leave();
}

void slots_by_id(struct finder *finder, struct catalog *catalog)
{
	*finder = (struct finder){ .arg = catalog,
		                   .find = find,
		                   .release = release,
		                   .at_once = DISTANCE_ROWS_MAX,
		                   .is_section = true,
		                   .map = catalog->columns.vectors.map,
		                   .map_bytes = catalog->columns.vectors.reserved_bytes };
}
