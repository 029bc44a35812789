/*
 * fuzz_recover.c - recovery: a store that was killed, in either version of the format, with a log
 * of records that are whole but say anything. It is refused, or a sound store comes of it.
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

/* One in each version of the format. */
static struct base {
	struct memdisk_image image;
	struct memdisk_file *segment;
} bases[2];
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
static void make(struct base *base, bool version_1)
{
	struct memdisk_image *image = &base->image;
	const struct memdisk_file *superblock;
	struct world world;
	size_t kept = 0;

	fuzz_store(FUZZ_UNUSED, true, image, &world);
	if (version_1)
		fuzz_downgrade(image);
	for (size_t i = 0; i < image->count; i++) {
		bool log = strncmp(image->files[i].name, "wal/", 4) == 0;

		if (log && segment_number(&image->files[i]) != first_segment(image))
			free(image->files[i].bytes);
		else
			image->files[kept++] = image->files[i];
	}
	image->count = kept;
	for (size_t i = 0; i < image->count; i++)
		if (strncmp(image->files[i].name, "wal/", 4) == 0)
			base->segment = &image->files[i];
	superblock = memdisk_find(image, "superblock");
	FUZZ_CHECK(superblock && base->segment);
	memcpy(log_of.uuid, superblock->bytes + 16, 16);
	log_of.number = get_le64(base->segment->bytes + 32);
	log_of.salt = get_le64(base->segment->bytes + 40);
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
	bool version_1 = fuzz_take(&input, 1) % 2;
	struct base *base = &bases[version_1];
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = false };
	struct quiver_error error = { "" };
	struct memdisk_file kept;
	struct quiver *store;
	int r;

	if (!base->segment)
		make(base, version_1);
	kept = *base->segment;
	memdisk_use_maps(input.size % 2); /* half of the inputs */
	log_of.version = version_1 ? 1 : QUIVER_FORMAT_VERSION;
	base->segment->bytes = bytes;
	base->segment->kept = base->segment->size = log_input_records(&log_of, &input, bytes, ROOM);
	memdisk_load(&base->image);
	*base->segment = kept;
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
	struct log_records records = { .to = to, .room = room, .used = 1 };
	struct world world;
	uint64_t lsn = FUZZ_IDS;

	if (number >= 2 * FUZZ_USE_COUNT)
		return FUZZ_NO_SEED;
	to[0] = number % 2;
	fuzz_store((enum fuzz_use)(number / 2), true, &used, &world);
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
