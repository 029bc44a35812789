#include "engine/rados/hints.h"

#include <string.h>

/* Each ID has one place; neighbours have different ones. */
static struct hint *place_of(struct collection *collection, uint64_t id)
{
	return &collection->hints.places[id % HINTS_MAX];
}

void hints_keep(struct collection *collection, uint64_t id, const void *row)
{
	struct hint *hint = place_of(collection, id);

	pthread_mutex_lock(&collection->hints.lock);
	hint->is_known = true;
	hint->id = id;
	memcpy(hint->row, row, ROW_BYTES);
	pthread_mutex_unlock(&collection->hints.lock);
}

void hints_drop(struct collection *collection, uint64_t id)
{
	struct hint *hint = place_of(collection, id);

	pthread_mutex_lock(&collection->hints.lock);
	if (hint->id == id)
		hint->is_known = false;
	pthread_mutex_unlock(&collection->hints.lock);
}

bool hints_find(struct collection *collection, uint64_t id, uint8_t row[ROW_BYTES])
{
	struct hint *hint = place_of(collection, id);
	bool is_found;

	pthread_mutex_lock(&collection->hints.lock);
	is_found = hint->is_known && hint->id == id;
	if (is_found)
		memcpy(row, hint->row, ROW_BYTES);
	pthread_mutex_unlock(&collection->hints.lock);
	return is_found;
}
