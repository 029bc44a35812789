/*
 * folder_file.c - one file that is a vector, read with its attributes.
 */
#include "tools/cli/folder_file.h"
#include "engine/codec/npy.h"
#include "tools/cli/read_file.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How often a file is read that changes while it is. */
#define TRIES_MAX 5u
/* Two changes may have one time that come within one tick of the kernel's clock, or, where a
 * filesystem keeps whole seconds (FAT: every other one), within those. So much later it is over. */
#define SETTLED_MS 20
#define COARSE_SETTLED_MS 2000
#define NS_PER_MS 1000000

void folder_reader_free(struct folder_reader *reader)
{
	free(reader->file);
	reader->file = NULL;
}

static size_t npy_bytes_max(const struct quiver_geometry *geometry)
{
	return NPY_PREFIX_BYTES_MAX + NPY_TEXT_BYTES_MAX + (size_t)geometry->vector_bytes;
}

int folder_reader_check(struct folder_reader *reader, const struct folder_entry *entry,
                        const struct stat *status)
{
	const struct quiver_geometry *geometry = reader->geometry;
	uint64_t size = (uint64_t)status->st_size;

	if (!S_ISREG(status->st_mode)) {
		(void)snprintf(reader->reason, sizeof(reader->reason), "is not a regular file");
		return -EINVAL;
	}
	if (entry->is_npy ? size >= geometry->vector_bytes && size <= npy_bytes_max(geometry)
	                  : size == geometry->vector_bytes)
		return 0;
	(void)snprintf(reader->reason, sizeof(reader->reason),
	               "has %" PRIu64 " bytes; expected %s%" PRIu32 " (dim %" PRIu32 ", dtype %s)",
	               size, entry->is_npy ? "a header and " : "", geometry->vector_bytes,
	               geometry->dim, quiver_dtype_name(geometry->dtype));
	return -EINVAL;
}

/* Whether the elements are those of the store: NumPy has neither bfloat16 nor bits. */
static bool is_type(const struct quiver_geometry *geometry, const char *type)
{
	if (geometry->dtype == QUIVER_BF2)
		return strcmp(type, "u2") == 0 || strcmp(type, NPY_BFLOAT16) == 0;
	if (geometry->dtype == QUIVER_B1)
		return strcmp(type, "u1") == 0;
	return strcmp(type, quiver_dtype_name(geometry->dtype)) == 0;
}

/* Take the vector out of the bytes of a .npy file. -EINVAL with a reason. */
static int take_npy(struct folder_reader *reader, size_t size, void *to)
{
	const struct quiver_geometry *geometry = reader->geometry;
	uint32_t length = geometry->dtype == QUIVER_B1 ? geometry->vector_bytes : geometry->dim;
	struct npy_reason why = { "" };
	struct npy_array array;
	unsigned last;

	if (npy_parse(reader->file, size, &array, &why) < 0) {
		(void)snprintf(reader->reason, sizeof(reader->reason), "%s", why.text);
		return -EINVAL;
	}
	last = array.dimensions - 1;
	if (!is_type(geometry, array.type) || array.dimensions == 0 || array.dimensions > 2 ||
	    array.shape[last] != length || (last == 1 && array.shape[0] != 1) ||
	    size - array.data_offset != array.data_bytes) {
		(void)snprintf(reader->reason, sizeof(reader->reason),
		               "is of type %s with %u dimensions and %" PRIu64
		               " bytes; expected %s of shape (%" PRIu32 ",) or (1, %" PRIu32 ")",
		               array.type, array.dimensions, (uint64_t)size - array.data_offset,
		               quiver_dtype_name(geometry->dtype), length, length);
		return -EINVAL;
	}
	memcpy(to, reader->file + array.data_offset, geometry->vector_bytes);
	return 0;
}

/* Read the bytes of an open file to `to`. 1 where it has others than its size says. */
static int read_vector(struct folder_reader *reader, const struct folder_entry *entry, int fd,
                       size_t size, void *to)
{
	ssize_t got;

	if (!entry->is_npy) {
		got = read_file(fd, to, size);
	} else {
		if (reader->file == NULL)
			reader->file = malloc(npy_bytes_max(reader->geometry));
		if (reader->file == NULL)
			return -ENOMEM;
		got = read_file(fd, reader->file, size);
	}
	if (got < 0)
		return (int)got;
	if ((size_t)got != size)
		return 1;
	return entry->is_npy ? take_npy(reader, size, to) : 0;
}

/* Wait until a change from now on has another time than one that may just have been. */
static void let_time_pass(const struct stat *status)
{
	const struct timespec *changed = &status->st_ctim;
	bool coarse = changed->tv_nsec == 0 && status->st_mtim.tv_nsec == 0;
	int64_t settled_ms = coarse ? COARSE_SETTLED_MS : SETTLED_MS;
	struct timespec now;
	int64_t age_ms;

	/* Far from each other are two clocks, and nothing can be told. */
	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || now.tv_sec > changed->tv_sec + 10 ||
	    now.tv_sec < changed->tv_sec - 10)
		return;
	age_ms = (int64_t)(now.tv_sec - changed->tv_sec) * 1000 +
	         (now.tv_nsec - changed->tv_nsec) / NS_PER_MS;
	if (age_ms < settled_ms)
		interruptible_sleep((unsigned)(settled_ms - (age_ms > 0 ? age_ms : 0)));
}

static bool is_unchanged(const struct stat *before, const struct stat *after)
{
	return before->st_size == after->st_size &&
	       before->st_mtim.tv_sec == after->st_mtim.tv_sec &&
	       before->st_mtim.tv_nsec == after->st_mtim.tv_nsec &&
	       before->st_ctim.tv_sec == after->st_ctim.tv_sec &&
	       before->st_ctim.tv_nsec == after->st_ctim.tv_nsec;
}

/* Read an open file. 1 where it has changed meanwhile. */
static int read_once(struct folder_reader *reader, const struct folder_entry *entry, int fd,
                     void *to, struct stat *status)
{
	struct stat after;
	int result;

	if (fstat(fd, status) < 0)
		return -errno;
	let_time_pass(status);
	result = folder_reader_check(reader, entry, status);
	if (result == 0)
		result = read_vector(reader, entry, fd, (size_t)status->st_size, to);
	if (result == 0 && fstat(fd, &after) < 0)
		result = -errno;
	return result == 0 && !is_unchanged(status, &after) ? 1 : result;
}

int folder_reader_read(struct folder_reader *reader, const struct folder_entry *entry, void *to,
                       struct stat *status)
{
	char name[FOLDER_NAME_BYTES];
	int result = 1;

	for (unsigned try = 0; result == 1 && try < TRIES_MAX; try++) {
		int fd;

		folder_entry_name(entry, name);
		fd = openat(reader->folder_fd, name,
		            O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
		if (fd < 0)
			return -errno;
		result = read_once(reader, entry, fd, to, status);
		(void)close(fd); /* it was only read */
	}
	if (result != 1)
		return result;
	(void)snprintf(reader->reason, sizeof(reader->reason), "changed while it was read");
	return -EINVAL;
}
