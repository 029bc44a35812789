/* fuzz_npy.c - NPY headers: those of the store, and those of files that are imported. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/codec/npy.h"
#include "engine/media/npy_header.h"
#include "fuzz.h"
#include "tools/formats/npy_file.h"

static void of_the_store(const uint8_t *data, size_t size)
{
	uint8_t header[NPY_HEADER_BYTES];
	uint8_t again[NPY_HEADER_BYTES];
	uint64_t rows;

	npy_header_encode(header, "'<f4'", 768, 1000);
	memcpy(header, data, size < sizeof(header) ? size : sizeof(header));
	if (npy_header_decode(header, "'<f4'", 768, &rows) != 0)
		return;
	npy_header_encode(again, "'<f4'", 768, rows);
	FUZZ_CHECK(memcmp(header, again, sizeof(header)) == 0);
}

static void of_a_file(const uint8_t *data, size_t size)
{
	struct npy_array array, again;
	struct npy_reason reason = { "" };
	char header[NPY_WRITTEN_BYTES];
	int fd = memfd_create("npy", MFD_CLOEXEC);

	FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	FUZZ_CHECK(npy_read_header(fd, &array, &reason) == 0 || reason.text[0]);
	FUZZ_CHECK(close(fd) == 0);
	reason.text[0] = '\0';
	if (npy_parse(data, size, &array, &reason) != 0) {
		FUZZ_CHECK(reason.text[0]);
		return;
	}
	FUZZ_CHECK(array.data_offset <= size && array.dimensions <= NPY_DIMENSIONS_MAX);
	if (array.dimensions != 2 || array.shape[1] == 0 || array.shape[1] > UINT32_MAX ||
	    npy_format_header(header, array.type, array.shape[0], (uint32_t)array.shape[1]) != 0)
		return;
	FUZZ_CHECK(npy_parse(header, sizeof(header), &again, &reason) == 0);
	FUZZ_CHECK(again.data_bytes == array.data_bytes && again.shape[0] == array.shape[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t magic[] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0 };
	static uint8_t file[70000];
	size_t length = size < sizeof(file) - 10 ? size : sizeof(file) - 10;

	of_the_store(data, size);
	of_a_file(data, size);
	/* The same as the text of a good frame. */
	memcpy(file, magic, sizeof(magic));
	file[8] = (uint8_t)(length & 0xff);
	file[9] = (uint8_t)(length >> 8 & 0xff);
	if (length > 0)
		memcpy(file + 10, data, length);
	of_a_file(file, length + 10);
	return 0;
}

/* Headers that NumPy writes, in each version of the format, and what it never would. */
static const struct {
	uint8_t major;
	const char *text;
} headers[] = {
	{ 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1000, 768), }" },
	{ 1, "{'descr': '<f2', 'fortran_order': True, 'shape': (3, 4), }" },
	{ 2, "{'descr': '<f8', 'fortran_order': False, 'shape': (5,), }" },
	{ 3, "{'descr': '|i1', 'fortran_order': False, 'shape': (), }" },
	{ 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 4, 5), }" },
	{ 1, "{'descr': '>f4', 'fortran_order': False, 'shape': (7, 8), }" },
	{ 1, "{'descr': '<u8', 'fortran_order': False, 'shape': (9,), }" },
	{ 1, "{'descr': [('a', '<i8'), ('b', '<u4', (2,))], 'fortran_order': False, 'shape': (6,), "
	     "}" },
	{ 2, "{\"shape\":(18446744073709551615,2),\"descr\":\"<f4\",\"fortran_order\":False}" },
};
#define HEADERS (sizeof(headers) / sizeof(headers[0]))

/* Those as whole files, as bare texts, and what a store has. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	static const char *const columns[] = { "vectors.npy", "ids.npy", "meta.npy" };
	struct memdisk_image image = { .count = 0 };
	struct memdisk_file *file;
	struct world world;
	size_t length;

	if (number >= 2 * HEADERS + 3 || room < 512)
		return FUZZ_NO_SEED;
	if (number >= 2 * HEADERS) {
		fuzz_store(FUZZ_UNUSED, false, &image, &world);
		file = memdisk_find(&image, columns[number - 2 * HEADERS]);
		FUZZ_CHECK(file && file->kept >= 512);
		memcpy(to, file->bytes, 512);
		memdisk_free(&image);
		return 512;
	}
	length = strlen(headers[number / 2].text);
	if (number % 2) {
		memcpy(to, headers[number / 2].text, length);
		return length;
	}
	memcpy(to, "\x93NUMPY", 6);
	to[6] = headers[number / 2].major;
	to[7] = 0;
	memset(to + 8, 0, 4);
	to[8] = (uint8_t)length;
	memcpy(to + (to[6] == 1 ? 10 : 12), headers[number / 2].text, length);
	return length + (to[6] == 1 ? 10 : 12);
}
