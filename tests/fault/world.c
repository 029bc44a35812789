#include "world.h"

#include "tests/common/listed.h"
#include <errno.h>
#include <string.h>

void world_bytes(uint32_t origin, uint32_t version, uint32_t length, uint8_t *to)
{
	uint64_t state = (uint64_t)origin << 32 | version;

	for (uint32_t i = 0; i < length; i += 8) {
		uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
		uint32_t n = length - i < 8 ? length - i : 8;

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		memcpy(to + i, &z, n);
	}
}

struct quiver_attr world_attr(uint32_t version)
{
	return (struct quiver_attr){ .mtime_ns = (int64_t)version * 1000003 + 7,
		                     .uid = version + 1,
		                     .gid = version + 2,
		                     .mode = (uint16_t)(version % 0777 + 1) };
}

size_t world_label(uint32_t version, char to[QUIVER_LABEL_BYTES_MAX + 1])
{
	size_t length = version == 0 ? 0 : QUIVER_LABEL_BYTES_MAX - version % 100;

	memset(to, 'a' + (int)(version % 26), length);
	to[length] = '\0';
	return length;
}

bool world_has_label(struct quiver *store, uint32_t version)
{
	struct quiver_description found;
	char want[QUIVER_LABEL_BYTES_MAX + 1];

	(void)world_label(version, want); /* whose length strcmp sees */
	quiver_describe(store, &found);
	return strcmp(found.label, want) == 0;
}

static bool same_attr(const struct quiver_attr *a, const struct quiver_attr *b)
{
	return a->mtime_ns == b->mtime_ns && a->uid == b->uid && a->gid == b->gid &&
	       a->mode == b->mode;
}

const char *world_compare_id(const struct world *world, struct quiver *store, uint64_t id,
                             bool damage_passes)
{
	static _Thread_local uint8_t got[WORLD_BYTES_MAX];
	static _Thread_local uint8_t want[WORLD_BYTES_MAX];
	const struct world_entry *entry = &world->ids[id];
	uint32_t n = quiver_geometry(store)->vector_bytes;
	struct quiver_attr want_attr = world_attr(entry->attr);
	struct quiver_attr attr;
	int r = quiver_get_copy(store, id, got, &attr, NULL);

	if (r == -EIO && damage_passes)
		return NULL;
	if (entry->version == 0)
		return r == -ENOENT ? NULL : r == 0 ? "a vector that should not be" : strerror(-r);
	if (r)
		return r == -ENOENT ? "gone" : strerror(-r);
	world_bytes(entry->origin, entry->version, n, want);
	if (memcmp(got, want, n) != 0)
		return "other bytes than were committed last";
	if (entry->ctime_ns && attr.ctime_ns != entry->ctime_ns)
		return "another ctime than after the last change";
	return same_attr(&attr, &want_attr) ? NULL : "other attributes than were set last";
}

uint64_t world_count(const struct world *world)
{
	uint64_t count = 0;

	for (size_t i = 0; i < WORLD_IDS; i++)
		count += world->ids[i].version != 0;
	return count;
}

static const char *compare_list(const struct world *world, struct quiver *store, uint64_t *id)
{
	bool seen[WORLD_IDS] = { false };
	const char *why = NULL;
	struct listed list;

	if (listed_all(store, &list) != 0)
		return "no list";
	for (size_t i = 0; !why && i < list.count; i++) {
		*id = list.ids[i];
		if (*id >= WORLD_IDS || world->ids[*id].version == 0)
			why = "listed, but should not be";
		else if (seen[*id])
			why = "listed twice";
		else
			seen[*id] = true;
	}
	if (!why && list.count != world_count(world))
		why = "the list is too short";
	if (!why && quiver_count(store) != list.count)
		why = "the count is not that of the list";
	listed_free(&list);
	return why;
}

const char *world_compare(const struct world *world, struct quiver *store, uint64_t *id)
{
	const char *why;
	struct quiver_attr dir;
	struct quiver_attr want = world_attr(world->dir);

	for (*id = 0; *id < WORLD_IDS; (*id)++) {
		why = world_compare_id(world, store, *id, false);
		if (why)
			return why;
	}
	(void)quiver_dir_attr(store, 0, &dir); /* of a local folder: does not fail */
	if (world->dir != 0 && (dir.mode != want.mode || dir.uid != want.uid))
		return "other attributes of the directory than were set last";
	if (!world_has_label(store, world->label))
		return "another label than was set last";
	return compare_list(world, store, id);
}
