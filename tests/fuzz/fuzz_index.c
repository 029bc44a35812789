/*
 * fuzz_index.c - the index snapshot of a closed store: bytes of it changed, all of its checksums
 * put right. Whatever it says, no vector is read that is not the one asked for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/media/index_page.h"
#include "fuzz.h"

#define PAGE 4096u

/* Of each use a closed store, in both versions of the format; the first byte of an input says
 * which. */
static struct base {
	struct memdisk_image image;
	struct world world;
	struct memdisk_file *file;
} bases[2 * FUZZ_USE_COUNT];

/* As FORMAT.md has it: the head of a page, then what it holds. */
static void fix_page(uint8_t *page, uint64_t number, uint64_t salt)
{
	uint8_t head[32];
	uint8_t tail[PAGE - 64 + 8];

	memcpy(head, page, 16);
	put_le64(head + 16, number);
	put_le64(head + 24, salt);
	put_le64(page + 16, XXH3_64bits(head, sizeof(head)));
	memcpy(tail, page + 64, PAGE - 64);
	memcpy(tail + PAGE - 64, page + 16, 8);
	put_le64(page + 24, XXH3_64bits(tail, sizeof(tail)));
}

static void fix_sums(uint8_t *bytes, uint64_t size, bool pages)
{
	uint64_t salt;

	for (unsigned i = 0; i < 2; i++)
		put_le64(bytes + i * PAGE + PAGE - 8, XXH3_64bits(bytes + i * PAGE, PAGE - 8));
	salt = get_le64(bytes + (get_le64(bytes + 72) >= get_le64(bytes + PAGE + 72) ? 0 : PAGE) +
	                64);
	for (uint64_t page = 0; pages && index_place_at(page, false) + PAGE <= size; page++)
		for (unsigned second = 0; second < 2; second++) {
			uint64_t at = index_place_at(page, second);

			if (at + PAGE <= size && get_le64(bytes + at) != 0)
				fix_page(bytes + at, page, salt);
		}
}

static void change(struct fuzz_input *input, uint8_t *bytes, uint64_t size)
{
	uint64_t fix = fuzz_take(input, 1);

	FUZZ_CHECK(size > 3 * PAGE);
	while (input->size > 0) {
		uint64_t at = fuzz_take(input, 3) % size;

		bytes[at] = (uint8_t)(bytes[at] ^ fuzz_take(input, 1));
	}
	if (fix & 1)
		fix_sums(bytes, size, (fix & 2) == 0);
}

static void use(struct quiver *store, const struct world *world)
{
	for (uint32_t id = 1; id <= FUZZ_IDS; id++) {
		const char *why = world_compare_id(world, store, id, true);
		int r;

		/* Hidden by a snapshot that lies is the worst that may be. */
		FUZZ_CHECK(!why || strcmp(why, "gone") == 0);
		r = id % 2 ? fuzz_put(store, id, 2) : quiver_remove(store, id, 0, NULL);
		/* A page that is damaged is found when it is used: nothing is changed then. */
		FUZZ_CHECK(r == 0 || r == -ENOENT || r == -EIO || r == -EROFS);
	}
	(void)fuzz_read_all(store);
}

/* The disk of `base`, with its index changed. */
static void lay(struct base *base, struct fuzz_input *input)
{
	uint8_t *kept;

	if (!base->file) {
		unsigned number = (unsigned)(base - bases);

		fuzz_store((enum fuzz_use)(number % FUZZ_USE_COUNT), false, &base->image,
		           &base->world);
		if (number >= FUZZ_USE_COUNT)
			fuzz_downgrade(&base->image);
		base->file = memdisk_find(&base->image, "index");
		FUZZ_CHECK(base->file && base->file->kept == base->file->size);
	}
	kept = base->file->bytes;
	base->file->bytes = malloc(base->file->size);
	FUZZ_CHECK(base->file->bytes);
	memcpy(base->file->bytes, kept, base->file->size);
	change(input, base->file->bytes, base->file->size);
	memdisk_load(&base->image);
	free(base->file->bytes);
	base->file->bytes = kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct base *base = &bases[fuzz_take(&input, 1) % (2 * FUZZ_USE_COUNT)];
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = false };
	struct quiver_error error = { "" };
	struct quiver *store;
	int r;

	lay(base, &input);
	r = quiver_open(MEMDISK_STORE, &options, &store, &error);
	FUZZ_CHECK(r == 0 || (r == -EUCLEAN && error.text[0]));
	if (r == 0) {
		use(store, &base->world);
		/* Its snapshot cannot be written from a table that is damaged. */
		r = quiver_close(store);
		FUZZ_CHECK(r == 0 || r == -EROFS || r == -EIO || r == -EUCLEAN || r == -EBADMSG);
	}
	FUZZ_CHECK(memdisk_opens() == 0);
	return 0;
}

/* Each snapshot as it is, with one bit of each field of its header changed, and with one of
 * the table's and of the live map's. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	static const uint16_t places[] = { 0,
		                           8,
		                           12,
		                           32,
		                           40,
		                           48,
		                           56,
		                           64,
		                           72,
		                           80,
		                           256,
		                           PAGE + 72,
		                           2 * PAGE,
		                           2 * PAGE + 64,
		                           2 * PAGE + 80 };
	const unsigned ways = 1 + sizeof(places) / sizeof(places[0]);
	unsigned way = number % ways;

	if (number / ways >= 2 * FUZZ_USE_COUNT)
		return FUZZ_NO_SEED;
	FUZZ_CHECK(room >= 6);
	to[0] = (uint8_t)(number / ways);
	to[1] = 1;
	if (way == 0)
		return 2;
	to[2] = (uint8_t)places[way - 1];
	to[3] = (uint8_t)(places[way - 1] >> 8);
	to[4] = 0;
	to[5] = 1;
	return 6;
}
