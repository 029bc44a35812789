/*
 * fuzz_recover.c - recovery: a store that was killed, with a log of records that are whole but
 * say anything. It is refused, or a sound store comes of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "log_input.h"

#define ROOM (300u << 10)

static struct image image;
static struct image_file *segment;
static struct log_input log_of;

static void make(void)
{
	struct image_file *superblock;
	struct world world;

	fuzz_store(true, &image, &world);
	superblock = image_find(&image, "superblock");
	for (size_t i = 0; i < image.count; i++)
		if (strncmp(image.files[i].name, "wal/", 4) == 0)
			segment = &image.files[i];
	FUZZ_CHECK(superblock && segment);
	/* The segment with the puts; the one made ahead of need is no use here. */
	for (size_t i = 0; i < image.count; i++)
		if (strncmp(image.files[i].name, "wal/", 4) == 0 &&
		    image.files[i].kept > segment->kept)
			segment = &image.files[i];
	memcpy(log_of.uuid, superblock->bytes + 16, 16);
	log_of.number = get_le64(segment->bytes + 32);
	log_of.salt = get_le64(segment->bytes + 40);
	log_of.vector_bytes = FUZZ_BYTES;
	log_of.lsn = FUZZ_IDS;
}

/* Damage only where a read has told of it: a PUTREF names bytes that only it vouches for. */
static void is_sound(const char *path, bool whole)
{
	struct quiver_check_result result;

	FUZZ_CHECK(quiver_check(path, false, NULL, NULL, &result, NULL) == 0);
	FUZZ_CHECK((result.damage == 0 || !whole) && result.clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[ROOM];
	struct fuzz_input input = { data, size };
	struct quiver_options options = { .io = fuzz_io() };
	struct quiver_error error = { "" };
	char path[FOLDER_PATH_BYTES + 16];
	struct image_file kept;
	struct quiver *store;
	int r;

	if (!segment)
		make();
	kept = *segment;
	segment->bytes = bytes;
	segment->kept = segment->size = log_input_records(&log_of, &input, bytes, ROOM);
	snprintf(path, sizeof(path), "%s/s", fuzz_folder());
	image_write(&image, path);
	*segment = kept;
	r = quiver_open(path, &options, &store, &error);
	FUZZ_CHECK(r == 0 || (r == -EUCLEAN && error.text[0]));
	if (r == 0) {
		bool whole = fuzz_read_all(store);

		FUZZ_CHECK(fuzz_put(store, 3, 5) == 0);
		FUZZ_CHECK(quiver_remove(store, 3, 0, NULL) == 0);
		FUZZ_CHECK(quiver_close(store) == 0);
		is_sound(path, whole);
	}
	folder_remove(path);
	return 0;
}
