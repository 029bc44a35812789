#include "engine/rados/hints.h"

#include <string.h>

/* Each ID has one place; neighbours have different ones. */
static struct hint *place_of(struct collection *collection, uint64_t id)
{
	return &collection->hints.places[id % HINTS_MAX];
}

static struct object_hint *object_of(struct collection *collection, uint64_t id, uint64_t *object)
{
	*object = layout_object(&collection->layout, id);
	return &collection->hints.objects[*object % OBJECT_HINTS_MAX];
}

void hints_keep(struct collection *collection, uint64_t id, const void *row, size_t row_bytes)
{
	struct hint *hint = place_of(collection, id);

	pthread_mutex_lock(&collection->hints.lock);
	hint->id = id;
	hint->is_known = row_bytes == 0 || row_bytes == ROW_BYTES;
	hint->row_bytes = (uint8_t)row_bytes;
	if (row_bytes == ROW_BYTES)
		memcpy(hint->row, row, ROW_BYTES);
	pthread_mutex_unlock(&collection->hints.lock);
}

void hints_keep_removed(struct collection *collection, uint64_t id, const void *removed,
                        size_t removed_bytes)
{
	uint64_t object;
	struct object_hint *hint = object_of(collection, id, &object);

	pthread_mutex_lock(&collection->hints.lock);
	hint->object = object;
	hint->is_known = removed_bytes == 0 || removed_bytes == TAG_BYTES;
	hint->removed_bytes = (uint8_t)removed_bytes;
	if (removed_bytes == TAG_BYTES)
		memcpy(hint->removed, removed, TAG_BYTES);
	pthread_mutex_unlock(&collection->hints.lock);
}

void hints_drop(struct collection *collection, uint64_t id)
{
	struct hint *hint = place_of(collection, id);
	uint64_t object;
	struct object_hint *of_object = object_of(collection, id, &object);

	pthread_mutex_lock(&collection->hints.lock);
	if (hint->id == id)
		hint->is_known = false;
	if (of_object->object == object)
		of_object->is_known = false;
	pthread_mutex_unlock(&collection->hints.lock);
}

bool hints_find(struct collection *collection, uint64_t id, struct guess *guess)
{
	const struct hint *hint = place_of(collection, id);
	uint64_t object;
	const struct object_hint *of_object = object_of(collection, id, &object);
	bool is_found;

	pthread_mutex_lock(&collection->hints.lock);
	is_found = hint->is_known && hint->id == id &&
	           (hint->row_bytes > 0 || (of_object->is_known && of_object->object == object));
	if (is_found) {
		guess->row_bytes = hint->row_bytes;
		memcpy(guess->row, hint->row, ROW_BYTES);
		guess->removed_bytes = of_object->removed_bytes;
		memcpy(guess->removed, of_object->removed, TAG_BYTES);
	}
	pthread_mutex_unlock(&collection->hints.lock);
	return is_found;
}
