/*
 * fuzz_index.c - the index snapshot of a closed store: bytes of it changed, all of its checksums
 * put right. Whatever it says, no vector is read that is not the one asked for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "bytes.h"
#include "fuzz.h"

#define PAGE 4096u

static struct image image;
static struct world world;
static struct image_file *file;

/* As index_file.c does it. */
static void fix_sums(uint8_t *bytes, uint64_t size, bool layout)
{
	uint64_t pages = (size - PAGE) / (PAGE + 8);
	uint8_t *sums = bytes + PAGE + pages * PAGE;
	uint8_t tail[16];

	for (uint64_t i = 0; i < pages; i++) {
		put_le64(tail, XXH3_64bits(bytes + PAGE + i * PAGE, PAGE));
		put_le64(tail + 8, i);
		put_le64(sums + i * 8, XXH3_64bits(tail, sizeof(tail)));
	}
	if (layout)
		put_le64(bytes + 96, XXH3_64bits(sums, pages * 8));
	put_le64(bytes + PAGE - 8, XXH3_64bits(bytes, PAGE - 8));
}

static void change(struct fuzz_input *input, uint8_t *bytes, uint64_t size)
{
	uint64_t fix = fuzz_take(input, 1);

	while (input->size > 0) {
		uint64_t at = fuzz_take(input, 2) % size;

		bytes[at] = (uint8_t)(bytes[at] ^ fuzz_take(input, 1));
	}
	if (fix & 1)
		fix_sums(bytes, size, (fix & 2) == 0);
}

static void use(struct quiver *store)
{
	for (uint32_t id = 1; id <= FUZZ_IDS; id++) {
		const char *why = world_compare_id(&world, store, id, true);
		int r;

		/* Hidden by a snapshot that lies is the worst that may be. */
		FUZZ_CHECK(!why || strcmp(why, "gone") == 0);
		r = id % 2 ? fuzz_put(store, id, 2) : quiver_remove(store, id, 0, NULL);
		FUZZ_CHECK(r == 0 || r == -ENOENT || r == -EIO);
	}
	(void)fuzz_read_all(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct quiver_options options = { .io = fuzz_io() };
	struct quiver_error error = { "" };
	char path[FOLDER_PATH_BYTES + 16];
	uint8_t *kept;
	struct quiver *store;
	int r;

	if (!file) {
		fuzz_store(false, &image, &world);
		file = image_find(&image, "index");
		FUZZ_CHECK(file && file->kept == file->size);
	}
	kept = file->bytes;
	file->bytes = malloc(file->size);
	FUZZ_CHECK(file->bytes);
	memcpy(file->bytes, kept, file->size);
	change(&input, file->bytes, file->size);
	snprintf(path, sizeof(path), "%s/s", fuzz_folder());
	image_write(&image, path);
	free(file->bytes);
	file->bytes = kept;
	r = quiver_open(path, &options, &store, &error);
	FUZZ_CHECK(r == 0 || (r == -EUCLEAN && error.text[0]));
	if (r == 0) {
		use(store);
		FUZZ_CHECK(quiver_close(store) == 0);
	}
	folder_remove(path);
	return 0;
}
