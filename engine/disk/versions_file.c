#include "engine/disk/versions_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "versions"
#define NEW_NAME "versions.new"

/* Read and written at once. */
#define CHUNK_RECORDS 1024u
/* By so much the file grows at least: a commit or two need not ask for blocks. */
#define ROOM_STEP_RECORDS 1024u

typedef int (*each_record)(void *arg, uint64_t number, const struct version_record *record);

static uint64_t offset_of(uint64_t number)
{
	return VERSIONS_HEADER_BYTES + number * VERSION_RECORD_BYTES;
}

/* Whole records in so many bytes of a file. */
static uint64_t records_in(uint64_t bytes)
{
	return bytes > VERSIONS_HEADER_BYTES
	               ? (bytes - VERSIONS_HEADER_BYTES) / VERSION_RECORD_BYTES
	               : 0;
}

static int close_with(const struct quiver_io *io, int fd, int r)
{
	int c = io->close(io, fd);

	return r ? r : c;
}

void versions_file_init(struct versions_file *file, const struct quiver_io *io, int dir_fd,
                        const uint8_t uuid[16])
{
	*file = (struct versions_file){ .io = io, .dir_fd = dir_fd, .fd = -1 };
	memcpy(file->uuid, uuid, sizeof(file->uuid));
}

static void forget(struct versions_file *file)
{
	file->fd = -1;
	file->generation = 0;
	file->records = 0;
	file->room = 0;
}

static int write_header(const struct versions_file *file, uint64_t born_records)
{
	struct versions_header header = { .generation = file->generation,
		                          .born_bytes = offset_of(born_records) };
	uint8_t page[VERSIONS_HEADER_BYTES];

	memcpy(header.uuid, file->uuid, sizeof(header.uuid));
	versions_header_encode(&header, page);
	return io_write_all(file->io, file->fd, page, sizeof(page), 0);
}

/* ---- opening ---- */

/* Which file it is, and of how many records the superblock or the header says that they count. 0,
 * -ENOTSUP. */
static int read_header(struct versions_file *file, const struct versions_extent *extent,
                       uint64_t *counted)
{
	uint8_t page[VERSIONS_HEADER_BYTES];
	struct versions_header header;
	/* A sector that cannot be read is damage, too. */
	int r = io_read_all(file->io, file->fd, page, sizeof(page), 0) == 0
	                ? versions_header_decode(page, &header)
	                : -EUCLEAN;

	if (r == -ENOTSUP)
		return r;
	*counted = records_in(extent->bytes);
	if (r) {
		file->generation = extent->generation;
		file->found = extent->generation > 0 ? VERSIONS_HEADER_BAD : VERSIONS_STRANGE;
		return 0;
	}
	file->generation = header.generation;
	file->found = memcmp(header.uuid, file->uuid, sizeof(file->uuid)) != 0 ? VERSIONS_STRANGE
	              : header.generation < extent->generation                 ? VERSIONS_EARLIER
	                                                                       : VERSIONS_FINE;
	if (header.generation != extent->generation)
		*counted = records_in(header.born_bytes);
	return 0;
}

/* Whoever frees what a record keeps does so for good, so a read that fails is tried once more. */
static int read_record(const struct versions_file *file, uint64_t number, uint8_t *to)
{
	const struct quiver_io *io = file->io;
	int r = io_read_all(io, file->fd, to, VERSION_RECORD_BYTES, offset_of(number));

	return r && r != -ENODATA
	               ? io_read_all(io, file->fd, to, VERSION_RECORD_BYTES, offset_of(number))
	               : r;
}

/* Records `first` and the next, at most `count`; *got of them are there. One that the disk does not
 * give is zeros. */
static void read_chunk(const struct versions_file *file, uint64_t first, size_t count,
                       uint8_t *chunk, size_t *got)
{
	const struct quiver_io *io = file->io;

	*got = count;
	if (io_read_all(io, file->fd, chunk, count * VERSION_RECORD_BYTES, offset_of(first)) == 0)
		return;
	for (size_t i = 0; i < count; i++) {
		uint8_t *at = chunk + i * VERSION_RECORD_BYTES;
		int r = read_record(file, first + i, at);

		if (r == -ENODATA) {
			*got = i;
			return;
		}
		if (r)
			memset(at, 0, VERSION_RECORD_BYTES);
	}
}

/* From file->records on, which is left behind the last that counts or is whole. */
static int read_records(struct versions_file *file, uint64_t counted, each_record each, void *arg,
                        uint64_t *lost)
{
	uint8_t *chunk = malloc((size_t)CHUNK_RECORDS * VERSION_RECORD_BYTES);
	size_t got = CHUNK_RECORDS;
	bool ended = false;
	int r = chunk ? 0 : -ENOMEM;

	while (r == 0 && !ended && got == CHUNK_RECORDS) {
		uint64_t first = file->records;

		read_chunk(file, first, CHUNK_RECORDS, chunk, &got);
		for (size_t i = 0; r == 0 && !ended && i < got; i++) {
			struct version_record record;
			bool whole = version_record_decode(chunk + i * VERSION_RECORD_BYTES,
			                                   file->generation, offset_of(first + i),
			                                   &record) == 0;

			ended = !whole && first + i >= counted;
			if (whole)
				r = each(arg, first + i, &record);
			else if (!ended)
				*lost += VERSION_RECORD_BYTES;
			if (r == 0 && !ended)
				file->records++;
		}
	}
	if (r == 0 && file->records < counted)
		*lost += (counted - file->records) * VERSION_RECORD_BYTES;
	free(chunk);
	return r;
}

