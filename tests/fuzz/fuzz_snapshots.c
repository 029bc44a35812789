/*
 * fuzz_snapshots.c - a store with two snapshots, closed or killed, with bytes of their files, of the rows
 * that only they have, and of the superblock changed and their sums put right or not. It is checked, read,
 * written to, its snapshots are read and removed, and it is repaired: whatever comes, nothing ends the
 * process, and where no sum was put right what is served is what was put, or nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/media/meta_row_codec.h"
#include "engine/media/superblock.h"
#include "engine/media/version_record.h"
#include "fuzz.h"

#define PAGE 4096u
#define BASES 2u /* closed, killed */
#define SNAPSHOTS 2u

static const char *const names[SNAPSHOTS] = { "a", "b" };

static struct base {
	struct memdisk_image image; /* empty: not made yet */
	struct world live, had[SNAPSHOTS];
} bases[BASES];

/* What can be changed; a byte of an input says which file. */
static const char *const files[] = { "versions", "snapshots/a", "snapshots/b", "superblock" };

static void put(struct quiver *store, struct world *world, uint32_t id, uint32_t version)
{
	FUZZ_CHECK(fuzz_put(store, id, version) == 0);
	world->ids[id] = (struct world_entry){ .version = version, .origin = id, .attr = version };
}

static void set_attr(struct quiver *store, struct world *world, uint32_t id, uint32_t version)
{
	struct quiver_attr attr = world_attr(version);

	FUZZ_CHECK(quiver_set_attr(store, id, &attr, QUIVER_ATTR_ALL, 0) == 0);
	world->ids[id].attr = version;
}

static void make(struct base *base, unsigned number)
{
	struct quiver *store = fuzz_begin(&base->live);

	FUZZ_CHECK(quiver_snapshot_create(store, names[0], NULL) == 0);
	base->had[0] = base->live;
	put(store, &base->live, 1, 2);
	set_attr(store, &base->live, 2, 3);
	FUZZ_CHECK(quiver_remove(store, 3, 0, NULL) == 0);
	base->live.ids[3] = (struct world_entry){ 0 };
	FUZZ_CHECK(quiver_snapshot_create(store, names[1], NULL) == 0);
	base->had[1] = base->live;
	put(store, &base->live, 1, 4);
	put(store, &base->live, 4, 5);
	FUZZ_CHECK(quiver_checkpoint(store) == 0);
	put(store, &base->live, 5, 6);
	set_attr(store, &base->live, 6, 7);
	FUZZ_CHECK(quiver_flush(store) == 0);
	if (number == 1)
		memdisk_save(&base->image);
	FUZZ_CHECK(quiver_close(store) == 0);
	if (number == 0)
		memdisk_save(&base->image);
}

/* ---- changes ---- */

static void fix_pages(struct memdisk_file *file)
{
	for (size_t at = 0; at + PAGE <= file->kept; at += PAGE)
		put_le64(file->bytes + at + PAGE - 8, XXH3_64bits(file->bytes + at, PAGE - 8));
}

/* The header, or the record that a byte at `at` lies in. */
static void fix_versions(struct memdisk_file *file, uint64_t at)
{
	uint8_t covered[VERSION_RECORD_BYTES + 8];
	uint64_t offset;
	uint8_t *record;

	if (at < PAGE) {
		put_le64(file->bytes + PAGE - 8, XXH3_64bits(file->bytes, PAGE - 8));
		return;
	}
	offset = PAGE + (at - PAGE) / VERSION_RECORD_BYTES * VERSION_RECORD_BYTES;
	if (offset + VERSION_RECORD_BYTES > file->kept)
		return;
	record = file->bytes + offset;
	put_le32(record + 24 + META_AT_CRC,
	         meta_crc(record + 24, get_le64(record + 8), get_le64(record)));
	memcpy(covered, record, VERSION_RECORD_BYTES - 8);
	put_le64(covered + VERSION_RECORD_BYTES - 8, get_le64(file->bytes + 32));
	put_le64(covered + VERSION_RECORD_BYTES, offset);
	put_le64(record + VERSION_RECORD_BYTES - 8, XXH3_64bits(covered, sizeof(covered)));
}

static bool superblock_changed;

/* Whether sums were put right: then what is served may be another thing than what was put. */
static bool change(struct fuzz_input *input, struct memdisk_image *image)
{
	bool fixed = false;

	superblock_changed = false;
	while (input->size > 0) {
		uint64_t which = fuzz_take(input, 1);
		struct memdisk_file *file =
			memdisk_find(image, files[which % (sizeof(files) / sizeof(files[0]))]);
		uint64_t at = fuzz_take(input, 2);
		uint8_t with = (uint8_t)fuzz_take(input, 1);

		if (!file || file->kept == 0)
			continue;
		superblock_changed |= strcmp(file->name, "superblock") == 0;
		at %= file->kept;
		file->bytes[at] = (uint8_t)(file->bytes[at] ^ with);
		if (which < 128)
			continue;
		fixed = true;
		if (strcmp(file->name, "versions") == 0 && file->kept >= PAGE)
			fix_versions(file, at);
		else
			fix_pages(file);
	}
	return fixed;
}

