/*
 * fuzz_regions.c - the file `regions` of a store that was killed, after commits of which the log says
 * nothing and after logged ones. While it notes all that it did, or is of an earlier time, the
 * recovery is exact. A file that lies about that, with its sums put right, hides no vector and shows
 * none that was not there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/media/bytes.h"
#include "engine/media/region_notes.h"
#include "engine/media/superblock.h"
#include "fuzz.h"

/* IDs beside those of fuzz_begin: more slots than a region has, and than a segment of slots has. */
#define FIRST_MORE 40u
#define SECTORS (REGIONS_AREAS * REGIONS_AREA_SECTORS)

struct notes {
	bool of_now; /* of the generation that the superblock names, or later */
	uint8_t bits[REGIONS_MAX / 8];
};

/* Of each use a store that was killed in mode none, and one in mode fsync. */
static struct base {
	struct memdisk_image image;
	struct world world;
	struct memdisk_file *file;
	uint8_t older[REGIONS_FILE_BYTES]; /* what it was at an earlier checkpoint */
	uint8_t uuid[16];
	uint64_t generation; /* of the index that is kept */
	struct notes notes;
} bases[2 * FUZZ_USE_COUNT];

/* ---- the store ---- */

static void put_more(struct quiver *store, struct world *world, uint32_t step, uint32_t version)
{
	for (uint32_t id = FIRST_MORE; id < WORLD_IDS; id += step) {
		FUZZ_CHECK(fuzz_put(store, id, version) == 0);
		if (world)
			world->ids[id] = (struct world_entry){ version, id, version };
	}
}

/* A third of them goes, and their slots are free. */
static void make_holes(struct quiver *store, struct world *world)
{
	put_more(store, world, 1, 1);
	FUZZ_CHECK(quiver_checkpoint(store) == 0);
	for (uint32_t id = FIRST_MORE; id < WORLD_IDS; id += 3) {
		FUZZ_CHECK(quiver_remove(store, id, 0, NULL) == 0);
		world->ids[id] = (struct world_entry){ 0 };
	}
	FUZZ_CHECK(quiver_checkpoint(store) == 0);
	FUZZ_CHECK(quiver_checkpoint(store) == 0);
}

static void copy_file(struct memdisk_image *image, uint8_t to[REGIONS_FILE_BYTES])
{
	const struct memdisk_file *file = memdisk_find(image, "regions");

	FUZZ_CHECK(file && file->size == REGIONS_FILE_BYTES);
	memset(to, 0, REGIONS_FILE_BYTES);
	memcpy(to, file->bytes, file->kept);
}

static void read_superblock(struct base *base)
{
	const struct memdisk_file *file = memdisk_find(&base->image, "superblock");
	struct superblock copies[2];
	int results[2];
	int chosen;

	FUZZ_CHECK(file && file->kept == SUPERBLOCK_FILE_BYTES);
	for (unsigned i = 0; i < 2; i++)
		results[i] =
			superblock_decode(file->bytes + i * SUPERBLOCK_COPY_BYTES, i, &copies[i]);
	chosen = superblock_choose(copies, results, NULL);
	FUZZ_CHECK(chosen >= 0 && copies[chosen].index_generation > 0);
	base->generation = copies[chosen].index_generation;
	memcpy(base->uuid, copies[chosen].geometry.uuid, sizeof(base->uuid));
}

/* What the file notes, as FORMAT.md has it. */
static void read_notes(const struct base *base, const uint8_t *bytes, struct notes *notes)
{
	memset(notes, 0, sizeof(*notes));
	for (uint64_t i = 0; i < SECTORS; i++) {
		uint64_t at = i % REGIONS_AREA_SECTORS;
		uint8_t *all = notes->bits + at * REGIONS_BITS_BYTES;
		uint8_t bits[REGIONS_BITS_BYTES];
		uint64_t generation;
		bool is_whole = region_sector_decode(bytes + i * REGIONS_SECTOR_BYTES, base->uuid,
		                                     i, &generation, bits) == 0;
		bool counts = is_whole && generation >= base->generation;

		if (at < REGIONS_SECTORS || i == REGIONS_LIFE_SECTOR)
			notes->of_now |= counts;
		for (unsigned k = 0; at < REGIONS_SECTORS && k < REGIONS_BITS_BYTES; k++)
			all[k] |= !is_whole ? 0xff : counts ? bits[k] : 0;
	}
}

