#include "engine/commit/deferred_frees.h"

#include <errno.h>
#include <stdlib.h>

/* Room for `count` more in an array; doubling. */
static int make_room(void **items, size_t *capacity, size_t used, size_t count, size_t size)
{
	size_t want = *capacity ? *capacity : 64;
	void *grown;

	if (used + count <= *capacity)
		return 0;
	while (want < used + count)
		want *= 2;
	grown = realloc(*items, want * size);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*capacity = want;
	return 0;
}

int deferred_frees_make_room(struct deferred_free_list *list, size_t count)
{
	void *items = list->items;
	int r = make_room(&items, &list->capacity, list->count, count, sizeof(*list->items));

	list->items = items;
	return r;
}

int slot_list_make_room(struct slot_list *list, size_t count)
{
	void *items = list->items;
	int r = make_room(&items, &list->capacity, list->count, count, sizeof(*list->items));

	list->items = items;
	return r;
}