static bool lay(const struct base *base, struct fuzz_input *input)
{
	static struct memdisk_image image;
	bool fixed;

	image = base->image;
	for (size_t i = 0; i < image.count; i++) {
		uint8_t *copy = malloc(image.files[i].kept + 1);

		FUZZ_CHECK(copy);
		memcpy(copy, image.files[i].bytes, image.files[i].kept);
		image.files[i].bytes = copy;
	}
	fixed = change(input, &image);
	memdisk_load(&image);
	memdisk_free(&image);
	return fixed;
}

/* ---- looking ---- */

/* `world` NULL: anything may be there. */
static void compare(const struct world *world, struct quiver *store)
{
	(void)fuzz_read_all(store);
	for (uint32_t id = 0; world && id < WORLD_IDS; id++)
		FUZZ_CHECK(!world_compare_id(world, store, id, true));
}

static void read_snapshots(const struct base *base, struct quiver *store, bool fixed)
{
	static uint8_t bytes[FUZZ_BYTES];

	for (unsigned i = 0; i < SNAPSHOTS; i++) {
		struct quiver *snapshot;

		if (quiver_snapshot_open(store, names[i], &snapshot) != 0)
			continue;
		for (uint32_t id = 0; id < WORLD_IDS; id++) {
			int r = quiver_get_copy(snapshot, id, bytes, NULL, NULL);

			FUZZ_CHECK(r == 0 || r == -ENOENT || r == -EIO);
			FUZZ_CHECK(fixed || !world_compare_id(&base->had[i], snapshot, id, true));
		}
		FUZZ_CHECK(quiver_close(snapshot) == 0);
	}
}

/* False where it is refused. */
static bool look(const struct base *base, bool fixed, bool writes)
{
	struct quiver_options options = { .size = sizeof(options), .read_only = !writes };
	struct quiver_error error = { "" };
	struct quiver *store;
	int r = quiver_open(MEMDISK_STORE, &options, &store, &error);

	FUZZ_CHECK(r <= 0 && (r == 0 || error.text[0]));
	if (r)
		return false;
	compare(fixed ? NULL : &base->live, store);
	read_snapshots(base, store, fixed);
	if (writes) {
		/* What it may answer depends on what was changed; it answers. */
		for (uint32_t id = 1; id <= FUZZ_IDS; id++)
			(void)fuzz_put(store, id, 50 + id);
		(void)quiver_snapshot_create(store, "c", NULL);
		(void)quiver_snapshot_remove(store, names[0]);
		(void)quiver_checkpoint(store);
		(void)quiver_snapshot_remove(store, names[1]);
		(void)fuzz_read_all(store);
	}
	r = quiver_close(store);
	FUZZ_CHECK(r == 0 || fixed);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	unsigned number = (unsigned)(fuzz_take(&input, 1) % BASES);
	struct base *base = &bases[number];
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	bool fixed;
	int r;

	if (base->image.count == 0)
		make(base, number);
	memdisk_use_maps(size % 2); /* half of the inputs */
	fixed = lay(base, &input);
	/* What the newer copy of a killed store's superblock counts may be taken back with it, and what
	 * is damaged behind that passes for torn. */
	if (number == 1 && superblock_changed)
		fixed = true;
	r = quiver_check(MEMDISK_STORE, false, NULL, NULL, &result, &error);
	FUZZ_CHECK(r == 0 || error.text[0]);
	if (size % 3 == 0) {
		r = quiver_check(MEMDISK_STORE, true, NULL, NULL, &result, &error);
		FUZZ_CHECK(r == 0 || error.text[0]);
		if (r == 0 && !fixed)
			FUZZ_CHECK(quiver_check(MEMDISK_STORE, false, NULL, NULL, &result,
			                        &error) == 0 &&
			           result.damage == 0);
	} else {
		(void)look(base, fixed, size % 3 == 1);
	}
	FUZZ_CHECK(memdisk_opens() == 0);
	return 0;
}

/* Each store as it is, and with a byte changed in each field, sums put right and not; what is behind
 * says what is done then. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	static const struct {
		uint8_t file;
		uint16_t at;
	} places[] = {
		{ 0, 8 },         { 0, 16 },        { 0, 32 },        { 0, 40 },
		{ 0, PAGE },      { 0, PAGE + 8 },  { 0, PAGE + 16 }, { 0, PAGE + 24 },
		{ 0, PAGE + 32 }, { 0, PAGE + 56 }, { 0, PAGE + 80 }, { 0, PAGE + 96 },
		{ 1, 8 },         { 1, 12 },        { 1, 16 },        { 1, 48 },
		{ 1, 56 },        { 1, 64 },        { 1, 104 },       { 1, 106 },
		{ 1, 510 },       { 1, PAGE + 48 }, { 2, 48 },        { 2, 56 },
		{ 3, 48 },        { 3, 56 },        { 3, 64 },        { 3, 136 },
		{ 3, 160 },       { 3, 168 },       { 3, 176 },
	};
	const unsigned count = sizeof(places) / sizeof(places[0]);

	if (number >= BASES * (1 + 4 * count))
		return FUZZ_NO_SEED;
	FUZZ_CHECK(room >= 6);
	to[0] = (uint8_t)(number % BASES);
	number /= BASES;
	if (number == 0)
		return 1;
	number--;
	to[1] = (uint8_t)(places[number / 4].file + (number % 2 ? 128 : 0));
	to[2] = (uint8_t)places[number / 4].at;
	to[3] = (uint8_t)(places[number / 4].at >> 8);
	to[4] = 1;
	to[5] = 0;
	return number / 2 % 2 ? 5 : 6;
}
