#include "simdisk_node.h"

#include "simdisk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *sim_alloc(size_t bytes)
{
	void *p = calloc(1, bytes + 1);

	if (!p)
		abort();
	return p;
}

void *sim_grow(void *items, size_t *room, size_t count, size_t size)
{
	if (count < *room)
		return items;
	*room = *room ? *room * 2 : 16;
	items = realloc(items, *room * size);
	if (!items)
		abort();
	return items;
}

static struct sim_change *add_change(struct sim_node *node)
{
	node->changes = sim_grow(node->changes, &node->change_room, node->change_count,
	                         sizeof(*node->changes));
	return &node->changes[node->change_count++];
}

void sim_node_write(struct sim_node *node, uint64_t at, uint64_t length, const void *data)
{
	struct sim_change *change = add_change(node);

	*change = (struct sim_change){ .at = at, .length = length, .size_before = node->size_now };
	change->data = sim_alloc(length);
	memcpy(change->data, data, length);
	if (at + length > node->size_now)
		node->size_now = at + length;
	change->size_after = node->size_now;
}

void sim_node_store(struct sim_node *node, uint64_t at, uint64_t length, const void *data)
{
	assert(at + length <= node->size_now);
	sim_node_write(node, at, length, data);
	node->changes[node->change_count - 1].stored = true;
}

void sim_node_zero(struct sim_node *node, uint64_t at, uint64_t length)
{
	struct sim_change *change = add_change(node);

	*change = (struct sim_change){ .at = at,
		                       .length = length,
		                       .size_before = node->size_now,
		                       .size_after = node->size_now };
}

void sim_node_resize(struct sim_node *node, uint64_t size)
{
	struct sim_change *change;

	if (size == node->size_now)
		return;
	change = add_change(node);
	*change = (struct sim_change){ .size_before = node->size_now, .size_after = size };
	if (size < node->size_now) {
		change->cut = true;
		change->at = size;
		change->length = node->size_now - size;
	}
	node->size_now = size;
}

struct sim_node *sim_names_find(const struct sim_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->items[i].name, name) == 0)
			return names->items[i].node;
	return NULL;
}

static void drop_name(struct sim_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->items[i].name, name) == 0) {
			names->items[i] = names->items[--names->count];
			return;
		}
}

static void add_name(struct sim_names *names, const char *name, struct sim_node *node)
{
	names->items = realloc(names->items, (names->count + 1) * sizeof(*names->items));
	if (!names->items)
		abort();
	(void)snprintf(names->items[names->count].name, SIM_NAME_BYTES, "%s", name);
	names->items[names->count++].node = node;
}

void sim_names_apply(struct sim_names *names, const struct sim_naming *naming)
{
	struct sim_node *node;

	switch (naming->kind) {
	case SIM_ADD:
		add_name(names, naming->entry.name, naming->entry.node);
		break;
	case SIM_REMOVE:
		drop_name(names, naming->entry.name);
		break;
	case SIM_RENAME:
		node = sim_names_find(names, naming->entry.name);
		assert(node);
		drop_name(names, naming->entry.name);
		drop_name(names, naming->to);
		add_name(names, naming->to, node);
		break;
	}
}

void sim_names_copy(struct sim_names *to, const struct sim_names *from)
{
	to->items = sim_alloc(from->count * sizeof(*from->items));
	to->count = from->count;
	if (from->count)
		memcpy(to->items, from->items, from->count * sizeof(*from->items));
}

void sim_node_name(struct sim_node *folder, const struct sim_naming *naming)
{
	folder->namings = sim_grow(folder->namings, &folder->naming_room, folder->naming_count,
	                           sizeof(*folder->namings));
	folder->namings[folder->naming_count++] = *naming;
	sim_names_apply(&folder->names_now, naming);
}

void sim_node_settle(struct sim_node *node, uint8_t *bytes)
{
	for (size_t i = 0; i < node->change_count; i++)
		free(node->changes[i].data);
	free(node->bytes);
	node->bytes = bytes;
	node->size = node->size_now;
	node->change_count = 0;
}

/* Whether nobody has written to the sector of change `at` since. */
static bool stays_lost(const struct sim_node *node, size_t at)
{
	const struct sim_change *lost = &node->changes[at];

	if (!lost->lost)
		return false;
	for (size_t i = at + 1; i < node->change_count; i++) {
		const struct sim_change *change = &node->changes[i];
		uint64_t first = change->at / SIM_SECTOR_BYTES * SIM_SECTOR_BYTES;

		if (change->length > 0 && first <= lost->at &&
		    change->at + change->length > lost->at)
			return false;
	}
	return true;
}

void sim_node_direct(const struct sim_node *node, uint64_t at, uint64_t length, uint8_t *bytes)
{
	for (size_t i = 0; i < node->change_count; i++) {
		const struct sim_change *change = &node->changes[i];

		if (!stays_lost(node, i))
			continue;
		for (uint64_t k = change->at; k < change->at + change->length; k++)
			if (k >= at && k < at + length)
				bytes[k - at] = k < node->size ? node->bytes[k] : 0;
	}
}

static void sync_file(struct sim_node *node)
{
	uint64_t most = node->size > node->size_now ? node->size : node->size_now;
	struct sim_change *kept;
	size_t kept_count = 0;
	uint8_t *grown;

	if (node->change_count == 0)
		return;
	for (size_t i = 0; i < node->change_count; i++)
		if (node->changes[i].size_before > most)
			most = node->changes[i].size_before;
	grown = sim_alloc(most);
	kept = sim_alloc(node->change_count * sizeof(*kept));
	if (node->size)
		memcpy(grown, node->bytes, node->size);
	for (size_t i = 0; i < node->change_count; i++) {
		struct sim_change *change = &node->changes[i];

		if (stays_lost(node, i)) {
			kept[kept_count] = *change;
			kept[kept_count].size_before = kept[kept_count].size_after = node->size_now;
			kept_count++;
			change->data = NULL;
		} else if (change->data) {
			memcpy(grown + change->at, change->data, change->length);
		} else {
			memset(grown + change->at, 0, change->length);
		}
	}
	sim_node_settle(node, grown);
	for (size_t i = 0; i < kept_count; i++)
		*add_change(node) = kept[i];
	free(kept);
}

void sim_node_sync(struct sim_node *node)
{
	if (!node->folder) {
		sync_file(node);
		return;
	}
	for (size_t i = 0; i < node->naming_count; i++)
		sim_names_apply(&node->names, &node->namings[i]);
	node->naming_count = 0;
}

void sim_node_free(struct sim_node *node)
{
	for (size_t i = 0; i < node->change_count; i++)
		free(node->changes[i].data);
	free(node->changes);
	free(node->bytes);
	free(node->names.items);
	free(node->names_now.items);
	free(node->namings);
	free(node);
}
