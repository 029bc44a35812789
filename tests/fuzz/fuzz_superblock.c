/* fuzz_superblock.c - both copies of the superblock, with their sums put right or left alone. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xxhash.h>

#include "bytes.h"
#include "fuzz.h"
#include "superblock.h"

static void fill(struct fuzz_input *input, uint8_t file[SUPERBLOCK_FILE_BYTES])
{
	static const char magic[] = "QUIVERSB";
	uint64_t fix = fuzz_take(input, 1);

	memset(file, 0, SUPERBLOCK_FILE_BYTES);
	/* The named fields lie at the front of each copy; one half of the input is for each. */
	for (unsigned copy = 0; copy < 2; copy++) {
		uint8_t *page = file + copy * SUPERBLOCK_COPY_BYTES;
		size_t half = copy ? input->size : input->size / 2;

		for (size_t i = 0; i < half && i < SUPERBLOCK_COPY_BYTES; i++)
			page[i] = (uint8_t)fuzz_take(input, 1);
		if (fix & 1u << copy) {
			memcpy(page, magic, 8);
			put_le64(page + SUPERBLOCK_COPY_BYTES - 8,
			         XXH3_64bits(page, SUPERBLOCK_COPY_BYTES - 8));
		}
		if (fix & 4u << copy)
			put_le64(page + 32, (get_le64(page + 32) & ~UINT64_C(1)) | copy);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[SUPERBLOCK_FILE_BYTES];
	struct fuzz_input input = { data, size };
	struct superblock sb, again;
	struct quiver_error error = { "" };
	int bad = 0;
	int fd = memfd_create("superblock", MFD_CLOEXEC);
	int r;

	FUZZ_CHECK(fd >= 0);
	fill(&input, file);
	FUZZ_CHECK(write(fd, file, sizeof(file)) == (ssize_t)sizeof(file));
	r = superblock_read(fuzz_io(), fd, &sb, &bad, &error);
	FUZZ_CHECK(r == 0 || error.text[0]);
	if (r == 0) {
		FUZZ_CHECK(sb.geometry.dim >= 1 && sb.geometry.dim <= QUIVER_DIM_MAX);
		FUZZ_CHECK(sb.geometry.vector_bytes <= QUIVER_VECTOR_BYTES_MAX);
		FUZZ_CHECK(sb.count <= sb.slots_used && sb.checkpoint_lsn <= sb.lsn_ceiling);
		if (sb.sequence < UINT64_MAX - 4) {
			FUZZ_CHECK(superblock_write(fuzz_io(), fd, &sb) == 0);
			FUZZ_CHECK(superblock_read(fuzz_io(), fd, &again, &bad, &error) == 0);
			FUZZ_CHECK(again.sequence == sb.sequence && again.count == sb.count);
		}
	}
	FUZZ_CHECK(close(fd) == 0);
	return 0;
}
