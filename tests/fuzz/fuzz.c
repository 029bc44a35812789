#include "fuzz.h"

#include "tests/common/listed.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef FUZZ_SANITIZED
/* Memory that was freed is used again soon, since pages that were never touched cost more than
 * all else. What is used after that is used within one input. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=4:malloc_context_size=8";
}
#endif

void fuzz_check(bool holds, const char *what, const char *file, int line)
{
	if (holds)
		return;
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

uint64_t fuzz_take(struct fuzz_input *input, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && input->size > 0; i++, input->data++, input->size--)
		value |= (uint64_t)*input->data << (8 * i);
	return value;
}

void fuzz_create(uint32_t dim, enum quiver_dtype dtype)
{
	struct quiver_geometry geometry = { .dim = dim, .dtype = dtype };

	memdisk_clear();
	FUZZ_CHECK(quiver_create(MEMDISK_STORE, &geometry, NULL, NULL, NULL) == 0);
}

struct quiver *fuzz_open(enum quiver_durability mode)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = mode };
	struct quiver_error error = { "" };
	struct quiver *store = NULL;

	if (quiver_open(MEMDISK_STORE, &options, &store, &error) != 0)
		fprintf(stderr, "%s\n", error.text);
	FUZZ_CHECK(store != NULL);
	return store;
}

int fuzz_put(struct quiver *store, uint32_t id, uint32_t version)
{
	static uint8_t bytes[FUZZ_BYTES];
	struct quiver_attr attr = world_attr(version);

	world_bytes(id, version, FUZZ_BYTES, bytes);
	return quiver_put(store, id, bytes, &attr, QUIVER_ATTR_ALL, 0, NULL);
}

struct quiver *fuzz_begin(struct world *world)
{
	struct quiver *store;

	fuzz_create(FUZZ_BYTES, QUIVER_U1);
	store = fuzz_open(QUIVER_FSYNC);
	memset(world, 0, sizeof(*world));
	for (uint32_t id = 1; id <= FUZZ_IDS; id++) {
		FUZZ_CHECK(fuzz_put(store, id, 1) == 0);
		world->ids[id] = (struct world_entry){ .version = 1, .origin = id, .attr = 1 };
	}
	FUZZ_CHECK(quiver_checkpoint(store) == 0);
	return store;
}

/* Half of them are overwritten, removed, or renamed. */
static void change_each_other(struct quiver *store, enum fuzz_use use, struct world *world)
{
	for (uint32_t id = 1; id <= FUZZ_IDS; id += 2) {
		struct world_entry was = world->ids[id];

		world->ids[id] = (struct world_entry){ 0 };
		if (use == FUZZ_OVERWRITTEN || use == FUZZ_UNLOGGED) {
			FUZZ_CHECK(fuzz_put(store, id, 2) == 0);
			world->ids[id] = (struct world_entry){ 2, id, 2 };
		} else if (use == FUZZ_RENAMED) {
			FUZZ_CHECK(quiver_rename(store, id, id + 20, 0, NULL) == 0);
			world->ids[id + 20] = was;
		} else {
			FUZZ_CHECK(quiver_remove(store, id, 0, NULL) == 0);
		}
	}
}

static void put_batch(struct quiver *store, struct world *world)
{
	static uint8_t bytes[4][FUZZ_BYTES];
	struct quiver_record records[4];
	struct quiver_attr attr = world_attr(3);

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t id = 30 + i;

		world_bytes(id, 3, FUZZ_BYTES, bytes[i]);
		records[i] = (struct quiver_record){ .id = id, .data = bytes[i] };
		world->ids[id] = (struct world_entry){ 3, id, 3 };
	}
	FUZZ_CHECK(quiver_put_batch(store, records, 4, &attr, QUIVER_ATTR_ALL, 0, NULL) == 0);
}

static void set_attributes(struct quiver *store, struct world *world)
{
	struct quiver_attr attr = world_attr(9);

	for (uint32_t id = 3; id <= FUZZ_IDS; id += 3) {
		FUZZ_CHECK(quiver_set_attr(store, id, &attr, QUIVER_ATTR_ALL, 0) == 0);
		world->ids[id].attr = 9;
	}
	FUZZ_CHECK(quiver_set_dir_attr(store, &attr, QUIVER_ATTR_ALL, 0) == 0);
	world->dir = 9;
}

void fuzz_use(struct quiver *store, enum fuzz_use use, struct world *world)
{
	if (use == FUZZ_UNLOGGED)
		FUZZ_CHECK(quiver_set_durability(store, QUIVER_NONE) == 0);
	if (use == FUZZ_BATCHED)
		put_batch(store, world);
	else if (use == FUZZ_ATTRIBUTES)
		set_attributes(store, world);
	else if (use != FUZZ_UNUSED)
		change_each_other(store, use, world);
	if (use == FUZZ_UNLOGGED)
		FUZZ_CHECK(quiver_checkpoint(store) == 0);
	if (use == FUZZ_COMPACTED)
		FUZZ_CHECK(manual_background_compact(store) == 0);
}

void fuzz_store(enum fuzz_use use, bool killed, struct memdisk_image *image, struct world *world)
{
	struct quiver *store = fuzz_begin(world);

	fuzz_use(store, use, world);
	if (killed)
		memdisk_save(image);
	FUZZ_CHECK(quiver_close(store) == 0);
	if (!killed)
		memdisk_save(image);
	else
		memdisk_load(image);
}

bool fuzz_read_all(struct quiver *store)
{
	static uint8_t bytes[FUZZ_BYTES];
	struct listed list;
	bool whole = true;

	FUZZ_CHECK(listed_all(store, &list) == 0);
	for (size_t i = 0; i < list.count; i++) {
		int r = quiver_get_copy(store, list.ids[i], bytes, NULL, NULL);

		FUZZ_CHECK(r == 0 || r == -EIO || r == -ENOENT);
		whole = whole && r == 0;
	}
	listed_free(&list);
	return whole;
}
