/* fuzz_superblock.c - both copies of the superblock, with their sums put right or left alone. */
#include <fcntl.h>
#include <string.h>

#include <xxhash.h>

#include "engine/disk/superblock_file.h"
#include "engine/media/bytes.h"
#include "fuzz.h"

/* FORMAT.md: the named fields end before that, but for the length of the label, */
#define FRONT_BYTES 256u
/* which begins here. So what an input has for a copy goes to the one place, and then the other. */
#define AT_LABEL 510u
#define LABEL_BYTES 24u /* of a seed: its length and some of it */
#define SEED_BYTES (FRONT_BYTES + LABEL_BYTES)

static void fill(struct fuzz_input *input, uint8_t file[SUPERBLOCK_FILE_BYTES])
{
	static const char magic[] = "QUIVERSB";
	uint64_t fix = fuzz_take(input, 1);

	memset(file, 0, SUPERBLOCK_FILE_BYTES);
	/* The named fields lie at the front of each copy; one half of the input is for each. */
	for (unsigned copy = 0; copy < 2; copy++) {
		uint8_t *page = file + copy * SUPERBLOCK_COPY_BYTES;
		size_t half = copy ? input->size : input->size / 2;

		for (size_t i = 0; i < half && i < SUPERBLOCK_COPY_BYTES - AT_LABEL + FRONT_BYTES;
		     i++)
			page[i < FRONT_BYTES ? i : i - FRONT_BYTES + AT_LABEL] =
				(uint8_t)fuzz_take(input, 1);
		if (fix & 1u << copy) {
			memcpy(page, magic, 8);
			put_le64(page + SUPERBLOCK_COPY_BYTES - 8,
			         XXH3_64bits(page, SUPERBLOCK_COPY_BYTES - 8));
		}
		if (fix & 4u << copy)
			put_le64(page + 32, (get_le64(page + 32) & ~UINT64_C(1)) | copy);
	}
}

/* A disk with nothing but that file on it. */
static void lay(uint8_t bytes[SUPERBLOCK_FILE_BYTES])
{
	struct memdisk_image image = { .count = 1 };

	image.files[0] = (struct memdisk_file){ "superblock", SUPERBLOCK_FILE_BYTES,
		                                SUPERBLOCK_FILE_BYTES, bytes };
	memdisk_load(&image);
}

static int open_it(const struct quiver_io *io)
{
	int dir_fd = io->open(io, AT_FDCWD, MEMDISK_STORE, O_RDONLY, 0);
	int fd = io->open(io, dir_fd, "superblock", O_RDWR, 0);

	FUZZ_CHECK(fd >= 0 && io->close(io, dir_fd) == 0);
	return fd;
}

/* What was read is within its bounds, and written it reads the same. */
static void is_usable(const struct quiver_io *io, int fd, struct superblock *sb)
{
	struct superblock again;
	struct quiver_error error = { "" };
	int bad = 0;

	FUZZ_CHECK(sb->geometry.dim >= 1 && sb->geometry.dim <= QUIVER_DIM_MAX);
	FUZZ_CHECK(sb->geometry.vector_bytes ==
	           quiver_vector_bytes(sb->geometry.dim, sb->geometry.dtype));
	FUZZ_CHECK(sb->geometry.vector_bytes >= 1 &&
	           sb->geometry.vector_bytes <= QUIVER_VECTOR_BYTES_MAX);
	FUZZ_CHECK(sb->slots_used <= (uint64_t)UINT32_MAX + 1);
	FUZZ_CHECK(sb->count <= sb->slots_used && sb->checkpoint_lsn <= sb->lsn_ceiling);
	if (sb->sequence >= UINT64_MAX - 4)
		return;
	FUZZ_CHECK(superblock_write(io, fd, sb) == 0);
	FUZZ_CHECK(superblock_read(io, fd, &again, &bad, &error) == 0);
	FUZZ_CHECK(again.sequence == sb->sequence && again.count == sb->count);
	FUZZ_CHECK(again.slots_used == sb->slots_used && again.wal_first == sb->wal_first);
	FUZZ_CHECK(again.clean == sb->clean && again.lsn_ceiling == sb->lsn_ceiling);
	FUZZ_CHECK(again.version == sb->version && again.ctime_max_ns == sb->ctime_max_ns);
	FUZZ_CHECK(again.features_to_open == sb->features_to_open);
	FUZZ_CHECK(again.description.metric == sb->description.metric);
	FUZZ_CHECK(strcmp(again.description.label, sb->description.label) == 0);
	FUZZ_CHECK(memcmp(again.kept, sb->kept, sizeof(sb->kept)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[SUPERBLOCK_FILE_BYTES];
	const struct quiver_io *io = quiver_io_posix();
	struct fuzz_input input = { data, size };
	struct superblock sb;
	struct quiver_error error = { "" };
	int bad = 0;
	int fd;
	int r;

	fill(&input, file);
	lay(file);
	fd = open_it(io);
	r = superblock_read(io, fd, &sb, &bad, &error);
	FUZZ_CHECK(r == 0 || error.text[0]);
	if (r == 0)
		is_usable(io, fd, &sb);
	FUZZ_CHECK(io->close(io, fd) == 0);
	return 0;
}

/* What a program of another version has in it. */
static void vary(uint8_t *page, unsigned copy, unsigned variant)
{
	struct superblock sb;

	if (variant == 0 || superblock_decode(page, copy, &sb) != 0)
		return;
	if (variant == 1) {
		sb.version = 1;
	} else {
		strcpy(sb.description.label, "a label of \xce\xbb");
		sb.description.metric = QUIVER_COSINE;
		sb.features_to_pass = variant;
		sb.features_to_open = variant == 2 ? SUPERBLOCK_RECEIVING : 0;
		sb.features_to_change = variant == 3;
		memset(sb.kept, 0x5a, sizeof(sb.kept));
	}
	superblock_encode(&sb, page);
}

static void put_seed(const uint8_t *page, uint8_t *to)
{
	memcpy(to, page, FRONT_BYTES);
	memcpy(to + FRONT_BYTES, page + AT_LABEL, LABEL_BYTES);
}

/* Stores of each dtype, new, closed and killed, each as it is, of version 1, with all that version
 * 2 can have, and with a feature that only lets it be read: what is named in both copies. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	static struct memdisk_image image;
	const unsigned stores = 2 * FUZZ_USE_COUNT + QUIVER_B1 + 1;
	unsigned store = number % stores;
	struct memdisk_file *file;
	struct world world;

	if (number >= 4 * stores)
		return FUZZ_NO_SEED;
	if (store < 2 * FUZZ_USE_COUNT) {
		fuzz_store(store / 2, store % 2, &image, &world);
	} else {
		fuzz_create(8 * (40 + store), store - 2 * FUZZ_USE_COUNT);
		memdisk_save(&image);
	}
	file = memdisk_find(&image, "superblock");
	FUZZ_CHECK(file && room > 2 * SEED_BYTES && file->kept == SUPERBLOCK_FILE_BYTES);
	to[0] = 3; /* sums put right, or a change would be all that is seen */
	for (unsigned copy = 0; copy < 2; copy++) {
		uint8_t *page = file->bytes + copy * SUPERBLOCK_COPY_BYTES;

		vary(page, copy, number / stores);
		put_seed(page, to + 1 + copy * SEED_BYTES);
	}
	memdisk_free(&image);
	return 1 + 2 * SEED_BYTES;
}
