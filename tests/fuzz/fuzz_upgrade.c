/*
 * fuzz_upgrade.c - a store of format 1, or one whose upgrade was interrupted before its last step,
 * with bytes of its files changed and their sums put right or not. It is looked at, read, and
 * upgraded: refused with a word, or what is served is what was put, or nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/media/meta_row_codec.h"
#include "engine/media/superblock.h"
#include "fuzz.h"

#define PAGE 4096u

enum how { CLOSED, KILLED, INTERRUPTED, HOWS };

#define BASES (FUZZ_USE_COUNT * HOWS)

static struct base {
	struct memdisk_image image; /* empty: not made yet */
	struct world world;
} bases[BASES];

/* What can be changed; the second byte of an input says which file. */
static const char *const files[] = { "superblock", "meta.npy", "ids.npy", "meta.npy.new",
	                             "vectors.npy" };

static uint8_t *copy_of(const struct memdisk_file *file)
{
	uint8_t *bytes = malloc(file->kept + 1);

	FUZZ_CHECK(bytes);
	memcpy(bytes, file->bytes, file->kept);
	return bytes;
}

/* Of an upgrade that ended before the rename: the old rows under their name, the new ones beside
 * them, and the newer copy of the superblock of version 2. */
static void interrupt(struct memdisk_image *image)
{
	struct memdisk_file *meta = &image->files[image->count++];
	struct memdisk_file *superblock = memdisk_find(image, "superblock");
	uint8_t *pages = copy_of(superblock);
	size_t newer = get_le64(pages + PAGE + 32) > get_le64(pages + 32) ? PAGE : 0;

	FUZZ_CHECK(image->count <= MEMDISK_FILES_MAX);
	*meta = *memdisk_find(image, "meta.npy");
	meta->bytes = copy_of(meta);
	strcpy(meta->name, "meta.npy.new");
	fuzz_downgrade(image);
	memcpy(superblock->bytes + newer, pages + newer, PAGE);
	free(pages);
}

static void make(struct base *base, unsigned number)
{
	enum how how = number % HOWS;

	fuzz_store((enum fuzz_use)(number / HOWS), how == KILLED, &base->image, &base->world);
	if (how == INTERRUPTED)
		interrupt(&base->image);
	else
		fuzz_downgrade(&base->image);
}

static void fix_superblock(uint8_t *pages)
{
	for (unsigned copy = 0; copy < 2; copy++)
		put_le64(pages + (copy + 1) * PAGE - 8,
		         XXH3_64bits(pages + (size_t)copy * PAGE, PAGE - 8));
}

/* The crc of the row that a byte at `at` lies in. */
static void fix_row(struct memdisk_image *image, struct memdisk_file *meta, uint64_t at)
{
	const struct memdisk_file *ids = memdisk_find(image, "ids.npy");
	bool version_1 = strcmp(meta->name, "meta.npy") == 0;
	uint64_t row_bytes = version_1 ? META_ROW_1_BYTES : META_ROW_BYTES;
	uint64_t slot = (at - PAGE) / row_bytes;
	uint8_t *row = meta->bytes + PAGE + slot * row_bytes;
	uint8_t covered[META_ROW_1_BYTES + 12];
	uint64_t id;

	if (at < PAGE || PAGE + (slot + 1) * row_bytes > meta->kept ||
	    PAGE + (slot + 1) * 8 > ids->kept)
		return;
	id = get_le64(ids->bytes + PAGE + slot * 8);
	memcpy(covered, row, META_ROW_1_BYTES - 4);
	put_le64(covered + META_ROW_1_BYTES - 4, id);
	put_le64(covered + META_ROW_1_BYTES + 4, slot);
	if (version_1)
		put_le32(row + META_ROW_1_BYTES - 4,
		         (uint32_t)XXH3_64bits(covered, sizeof(covered)));
	else
		put_le32(row + META_AT_CRC, meta_crc(row, id, slot));
}

/* Changes the files that it names, of which `image` has copies of its own. Whether sums were put
 * right: then what is served may be another thing than what was put. */
static bool change(struct fuzz_input *input, struct memdisk_image *image)
{
	bool fixed = false;

	while (input->size > 0) {
		uint64_t which = fuzz_take(input, 1);
		struct memdisk_file *file =
			memdisk_find(image, files[which % (sizeof(files) / sizeof(files[0]))]);
		uint64_t at = fuzz_take(input, 2);
		uint8_t with = (uint8_t)fuzz_take(input, 1);

		if (!file || file->kept == 0)
			continue;
		at %= file->kept;
		file->bytes[at] = (uint8_t)(file->bytes[at] ^ with);
		if (which < 128)
			continue;
		fixed = true;
		if (strcmp(file->name, "superblock") == 0 && file->kept == 2 * PAGE)
			fix_superblock(file->bytes);
		else if (strncmp(file->name, "meta.npy", 8) == 0)
			fix_row(image, file, at);
	}
	return fixed;
}

