/*
 * fuzz_ops.c - any sequence of the engine's calls, closing, killing and opening again, compared
 * with a model in memory.
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
	char path[FOLDER_PATH_BYTES + 16];
	uint32_t version;
};

static void open_store(struct play *play)
{
	struct quiver_options options = { .io = fuzz_io(),
		                          .durability = play->mode,
		                          .commit_interval_ms = 3600000 };

	FUZZ_CHECK(quiver_open(play->path, &options, &play->store, NULL) == 0);
}

static void same(struct play *play)
{
	uint64_t id;
	const char *why = world_compare(&play->world, play->store, &id);

	if (why)
		fprintf(stderr, "vector %llu: %s\n", (unsigned long long)id, why);
	FUZZ_CHECK(!why);
}

/* As kill -9: what the kernel has is what there is. */
static void kill_store(struct play *play)
{
	static struct image image;

	image_load(&image, play->path);
	FUZZ_CHECK(quiver_close(play->store) == 0);
	folder_remove(play->path);
	image_write(&image, play->path);
	image_free(&image);
	if (play->mode == QUIVER_NONE)
		play->world = play->kept;
	open_store(play);
	same(play);
}

static void change(struct play *play, uint64_t what, uint32_t id, uint32_t other)
{
	struct world_entry *entry = &play->world.ids[id];
	struct quiver_attr attr = world_attr(++play->version);
	int want = entry->version ? 0 : -ENOENT;

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
	struct quiver_job_status status;

	FUZZ_CHECK(quiver_job_start(play->store, QUIVER_COMPACT) == 0);
	do
		quiver_job_status(play->store, QUIVER_COMPACT, &status);
	while (status.running);
	FUZZ_CHECK(status.result == 0);
	play->kept = play->world;
}

static void step(struct play *play, struct fuzz_input *input)
{
	uint64_t what = fuzz_take(input, 1) % 16;
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
		kill_store(play);
		play->kept = play->world;
	} else if (what == 14 && play->mode != (enum quiver_durability)(id % 4)) {
		play->mode = (enum quiver_durability)(id % 4);
		FUZZ_CHECK(quiver_set_durability(play->store, play->mode) == 0);
		play->kept = play->world;
	} else if (what == 15) {
		same(play);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct image empty;
	static struct play play;
	struct fuzz_input input = { data, size };
	struct quiver_geometry geometry = { .dim = FUZZ_BYTES, .dtype = QUIVER_U1 };
	struct quiver_check_result result;

	memset(&play, 0, sizeof(play));
	snprintf(play.path, sizeof(play.path), "%s/s", fuzz_folder());
	if (empty.count == 0) {
		FUZZ_CHECK(quiver_create(play.path, &geometry, fuzz_io(), NULL) == 0);
		image_load(&empty, play.path);
		folder_remove(play.path);
	}
	image_write(&empty, play.path);
	open_store(&play);
	for (int i = 0; i < OPS_MAX && input.size > 0; i++)
		step(&play, &input);
	same(&play);
	FUZZ_CHECK(quiver_close(play.store) == 0);
	FUZZ_CHECK(quiver_check(play.path, false, NULL, NULL, &result, NULL) == 0);
	FUZZ_CHECK(result.damage == 0 && result.clean);
	folder_remove(play.path);
	return 0;
}
