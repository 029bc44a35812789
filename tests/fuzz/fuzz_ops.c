/*
 * fuzz_ops.c - any sequence of the engine's calls, closing, killing and opening again, also as a
 * store of format 1, compared with a model in memory.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

#define OPS_MAX 60
#define IDS 40u

struct play {
	struct world world;
	struct world kept; /* at the last checkpoint */
	struct quiver *store;
	enum quiver_durability mode;
	uint32_t version;
};

static void open_store(struct play *play)
{
	play->store = fuzz_open(play->mode);
}

static void same(struct play *play)
{
	uint64_t id;
	const char *why = world_compare(&play->world, play->store, &id);

	if (why)
		fprintf(stderr, "vector %llu: %s\n", (unsigned long long)id, why);
	FUZZ_CHECK(!why);
}

/* As kill -9: what the kernel has is what there is. Where the released program had made the store,
 * that is of format 1. */
static void kill_store(struct play *play, bool version_1)
{
	static struct memdisk_image image;

	memdisk_save(&image);
	FUZZ_CHECK(quiver_close(play->store) == 0);
	if (version_1)
		fuzz_downgrade(&image);
	memdisk_load(&image);
	memdisk_free(&image);
	if (play->mode == QUIVER_NONE)
		play->world = play->kept;
	open_store(play);
	same(play);
}

/* Closed, it is one of format 1, and is upgraded. */
static void upgrade(struct play *play)
{
	static struct memdisk_image image;

	FUZZ_CHECK(quiver_close(play->store) == 0);
	memdisk_save(&image);
	fuzz_downgrade(&image);
	memdisk_load(&image);
	memdisk_free(&image);
	play->kept = play->world;
	open_store(play);
	same(play);
}

/* INT64_MIN where there is no such vector. */
static int64_t ctime_of(struct play *play, uint32_t id)
{
	struct quiver_attr attr = { .ctime_ns = INT64_MIN };
	int r = quiver_stat(play->store, id, 0, &attr, NULL);

	FUZZ_CHECK(r == 0 || r == -ENOENT);
	return attr.ctime_ns;
}

static void change(struct play *play, uint64_t what, uint32_t id, uint32_t other)
{
	struct world_entry *entry = &play->world.ids[id];
	struct quiver_attr attr = world_attr(++play->version);
	int want = entry->version ? 0 : -ENOENT;
	int64_t was_ns = ctime_of(play, id);

	switch (what) {
	case 0:
		FUZZ_CHECK(fuzz_put(play->store, id, play->version) == 0);
		*entry = (struct world_entry){ play->version, id, play->version };
		break;
	case 1:
		FUZZ_CHECK(quiver_remove(play->store, id, 0, NULL) == want);
		*entry = (struct world_entry){ 0 };
		break;
	case 2:
		FUZZ_CHECK(quiver_rename(play->store, id, other, 0, NULL) == want);
		if (want == 0 && id != other) {
			play->world.ids[other] = *entry;
			*entry = (struct world_entry){ 0 };
		}
		break;
	default:
		FUZZ_CHECK(quiver_set_attr(play->store, id, &attr, QUIVER_ATTR_ALL, 0) == want);
		if (want == 0)
			entry->attr = play->version;
	}
	if (want == 0 && entry->version)
		FUZZ_CHECK(ctime_of(play, id) > was_ns || what == 2);
	else if (want == 0 && what == 2)
		FUZZ_CHECK(ctime_of(play, other) > was_ns);
}

static void batch(struct play *play, uint32_t first, uint32_t count)
{
	static uint8_t bytes[8][FUZZ_BYTES];
	struct quiver_record records[8];
	struct quiver_attr attr = world_attr(++play->version);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t id = (first + i) % IDS;

		world_bytes(id, play->version, FUZZ_BYTES, bytes[i]);
		records[i] = (struct quiver_record){ .id = id, .data = bytes[i] };
		play->world.ids[id] = (struct world_entry){ play->version, id, play->version };
	}
	FUZZ_CHECK(quiver_put_batch(play->store, records, count, &attr, QUIVER_ATTR_ALL, 0, NULL) ==
	           0);
}

