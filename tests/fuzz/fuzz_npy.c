/* fuzz_npy.c - NPY headers: those of the store, and those of files that are imported. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/npy.h"
#include "fuzz.h"
#include "npy_header.h"

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
