/*
 * fuzz_nearest.c - the files of an index of nearest neighbours: bytes of them changed, or their ends cut
 * off, checksums put right or not. Whatever they say, the store opens, and an answer is a vector that is
 * there, at the distance that it has; one that compares all is complete.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "../crash/nearest.h"
#include "engine/media/bytes.h"
#include "engine/media/nearest_page.h"
#include "fuzz.h"

#define VECTORS 70u
#define IDS (VECTORS + 8) /* some come later */
#define FILES 2
#define WHY_BYTES 256

static const struct {
	uint32_t dim;
	enum quiver_dtype dtype;
	enum quiver_metric metric;
} kinds[] = {
	{ 16, QUIVER_U1, QUIVER_L2 },
	{ 12, QUIVER_F4, QUIVER_COSINE },
	{ 10, QUIVER_F2, QUIVER_IP },
	{ 64, QUIVER_B1, QUIVER_HAMMING },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Of each kind a closed store with an index. */
static struct base {
	struct memdisk_image image;
	struct memdisk_file *files[FILES]; /* by enum nearest_array */
} bases[KINDS];

static uint64_t ids[IDS];

/* ---- the store ---- */

static void put(struct quiver *store, uint64_t id, uint64_t version)
{
	struct quiver_attr attr = { .mode = 0600 };
	uint8_t bytes[64] = { 0 };
	const struct quiver_geometry *geometry = quiver_geometry(store);

	world_bytes((uint32_t)id, (uint32_t)version, geometry->vector_bytes, bytes);
	/* Of floats any bits but those of no number and of infinity. */
	for (uint32_t i = 1; geometry->dtype == QUIVER_F2 && i < geometry->vector_bytes; i += 2)
		bytes[i] &= 0xbf;
	for (uint32_t i = 3; geometry->dtype == QUIVER_F4 && i < geometry->vector_bytes; i += 4)
		bytes[i] &= 0xbf;
	FUZZ_CHECK(quiver_put(store, id, bytes, &attr, QUIVER_ATTR_ALL, 0, NULL) == 0);
}

static void make_base(struct base *base, size_t kind)
{
	static const char *const names[FILES] = { "nearest/centroids.npy", "nearest/cells.npy" };
	struct quiver_nearest_status status = { .size = sizeof(status) };
	struct quiver *store;

	fuzz_create(kinds[kind].dim, kinds[kind].dtype);
	store = fuzz_open(QUIVER_FSYNC);
	FUZZ_CHECK(quiver_set_metric(store, kinds[kind].metric) == 0);
	for (uint64_t id = 0; id < IDS; id++)
		ids[id] = id;
	for (uint64_t id = 0; id < VECTORS; id++)
		put(store, id, 1);
	FUZZ_CHECK(quiver_nearest_index_start(store) == 0);
	manual_background_keep_lists(store);
	quiver_nearest_status(store, &status);
	FUZZ_CHECK(status.state == QUIVER_NEAREST_READY);
	FUZZ_CHECK(quiver_close(store) == 0);
	memdisk_save(&base->image);
	for (int i = 0; i < FILES; i++) {
		base->files[i] = memdisk_find(&base->image, names[i]);
		FUZZ_CHECK(base->files[i] && base->files[i]->kept == base->files[i]->size);
	}
}

/* ---- changes ---- */

/* As they lay before it was changed. */
static void fix_sums(uint8_t *bytes, const struct nearest_layout *layout)
{
	uint8_t *page = bytes + layout->page_at;

	for (uint64_t i = 0; i < layout->pages; i++)
		put_le64(bytes + layout->sums_at + i * 8,
		         nearest_page_sum(bytes + layout->data_at + i * NEAREST_PAGE_BYTES, i));
	put_le64(page + 64, XXH3_64bits(bytes + layout->sums_at, layout->pages * 8));
	put_le64(page + NEAREST_PAGE_BYTES - 8, XXH3_64bits(page, NEAREST_PAGE_BYTES - 8));
}

/* The lower bits of `how`: sums are put right, it is cut, it is longer. */
static void change(struct fuzz_input *input, struct memdisk_file *file, enum nearest_array array)
{
	uint64_t how = fuzz_take(input, 1), size = file->size;
	uint64_t changes = fuzz_take(input, 1);
	struct nearest_page page;
	struct nearest_layout layout;

	FUZZ_CHECK(nearest_page_decode(file->bytes + size - NEAREST_PAGE_BYTES, array, &page) == 0);
	nearest_lay_out(&layout, &page);
	FUZZ_CHECK(layout.file_bytes == size);
	for (uint64_t i = 0; i < changes && input->size > 0; i++) {
		uint64_t at = fuzz_take(input, 2);

		/* Half of them in the last page, where the numbers are. */
		at = at % 2 ? layout.page_at + at / 2 % NEAREST_PAGE_BYTES : at / 2 % size;
		file->bytes[at] = (uint8_t)(file->bytes[at] ^ fuzz_take(input, 1));
	}
	if (how & 1)
		fix_sums(file->bytes, &layout);
	if ((how & 6) == 6)
		file->size = file->kept = fuzz_take(input, 2) % size;
	if ((how & 8) != 0)
		file->size += fuzz_take(input, 2);
}

/* The disk of `base`, with its files changed. */
static void lay(struct base *base, struct fuzz_input *input)
{
	struct memdisk_file kept[FILES];

	if (base->image.count == 0)
		make_base(base, (size_t)(base - bases));
	for (int i = 0; i < FILES; i++) {
		struct memdisk_file *file = base->files[i];

		kept[i] = *file;
		file->bytes = malloc(file->size);
		FUZZ_CHECK(file->bytes);
		memcpy(file->bytes, kept[i].bytes, file->size);
		change(input, file, (enum nearest_array)i);
	}
	memdisk_load(&base->image);
	for (int i = 0; i < FILES; i++) {
		free(base->files[i]->bytes);
		*base->files[i] = kept[i];
	}
}

/* ---- use ---- */

static void look(struct quiver *store, uint64_t *seed)
{
	char why[WHY_BYTES] = "";

	if (nearest_look(store, ids, IDS, ++*seed, why, sizeof(why)) != 0)
		fprintf(stderr, "%s\n", why);
	FUZZ_CHECK(why[0] == '\0');
}

static void use(struct quiver *store, uint64_t *seed)
{
	look(store, seed);
	manual_background_keep_lists(store);
	look(store, seed);
	for (uint64_t i = 0; i < 8; i++) {
		put(store, VECTORS + i, 1);
		put(store, i, 2);
		FUZZ_CHECK(quiver_remove(store, 20 + i, 0, NULL) == 0);
	}
	look(store, seed);
	FUZZ_CHECK(manual_background_compact(store) == 0);
	manual_background_keep_lists(store);
	look(store, seed);
	FUZZ_CHECK(quiver_count(store) == VECTORS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	uint64_t first = fuzz_take(&input, 1);
	uint64_t seed = first << 16 ^ size;
	struct quiver *store;

	lay(&bases[first % KINDS], &input);
	store = fuzz_open(QUIVER_FSYNC);
	use(store, &seed);
	FUZZ_CHECK(quiver_close(store) == 0);
	store = fuzz_open(QUIVER_FSYNC);
	manual_background_keep_lists(store);
	look(store, &seed);
	FUZZ_CHECK(quiver_close(store) == 0);
	FUZZ_CHECK(memdisk_opens() == 0);
	return 0;
}

/* Each index as it is, with a bit of each field of each last page changed, one of each array, and cut or
 * longer. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	static const uint8_t fields[] = { 0,  8,  12, 16, 32, 40, 48, 56, 64,
		                          72, 76, 80, 84, 88, 92, 96, 144 };
	const unsigned ways = 3 + sizeof(fields);
	unsigned way = number % ways, file = number / ways % FILES;
	uint8_t *at = to + 1 + (file == 0 ? 0 : 2);

	if (number / ways >= FILES * KINDS)
		return FUZZ_NO_SEED;
	FUZZ_CHECK(room >= 10);
	memset(to, 0, 10);
	to[0] = (uint8_t)(number / ways / FILES);
	at[0] = way == 0 ? 6 : way == 1 ? 8 : 1;
	at[1] = 1;
	if (way == 2)
		at[3] = 0x22; /* in the array */
	else if (way > 2)
		at[2] = (uint8_t)(fields[way - 3] * 2 + 1), at[3] = fields[way - 3] >> 7;
	at[4] = 1;
	return 10;
}
