/*
 * fuzz_recover.c - recovery: a store that was killed, with a log of records that are whole but
 * say anything. It is refused, or a sound store comes of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/media/bytes.h"
#include "engine/media/superblock.h"
#include "engine/media/wal_record.h"
#include "log_input.h"

/* Far more than the records of one input take. */
#define ROOM (64u << 10)

/* In a copy of the superblock; as superblock.c has it. */
enum { AT_SEQUENCE = 32, AT_WAL_FIRST = 80 };

static struct memdisk_image image;
static struct memdisk_file *segment;
static struct log_input log_of;

static uint64_t segment_number(const struct memdisk_file *file)
{
	uint64_t number = 0;

	FUZZ_CHECK(wal_segment_parse(file->name + 4, &number));
	return number;
}

/* As the newer copy of its superblock says. */
static uint64_t first_segment(struct memdisk_image *of)
{
	const uint8_t *bytes = memdisk_find(of, "superblock")->bytes;
	const uint8_t *other = bytes + SUPERBLOCK_COPY_BYTES;

	if (get_le64(other + AT_SEQUENCE) > get_le64(bytes + AT_SEQUENCE))
		bytes = other;
	return get_le64(bytes + AT_WAL_FIRST);
}

/* The store that all inputs begin with: checkpointed, then killed, and only the segment that
 * its superblock begins with. */
static void make(void)
{
	const struct memdisk_file *superblock;
	struct world world;
	size_t kept = 0;

	fuzz_store(FUZZ_UNUSED, true, &image, &world);
	for (size_t i = 0; i < image.count; i++) {
		bool log = strncmp(image.files[i].name, "wal/", 4) == 0;

		if (log && segment_number(&image.files[i]) != first_segment(&image))
			free(image.files[i].bytes);
		else
			image.files[kept++] = image.files[i];
	}
	image.count = kept;
	for (size_t i = 0; i < image.count; i++)
		if (strncmp(image.files[i].name, "wal/", 4) == 0)
			segment = &image.files[i];
	superblock = memdisk_find(&image, "superblock");
	FUZZ_CHECK(superblock && segment);
	memcpy(log_of.uuid, superblock->bytes + 16, 16);
	log_of.number = get_le64(segment->bytes + 32);
	log_of.salt = get_le64(segment->bytes + 40);
	log_of.vector_bytes = FUZZ_BYTES;
	log_of.lsn = FUZZ_IDS;
}

/* Damage only where a read has told of it: a PUTREF names bytes that only it vouches for. */
static void is_sound(bool whole)
{
	struct quiver_check_result result;

	FUZZ_CHECK(quiver_check(MEMDISK_STORE, false, NULL, NULL, &result, NULL) == 0);
	FUZZ_CHECK((result.damage == 0 || !whole) && result.clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[ROOM];
	struct fuzz_input input = { data, size };
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = false };
	struct quiver_error error = { "" };
	struct memdisk_file kept;
	struct quiver *store;
	int r;

	if (!segment)
		make();
	kept = *segment;
	segment->bytes = bytes;
	segment->kept = segment->size = log_input_records(&log_of, &input, bytes, ROOM);
	memdisk_use_maps(size % 2); /* half of the inputs */
	memdisk_load(&image);
	*segment = kept;
	r = quiver_open(MEMDISK_STORE, &options, &store, &error);
	/* A slot far behind all others can be true, but then the disk is full. */
	FUZZ_CHECK(r == 0 || ((r == -EUCLEAN || r == -ENOSPC) && error.text[0]));
	if (r == 0) {
		bool whole = fuzz_read_all(store);

		FUZZ_CHECK(fuzz_put(store, 3, 5) == 0);
		FUZZ_CHECK(quiver_remove(store, 3, 0, NULL) == 0);
		FUZZ_CHECK(quiver_close(store) == 0);
		is_sound(whole);
	}
	FUZZ_CHECK(memdisk_opens() == 0);
	return 0;
}

/* The records that a real store wrote after the checkpoint that all inputs begin with. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	struct memdisk_image used = { .count = 0 };
	struct log_records records = { .to = to, .room = room };
	struct world world;
	uint64_t lsn = FUZZ_IDS;

	if (number >= FUZZ_USE_COUNT)
		return FUZZ_NO_SEED;
	fuzz_store((enum fuzz_use)number, true, &used, &world);
	/* Segments are found by their numbers, since their order on the disk is any. */
	for (uint64_t n = 1; n < 100; n++)
		for (size_t i = 0; i < used.count; i++)
			if (strncmp(used.files[i].name, "wal/", 4) == 0 &&
			    segment_number(&used.files[i]) == n)
				log_records_add(&records, used.files[i].bytes, used.files[i].kept,
				                &lsn);
	memdisk_free(&used);
	return records.used;
}
