#include "engine/index/versions_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/xxh3.h"

#define CAPACITY_MIN 1024u
/* Numbers and one are kept in 32 bits. */
#define COUNT_MAX ((size_t)UINT32_MAX - 1)

static uint32_t *chain_of(uint32_t *chains, size_t count, uint64_t key)
{
	return &chains[XXH3_64bits(&key, sizeof(key)) & (count - 1)];
}

int versions_table_make(struct versions_table *table, size_t capacity)
{
	size_t chains = CAPACITY_MIN;

	memset(table, 0, sizeof(*table));
	if (capacity > COUNT_MAX)
		return -ENOSPC;
	while (chains < capacity)
		chains *= 2;
	table->capacity = chains < COUNT_MAX ? chains : COUNT_MAX;
	table->chains = chains;
	table->items = malloc(table->capacity * sizeof(*table->items));
	table->by_id = calloc(chains, sizeof(*table->by_id));
	table->by_slot = calloc(chains, sizeof(*table->by_slot));
	if (table->items && table->by_id && table->by_slot)
		return 0;
	versions_table_free(table);
	return -ENOMEM;
}

int versions_table_copy(const struct versions_table *table, size_t capacity,
                        struct versions_table *copy)
{
	int r = versions_table_make(copy, capacity);

	for (size_t i = 0; r == 0 && i < table->count; i++)
		versions_table_add(copy, &table->items[i]);
	return r;
}

void versions_table_free(struct versions_table *table)
{
	free(table->items);
	free(table->by_id);
	free(table->by_slot);
	memset(table, 0, sizeof(*table));
}

void versions_table_add(struct versions_table *table, const struct version *version)
{
	struct version *item = &table->items[table->count];
	uint32_t *of_id = chain_of(table->by_id, table->chains, version->id);
	uint32_t *of_slot = chain_of(table->by_slot, table->chains, version->slot);

	assert(table->count < table->capacity);
	*item = *version;
	item->next_of_id = *of_id;
	item->next_of_slot = *of_slot;
	table->count++;
	*of_id = *of_slot = (uint32_t)table->count;
}

uint32_t versions_table_id_chain(const struct versions_table *table, uint64_t id)
{
	return table->chains ? *chain_of(table->by_id, table->chains, id) : 0;
}

uint32_t versions_table_slot_chain(const struct versions_table *table, uint64_t slot)
{
	return table->chains ? *chain_of(table->by_slot, table->chains, slot) : 0;
}
