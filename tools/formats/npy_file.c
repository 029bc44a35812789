/*
 * npy_file.c - the header of a .npy file.
 */
#include "tools/formats/npy_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/codec/npy.h"
#include "engine/codec/npy_literal.h"
#include "tools/formats/stream.h"

/* Compare the size of the file with what its header says. */
static int check_size(int fd, const struct npy_array *array, struct npy_reason *reason)
{
	struct stat status;
	uint64_t expected = array->data_offset + array->data_bytes;

	if (fstat(fd, &status) < 0) {
		int result = -errno;

		(void)npy_refuse(reason, "%s", strerror(-result));
		return result;
	}
	if (!S_ISREG(status.st_mode))
		return npy_refuse(reason, "not a regular file");
	if ((uint64_t)status.st_size == expected)
		return 0;
	return npy_refuse(reason,
	                  "the file is %s: its header promises %" PRIu64
	                  " bytes in all, but it has %" PRIu64,
	                  (uint64_t)status.st_size < expected ? "cut off" : "too long", expected,
	                  (uint64_t)status.st_size);
}

int npy_read_header(int fd, struct npy_array *array, struct npy_reason *reason)
{
	size_t room = NPY_PREFIX_BYTES_MAX + NPY_TEXT_BYTES_MAX;
	const struct stream stream = { .fd = fd };
	unsigned char *start = malloc(room);
	int64_t got;
	int result;

	if (start == NULL) {
		(void)npy_refuse(reason, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	got = stream_read_at(&stream, start, room, 0);
	if (got < 0) {
		result = (int)got;
		(void)npy_refuse(reason, "%s", strerror(-result));
		goto out;
	}
	result = npy_parse(start, (size_t)got, array, reason);
	if (result == 0)
		result = check_size(fd, array, reason);
out:
	free(start);
	return result;
}