static void make(struct base *base)
{
	unsigned number = (unsigned)(base - bases);
	struct memdisk_image before;
	struct quiver *store = fuzz_begin(&base->world);
	bool logged = number >= FUZZ_USE_COUNT;
	uint8_t bytes[REGIONS_FILE_BYTES];

	make_holes(store, &base->world);
	memdisk_save(&before);
	copy_file(&before, base->older);
	memdisk_free(&before);
	fuzz_use(store, (enum fuzz_use)(number % FUZZ_USE_COUNT), &base->world);
	FUZZ_CHECK(quiver_set_durability(store, logged ? QUIVER_FSYNC : QUIVER_NONE) == 0);
	FUZZ_CHECK(quiver_checkpoint(store) == 0);
	put_more(store, logged ? &base->world : NULL, 3, 5);
	put_more(store, logged ? &base->world : NULL, 7, 6);
	memdisk_save(&base->image);
	FUZZ_CHECK(quiver_close(store) == 0);
	base->file = memdisk_find(&base->image, "regions");
	read_superblock(base);
	copy_file(&base->image, bytes);
	read_notes(base, bytes, &base->notes);
	FUZZ_CHECK(base->notes.of_now);
}

/* ---- its file, changed ---- */

/* Most of the sectors are never written. */
static uint64_t take_sector(struct fuzz_input *input)
{
	static const uint8_t used[] = { 0, REGIONS_AREA_SECTORS, REGIONS_LIFE_SECTOR };
	uint64_t number = fuzz_take(input, 1);

	return number < SECTORS ? number : used[number % sizeof(used)];
}

static void seal(const struct base *base, uint8_t *bytes, uint64_t sector)
{
	uint8_t *at = bytes + sector * REGIONS_SECTOR_BYTES;
	uint8_t bits[REGIONS_BITS_BYTES];

	memcpy(bits, at + 8, sizeof(bits));
	region_sector_encode(at, get_le64(at), bits, base->uuid, sector);
}

enum change { FLIP, GENERATION, NOTE, OLDER_SECTOR, OLDER_FILE, CUT, CHANGE_COUNT };
#define SEALED 0x80u

/* One change; the size of the file then. */
static uint64_t change(const struct base *base, struct fuzz_input *input, uint8_t *bytes,
                       uint64_t size)
{
	unsigned what = (unsigned)fuzz_take(input, 1);
	uint64_t sector = take_sector(input);
	uint8_t *at = bytes + sector * REGIONS_SECTOR_BYTES;
	uint64_t where = fuzz_take(input, 2);

	switch ((enum change)(what % SEALED % CHANGE_COUNT)) {
	case FLIP:
		at[where % REGIONS_SECTOR_BYTES] ^= (uint8_t)fuzz_take(input, 1);
		break;
	case GENERATION:
		put_le64(at, base->generation + where - 4);
		break;
	case NOTE:
		at[8 + where / 8 % REGIONS_BITS_BYTES] ^= (uint8_t)(1u << (where % 8));
		break;
	case OLDER_SECTOR:
		memcpy(at, base->older + (at - bytes), REGIONS_SECTOR_BYTES);
		return size;
	case OLDER_FILE:
		memcpy(bytes, base->older, REGIONS_FILE_BYTES);
		return size;
	case CUT:
		return where * 4 < size ? where * 4 : size;
	case CHANGE_COUNT:
		break;
	}
	if (what & SEALED)
		seal(base, bytes, sector);
	return size;
}

