#include "engine/rados/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rados/failure.h"
#include "engine/rados/id_array.h"
#include "engine/rados/walk.h"
#include "engine/rados/watch.h"

struct quiver_list {
	struct id_array array;
};

struct listing {
	const struct collection *collection;
	struct id_array *array;
};

/* Damaged ones as well: they are there, and can be removed and written anew. */
static int add_object(void *arg, uint64_t number, struct flight **flight, const struct rows *rows)
{
	struct listing *listing = arg;
	const struct collection *collection = listing->collection;
	int r = 0;

	(void)flight;
	if (number > QUIVER_ID_MAX / collection->layout.slots)
		return 0;
	for (uint32_t slot = 0; r == 0 && slot < rows->slot_count; slot++) {
		uint64_t id = number * collection->layout.slots + slot;
		struct row row;

		if (id <= QUIVER_ID_MAX &&
		    row_decode(rows->slots[slot].bytes, rows->slots[slot].length, collection->mark,
		               id, &row) != -ENOENT)
			r = id_array_add(listing->array, id);
	}
	return r;
}

static int fill(struct collection *collection, struct id_array *array)
{
	struct listing listing = { collection, array };
	const struct walk walk = { .connection = &collection->connection,
		                   .collection = collection->connection.target.name,
		                   .layout = collection->layout,
		                   .object = add_object,
		                   .arg = &listing };
	int r = watch_refuse(collection);

	if (r != 0)
		return r;
	r = walk_run(&walk);
	if (r == -ENOMEM)
		return r;
	if (r != 0)
		return failure_of(collection, r, false, "the vectors cannot be listed");
	/* Of a collection that is gone, a part or nothing was found. */
	return watch_confirm(collection);
}

int list_open(struct quiver *store, unsigned flags, struct quiver_list **list)
{
	struct collection *collection = collection_of(store);
	struct quiver_list *new;
	int r;

	if (flags & QUIVER_NOWAIT)
		return -EAGAIN;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	r = fill(collection, &new->array);
	if (r != 0) {
		list_close(store, new);
		return r;
	}
	id_array_finish(&new->array);
	atomic_store(&collection->count, (int64_t) new->array.count);
	atomic_store(&collection->is_counted, true);
	*list = new;
	return 0;
}

int64_t list_read(struct quiver *store, struct quiver_list *list, uint64_t position, unsigned flags,
                  uint64_t *ids, size_t max)
{
	size_t count;

	(void)store, (void)flags; /* all is here */
	if (position >= list->array.count)
		return 0;
	count = list->array.count - position;
	if (count > max)
		count = max;
	memcpy(ids, list->array.ids + position, count * sizeof(*ids));
	return (int64_t)count;
}

uint64_t list_count(struct quiver *store, const struct quiver_list *list)
{
	(void)store;
	return list->array.count;
}

void list_close(struct quiver *store, struct quiver_list *list)
{
	(void)store;
	free(list->array.ids);
	free(list);
}

uint64_t list_count_all(struct quiver *store)
{
	int64_t count = atomic_load(&collection_of(store)->count);

	return count > 0 ? (uint64_t)count : 0;
}