/* The disk of `base`, changed. */
static bool lay(const struct base *base, struct fuzz_input *input)
{
	static struct memdisk_image image;
	bool fixed;

	image = base->image;
	for (size_t i = 0; i < image.count; i++)
		image.files[i].bytes = copy_of(&image.files[i]);
	fixed = change(input, &image);
	memdisk_load(&image);
	memdisk_free(&image);
	return fixed;
}

static void compare(const struct world *world, struct quiver *store)
{
	for (uint32_t id = 0; id < WORLD_IDS; id++) {
		const char *why = world_compare_id(world, store, id, true);

		/* A bit of its ID hides a vector; the row is damaged then, and says so. */
		FUZZ_CHECK(!why || strcmp(why, "gone") == 0);
	}
}

/* False where it is refused. */
static bool look(const struct world *world, bool read_only)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = read_only };
	struct quiver_error error = { "" };
	struct quiver *store;
	int r = quiver_open(MEMDISK_STORE, &options, &store, &error);

	FUZZ_CHECK(r <= 0 && (r == 0 || error.text[0]));
	if (r)
		return false;
	(void)fuzz_read_all(store);
	if (world)
		compare(world, store);
	r = quiver_close(store);
	/* Its snapshot cannot be written from what is damaged. */
	FUZZ_CHECK(r == 0 || r == -EROFS || r == -EIO || r == -EUCLEAN || r == -EBADMSG);
	return true;
}

/* It is of version 2, and the new file has the name of the old one. */
static void is_upgraded(void)
{
	static struct memdisk_image image;
	const struct memdisk_file *superblock;
	struct superblock sb;

	memdisk_save(&image);
	superblock = memdisk_find(&image, "superblock");
	for (unsigned copy = 0; copy < 2; copy++)
		FUZZ_CHECK(superblock_decode(superblock->bytes + copy * PAGE, copy, &sb) == 0 &&
		           sb.version == QUIVER_FORMAT_VERSION);
	FUZZ_CHECK(!memdisk_find(&image, "meta.npy.new"));
	memdisk_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	unsigned number = (unsigned)(fuzz_take(&input, 1) % BASES);
	struct base *base = &bases[number];
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	const struct world *world;
	int r;

	if (base->image.count == 0)
		make(base, number);
	memdisk_use_maps(size % 2); /* half of the inputs */
	world = lay(base, &input) ? NULL : &base->world;
	r = quiver_check(MEMDISK_STORE, false, NULL, NULL, &result, &error);
	FUZZ_CHECK(r == 0 || error.text[0]);
	/* What a killed store's superblock counts may have been taken back with its newer copy. */
	if (number % HOWS == KILLED)
		world = NULL;
	(void)look(world, true);
	if (look(world, false)) {
		is_upgraded();
		(void)look(world, true);
	}
	FUZZ_CHECK(memdisk_opens() == 0);
	return 0;
}

/* Each store as it is, and with a byte changed in each field of its superblock, in a row, in an ID,
 * in a vector and in headers, sums put right and not. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	static const struct {
		uint8_t file;
		uint16_t at;
	} places[] = {
		{ 0, 8 },         { 0, 12 },        { 0, 16 },         { 0, 32 },
		{ 0, 40 },        { 0, 44 },        { 0, 48 },         { 0, 56 },
		{ 0, 64 },        { 0, 72 },        { 0, 80 },         { 0, 88 },
		{ 0, 96 },        { 0, 106 },       { 0, 112 },        { 0, 128 },
		{ 0, 136 },       { 0, 160 },       { 0, 510 },        { 0, 512 },
		{ 0, PAGE + 8 },  { 0, PAGE + 40 }, { 0, PAGE + 128 }, { 1, 0 },
		{ 1, 100 },       { 1, PAGE },      { 1, PAGE + 16 },  { 1, PAGE + 34 },
		{ 1, PAGE + 36 }, { 1, PAGE + 80 }, { 2, 100 },        { 2, PAGE },
		{ 2, PAGE + 8 },  { 3, 100 },       { 3, PAGE },       { 3, PAGE + 24 },
		{ 3, PAGE + 32 }, { 3, PAGE + 50 }, { 4, PAGE + 7 },
	};
	const unsigned count = sizeof(places) / sizeof(places[0]);

	if (number >= BASES + 2 * count)
		return FUZZ_NO_SEED;
	FUZZ_CHECK(room >= 5);
	to[0] = (uint8_t)(number % BASES);
	if (number < BASES)
		return 1;
	number -= BASES;
	to[1] = (uint8_t)(places[number / 2].file + (number % 2 ? 5 * 26 : 0));
	to[2] = (uint8_t)places[number / 2].at;
	to[3] = (uint8_t)(places[number / 2].at >> 8);
	to[4] = 1;
	return 5;
}