static void compact(struct play *play)
{
	FUZZ_CHECK(manual_background_compact(play->store) == 0);
	play->kept = play->world;
}

/* What the store's own threads would do. */
static void in_background(struct play *play, uint32_t what)
{
	if (what % 2) {
		FUZZ_CHECK(manual_background_sync(play->store) == 0);
	} else {
		FUZZ_CHECK(manual_background_keep_house(play->store) == 0);
	}
}

static void step(struct play *play, struct fuzz_input *input)
{
	uint64_t what = fuzz_take(input, 1) % 18;
	uint32_t id = (uint32_t)fuzz_take(input, 1) % IDS;

	if (what < 8) {
		change(play, what % 4, id, (uint32_t)fuzz_take(input, 1) % IDS);
	} else if (what == 8) {
		batch(play, id, id % 8 + 1);
	} else if (what == 9 || what == 10) {
		FUZZ_CHECK((what == 9 ? quiver_checkpoint : quiver_flush)(play->store) == 0);
		if (what == 9 || play->mode == QUIVER_NONE)
			play->kept = play->world;
	} else if (what == 11) {
		compact(play);
	} else if (what == 12) {
		FUZZ_CHECK(quiver_close(play->store) == 0);
		play->kept = play->world;
		open_store(play);
		same(play);
	} else if (what == 13) {
		kill_store(play, id % 8 == 7);
		play->kept = play->world;
	} else if (what == 14 && play->mode != (enum quiver_durability)(id % 4)) {
		play->mode = (enum quiver_durability)(id % 4);
		FUZZ_CHECK(quiver_set_durability(play->store, play->mode) == 0);
		play->kept = play->world;
	} else if (what == 15) {
		same(play);
	} else if (what == 16) {
		in_background(play, id);
	} else if (what == 17) {
		upgrade(play);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memdisk_image empty;
	static struct play play;
	struct fuzz_input input = { data, size };
	struct quiver_check_result result;

	memset(&play, 0, sizeof(play));
	if (empty.count == 0) {
		fuzz_create(FUZZ_BYTES, QUIVER_U1);
		memdisk_save(&empty);
	}
	memdisk_use_maps(size % 2); /* half of the inputs */
	memdisk_load(&empty);
	open_store(&play);
	for (int i = 0; i < OPS_MAX && input.size > 0; i++)
		step(&play, &input);
	same(&play);
	FUZZ_CHECK(quiver_close(play.store) == 0);
	FUZZ_CHECK(quiver_check(MEMDISK_STORE, false, NULL, NULL, &result, NULL) == 0);
	FUZZ_CHECK(result.damage == 0 && result.clean);
	FUZZ_CHECK(memdisk_opens() == 0);
	return 0;
}

/* Ten puts, then one kind of change all over them, then all that ends a life. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	static const uint8_t ends[] = { 9, 10, 11, 12, 13, 15, 16, 17 };
	size_t used = 0;

	if (number >= 8 * sizeof(ends))
		return FUZZ_NO_SEED;
	FUZZ_CHECK(room >= 80);
	for (uint8_t id = 0; id < 10; id++, used += 3)
		memcpy(to + used, ((const uint8_t[]){ 0, id, 0 }), 3);
	to[used++] = 14;
	to[used++] = (uint8_t)(number / sizeof(ends) / 2); /* a mode */
	for (uint8_t id = 0; id < 10; id += 2) {
		to[used++] = (uint8_t)(number % 4);
		to[used++] = id;
		to[used++] = id + 11;
	}
	to[used++] = ends[number % sizeof(ends)];
	to[used++] = 1;
	to[used++] = 13;
	to[used++] = number % 2 ? 7 : 0;
	return used;
}