/* Records from `first` on to their places once more. */
static int write_again(const struct versions_file *file, uint64_t first)
{
	uint8_t *chunk = malloc((size_t)CHUNK_RECORDS * VERSION_RECORD_BYTES);
	int r = chunk ? 0 : -ENOMEM;

	while (r == 0 && first < file->records) {
		uint64_t left = file->records - first;
		size_t count = left < CHUNK_RECORDS ? left : CHUNK_RECORDS;
		size_t got;

		read_chunk(file, first, count, chunk, &got);
		r = got == count ? io_write_all(file->io, file->fd, chunk,
		                                count * VERSION_RECORD_BYTES, offset_of(first))
		                 : -EIO;
		first += count;
	}
	free(chunk);
	return r;
}

/* Blocks that an earlier life has got are kept, also on a disk that is full by now. What stands in
 * them is overwritten, or was written by a checkpoint that was cut off: it is as true as ever. */
static int find_room(struct versions_file *file)
{
	const struct quiver_io *io = file->io;
	uint64_t end = offset_of(file->records);
	struct stat st;
	int r = io->stat(io, file->fd, &st);
	uint64_t size = r == 0 ? (uint64_t)st.st_size : 0;

	file->room = file->records;
	if (r || size <= end)
		return r;
	/* A copy of the store may have holes there. */
	r = io->allocate(io, file->fd, end, size - end);
	if (r == 0)
		file->room = records_in(size);
	return r == -ENOSPC ? 0 : r;
}

/* For one who writes: what was read shall be on stable storage, also where an earlier life's sync has
 * failed. */
static int settle(struct versions_file *file, const struct versions_extent *extent,
                  uint64_t counted)
{
	const struct quiver_io *io = file->io;
	bool tail = file->records > counted;
	int r = tail ? write_again(file, counted) : 0;

	/* It can do without, as it did now. */
	if (r == 0 && file->found == VERSIONS_HEADER_BAD)
		(void)write_header(file, file->records);
	if (r == 0 && (tail || file->found == VERSIONS_HEADER_BAD))
		r = io_fsync(io, file->fd);
	if (r == 0 && file->generation != extent->generation)
		r = io_fsync(io, file->dir_fd);
	return r ? r : find_room(file);
}

int versions_file_open(struct versions_file *file, const struct versions_extent *extent,
                       bool read_only, each_record each, void *arg, uint64_t *lost)
{
	const struct quiver_io *io = file->io;
	uint64_t all = extent->bytes > VERSION_RECORD_BYTES ? extent->bytes : VERSION_RECORD_BYTES;
	uint64_t counted = 0;
	int fd = io->open(io, file->dir_fd, FILE_NAME, read_only ? O_RDONLY : O_RDWR, 0);
	int r;

	*lost = 0;
	file->generation_max = extent->generation;
	if (!read_only)
		(void)io->unlink(io, file->dir_fd, NEW_NAME); /* who makes another is told */
	if (fd == -ENOENT) {
		file->found = extent->generation > 0 ? VERSIONS_MISSING : VERSIONS_NONE;
		*lost = extent->generation > 0 ? all : 0;
		return 0;
	}
	if (fd < 0)
		return fd;
	file->fd = fd;
	r = read_header(file, extent, &counted);
	if (r == 0 && file->found == VERSIONS_STRANGE) {
		*lost = all;
		goto out;
	}
	if (file->generation > file->generation_max)
		file->generation_max = file->generation;
	if (r == 0)
		r = read_records(file, counted, each, arg, lost);
	if (r == 0 && file->found == VERSIONS_EARLIER)
		*lost += all;
	if (r == 0 && !read_only)
		r = settle(file, extent, counted);
	if (r == 0)
		return 0;
out:
	forget(file);
	return close_with(io, fd, r);
}

int versions_file_read_on(struct versions_file *file, each_record each, void *arg)
{
	uint64_t lost = 0;

	return file->fd >= 0 ? read_records(file, file->records, each, arg, &lost) : 0;
}

/* ---- in use ---- */

int versions_file_create(struct versions_file *file)
{
	struct versions_file anew;
	int r = versions_file_begin_anew(file, &anew);

	return r ? r : versions_file_replace(file, &anew);
}