/* Whether what a recovery comes to is known. */
static bool is_exact(const struct base *base, const uint8_t *bytes, uint64_t size)
{
	struct notes notes;

	if (size < REGIONS_FILE_BYTES)
		return true;
	read_notes(base, bytes, &notes);
	for (size_t i = 0; notes.of_now && i < sizeof(notes.bits); i++)
		if (base->notes.bits[i] & ~notes.bits[i])
			return false;
	return true;
}

static bool lay(struct base *base, struct fuzz_input *input)
{
	uint8_t bytes[REGIONS_FILE_BYTES];
	struct memdisk_file kept = *base->file;
	uint64_t size = REGIONS_FILE_BYTES;

	copy_file(&base->image, bytes);
	while (input->size > 0)
		size = change(base, input, bytes, size);
	base->file->bytes = bytes;
	base->file->size = base->file->kept = size;
	memdisk_load(&base->image);
	*base->file = kept;
	return is_exact(base, bytes, size);
}

/* ---- what must come of it ---- */

static void is_sound(void)
{
	struct quiver_check_result result;

	FUZZ_CHECK(quiver_check(MEMDISK_STORE, false, NULL, NULL, &result, NULL) == 0);
	FUZZ_CHECK(result.damage == 0 && result.clean);
}

/* Free slots are used, those that the notes told of among them. */
static void use(struct quiver *store)
{
	put_more(store, NULL, 2, 8);
	for (uint32_t id = FIRST_MORE; id < WORLD_IDS; id += 5) {
		int r = quiver_remove(store, id, 0, NULL);

		FUZZ_CHECK(r == 0 || r == -ENOENT);
	}
	FUZZ_CHECK(quiver_checkpoint(store) == 0);
	FUZZ_CHECK(fuzz_read_all(store));
}

/* Open it; what is served is the state that the log and the checkpoint tell of. */
static struct quiver *open_right(const struct world *world)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options) };
	struct quiver_error error = { "" };
	struct quiver *store;
	uint64_t id;

	FUZZ_CHECK(quiver_open(MEMDISK_STORE, &options, &store, &error) == 0);
	FUZZ_CHECK(world_compare(world, store, &id) == NULL);
	return store;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct base *base = &bases[fuzz_take(&input, 1) % (2 * FUZZ_USE_COUNT)];
	struct quiver *store;
	bool exact;

	if (!base->file)
		make(base);
	exact = lay(base, &input);
	FUZZ_CHECK(quiver_close(open_right(&base->world)) == 0);
	if (exact)
		is_sound(); /* before anybody uses the free slots */
	store = open_right(&base->world);
	use(store);
	FUZZ_CHECK(quiver_close(store) == 0);
	if (exact)
		is_sound();
	FUZZ_CHECK(memdisk_opens() == 0);
	return 0;
}

/* Each store as it was left, and with its file changed in each way, of each sector that is used. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	static const uint8_t sectors[] = { 0, REGIONS_AREA_SECTORS, REGIONS_LIFE_SECTOR };
	const unsigned ways = 2 * CHANGE_COUNT * sizeof(sectors);
	unsigned way = number % (1 + ways);

	if (number / (1 + ways) >= 2 * FUZZ_USE_COUNT)
		return FUZZ_NO_SEED;
	FUZZ_CHECK(room >= 6);
	to[0] = (uint8_t)(number / (1 + ways));
	if (way == 0)
		return 1;
	way--;
	to[1] = (uint8_t)((way / sizeof(sectors) % CHANGE_COUNT) |
	                  (way / sizeof(sectors) >= CHANGE_COUNT ? SEALED : 0));
	to[2] = sectors[way % sizeof(sectors)];
	to[3] = (uint8_t)(way % 4);
	to[4] = 0;
	to[5] = 1;
	return to[1] % SEALED == FLIP ? 6 : 5;
}