int versions_file_make_room(struct versions_file *file, uint64_t records)
{
	const struct quiver_io *io = file->io;
	uint64_t room;
	int r;

	if (records <= file->room)
		return 0;
	room = (records + ROOM_STEP_RECORDS - 1) / ROOM_STEP_RECORDS * ROOM_STEP_RECORDS;
	r = io->allocate(io, file->fd, offset_of(file->room),
	                 (room - file->room) * VERSION_RECORD_BYTES);
	if (r == 0)
		file->room = room;
	return r;
}

int versions_file_append(struct versions_file *file, const struct version_record *records,
                         size_t count)
{
	uint8_t *chunk = malloc((size_t)CHUNK_RECORDS * VERSION_RECORD_BYTES);
	uint64_t number = file->records;
	int r = chunk ? 0 : -ENOMEM;

	for (size_t done = 0; r == 0 && done < count;) {
		size_t n = count - done < CHUNK_RECORDS ? count - done : CHUNK_RECORDS;

		for (size_t i = 0; i < n; i++)
			version_record_encode(&records[done + i], file->generation,
			                      offset_of(number + i),
			                      chunk + i * VERSION_RECORD_BYTES);
		r = io_write_all(file->io, file->fd, chunk, n * VERSION_RECORD_BYTES,
		                 offset_of(number));
		number += n;
		done += n;
	}
	if (r == 0)
		file->records = number;
	free(chunk);
	return r;
}

int versions_file_sync(struct versions_file *file)
{
	return file->fd >= 0 ? io_fdatasync(file->io, file->fd) : 0;
}

int versions_file_read(const struct versions_file *file, uint64_t number,
                       struct version_record *record)
{
	uint8_t bytes[VERSION_RECORD_BYTES];
	int r = io_read_all(file->io, file->fd, bytes, sizeof(bytes), offset_of(number));

	return r ? r : version_record_decode(bytes, file->generation, offset_of(number), record);
}

/* ---- written anew ---- */

int versions_file_begin_anew(const struct versions_file *file, struct versions_file *anew)
{
	const struct quiver_io *io = file->io;
	int r = 0;

	versions_file_init(anew, io, file->dir_fd, file->uuid);
	anew->generation = file->generation_max + 1;
	anew->generation_max = anew->generation;
	anew->found = file->found;
	anew->fd = io_open_new(io, file->dir_fd, NEW_NAME);
	if (anew->fd < 0)
		return anew->fd;
	/* Else a store that root writes to would be closed to its owner. */
	if (file->fd >= 0 && io->own_as)
		r = io->own_as(io, anew->fd, file->fd);
	if (r)
		versions_file_give_up(anew);
	return r;
}

int versions_file_finish(const struct versions_file *anew)
{
	int r = write_header(anew, anew->records);

	return r ? r : io_fsync(anew->io, anew->fd);
}

int versions_file_swap(struct versions_file *file, struct versions_file *anew, int *former_fd)
{
	int r = file->io->rename(file->io, file->dir_fd, NEW_NAME, FILE_NAME);

	if (r) {
		versions_file_give_up(anew);
		return r;
	}
	*former_fd = file->fd;
	*file = *anew;
	if (file->room < file->records)
		file->room = file->records;
	return 0;
}

int versions_file_settle(const struct versions_file *file, int former_fd)
{
	if (former_fd >= 0)
		(void)file->io->close(file->io, former_fd); /* nothing of it counts any more */
	return io_fsync(file->io, file->dir_fd);
}

int versions_file_replace(struct versions_file *file, struct versions_file *anew)
{
	int former_fd;
	int r = versions_file_finish(anew);

	if (r) {
		versions_file_give_up(anew);
		return r;
	}
	r = versions_file_swap(file, anew, &former_fd);
	return r ? r : versions_file_settle(file, former_fd);
}

void versions_file_give_up(struct versions_file *anew)
{
	/* What failed before, if anything, is the reason. */
	(void)anew->io->close(anew->io, anew->fd);
	(void)anew->io->unlink(anew->io, anew->dir_fd, NEW_NAME);
	anew->fd = -1;
}

int versions_file_remove(struct versions_file *file)
{
	const struct quiver_io *io = file->io;
	int r = io->unlink(io, file->dir_fd, FILE_NAME);

	if (r && r != -ENOENT)
		return r;
	r = file->fd >= 0 ? io->close(io, file->fd) : 0;
	forget(file);
	return r ? r : io_fsync(io, file->dir_fd);
}

struct versions_extent versions_file_extent(const struct versions_file *file, uint64_t lsn)
{
	if (file->fd < 0)
		return (struct versions_extent){ 0 };
	return (struct versions_extent){ .generation = file->generation,
		                         .lsn = lsn,
		                         .bytes = offset_of(file->records) };
}

int versions_file_close(struct versions_file *file, bool trim)
{
	const struct quiver_io *io = file->io;
	int r;

	if (file->fd < 0)
		return 0;
	r = trim && file->room > file->records
	            ? io->truncate(io, file->fd, offset_of(file->records))
	            : 0;
	r = close_with(io, file->fd, r);
	forget(file);
	return r;
}
