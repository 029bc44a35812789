#include "engine/disk/nearest_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "engine/media/bytes.h"

#define FOLDER_NAME "nearest"
#define CHUNK_PAGES (NEAREST_CHUNK_BYTES / NEAREST_PAGE_BYTES)

static const char *const names[] = {
	[NEAREST_CENTROIDS] = NEAREST_CENTROIDS_NAME,
	[NEAREST_CELLS] = NEAREST_CELLS_NAME,
};
static const char *const new_names[] = {
	[NEAREST_CENTROIDS] = FOLDER_NAME "/centroids.new",
	[NEAREST_CELLS] = FOLDER_NAME "/cells.new",
};

/* Where a chunk of the array that begins with page `first` ends: pages, and bytes of rows in them. */
static uint64_t chunk_pages(const struct nearest_layout *layout, uint64_t first)
{
	return layout->pages - first < CHUNK_PAGES ? layout->pages - first : CHUNK_PAGES;
}

static size_t chunk_bytes(const struct nearest_layout *layout, uint64_t first)
{
	uint64_t left = layout->data_bytes - first * NEAREST_PAGE_BYTES;

	return left < NEAREST_CHUNK_BYTES ? (size_t)left : NEAREST_CHUNK_BYTES;
}

/* ---- writing ---- */

struct writing {
	const struct quiver_io *io;
	int fd;
	struct nearest_layout layout;
	uint8_t *chunk; /* malloc'd */
	uint8_t *sums; /* malloc'd */
};

static int write_array(const struct writing *writing,
                       void (*fill)(void *arg, uint64_t offset, size_t length, void *to), void *arg)
{
	const struct nearest_layout *layout = &writing->layout;
	int r = 0;

	for (uint64_t first = 0; r == 0 && first < layout->pages; first += CHUNK_PAGES) {
		uint64_t n = chunk_pages(layout, first);
		size_t length = chunk_bytes(layout, first);

		memset(writing->chunk + length, 0, n * NEAREST_PAGE_BYTES - length);
		fill(arg, first * NEAREST_PAGE_BYTES, length, writing->chunk);
		for (uint64_t i = 0; i < n; i++)
			put_le64(writing->sums + (first + i) * 8,
			         nearest_page_sum(writing->chunk + i * NEAREST_PAGE_BYTES,
			                          first + i));
		r = io_write_all(writing->io, writing->fd, writing->chunk, n * NEAREST_PAGE_BYTES,
		                 layout->data_at + first * NEAREST_PAGE_BYTES);
	}
	return r;
}

/* All of it, into a new file. */
static int write_whole(const struct writing *writing, const struct nearest_page *given,
                       void (*fill)(void *arg, uint64_t offset, size_t length, void *to), void *arg)
{
	const struct nearest_layout *layout = &writing->layout;
	struct nearest_page page = *given;
	uint8_t bytes[NEAREST_PAGE_BYTES];
	int r;

	nearest_npy_encode(bytes, &page);
	r = io_write_all(writing->io, writing->fd, bytes, sizeof(bytes), 0);
	if (r == 0)
		r = write_array(writing, fill, arg);
	if (r == 0)
		r = io_write_all(writing->io, writing->fd, writing->sums,
		                 layout->page_at - layout->sums_at, layout->sums_at);
	page.sums_hash = XXH3_64bits(writing->sums, layout->pages * 8);
	nearest_page_encode(&page, bytes);
	return r ? r
	         : io_write_all(writing->io, writing->fd, bytes, sizeof(bytes), layout->page_at);
}

static int open_new(const struct quiver_io *io, int dir_fd, int like_fd, const char *name)
{
	int r = io->mkdir(io, dir_fd, FOLDER_NAME, 0700);
	int fd;

	if (r && r != -EEXIST)
		return r;
	fd = io_open_new(io, dir_fd, name);
	r = fd >= 0 && io->own_as ? io->own_as(io, fd, like_fd) : 0;
	if (r == 0)
		return fd;
	(void)io->close(io, fd); /* what failed first is the reason; so below */
	(void)io->unlink(io, dir_fd, name);
	return r;
}

int nearest_file_write(const struct quiver_io *io, int dir_fd, int like_fd,
                       const struct nearest_page *page,
                       void (*fill)(void *arg, uint64_t offset, size_t length, void *to), void *arg,
                       uint64_t *file_bytes)
{
	const char *new_name = new_names[page->array];
	struct writing writing = { .io = io, .fd = -1 };
	int r = -ENOMEM;
	int c;

	nearest_lay_out(&writing.layout, page);
	writing.chunk = malloc(NEAREST_CHUNK_BYTES);
	writing.sums = calloc(1, writing.layout.page_at - writing.layout.sums_at + 1);
	if (!writing.chunk || !writing.sums)
		goto out;
	r = writing.fd = open_new(io, dir_fd, like_fd, new_name);
	if (r < 0)
		goto out;
	r = write_whole(&writing, page, fill, arg);
	c = io->close(io, writing.fd);
	if (r == 0)
		r = c;
	if (r == 0)
		r = io->rename(io, dir_fd, new_name, names[page->array]);
	if (r)
		(void)io->unlink(io, dir_fd, new_name);
	else
		*file_bytes = writing.layout.file_bytes;
out:
	free(writing.sums);
	free(writing.chunk);
	return r;
}

/* ---- reading ---- */

/* The last page, and that the file is as long as it says. */
static int read_page(struct nearest_file *file, enum nearest_array array)
{
	const struct quiver_io *io = file->io;
	uint8_t bytes[NEAREST_PAGE_BYTES];
	struct stat st;
	int r = io->stat(io, file->fd, &st);

	if (r)
		return r;
	if (st.st_size < (off_t)sizeof(bytes))
		return -EBADMSG;
	r = io_read_all(io, file->fd, bytes, sizeof(bytes), (uint64_t)st.st_size - sizeof(bytes));
	if (r == 0)
		r = nearest_page_decode(bytes, array, &file->page);
	if (r)
		return r == -ENODATA ? -EBADMSG : r;
	nearest_lay_out(&file->layout, &file->page);
	return (uint64_t)st.st_size == file->layout.file_bytes ? 0 : -EBADMSG;
}

static int read_sums(struct nearest_file *file)
{
	size_t bytes = file->layout.pages * 8;
	int r;

	file->sums = malloc(bytes + 1);
	if (!file->sums)
		return -ENOMEM;
	r = io_read_all(file->io, file->fd, file->sums, bytes, file->layout.sums_at);
	if (r)
		return r == -ENODATA ? -EBADMSG : r;
	return XXH3_64bits(file->sums, bytes) == file->page.sums_hash ? 0 : -EBADMSG;
}

int nearest_file_open(struct nearest_file *file, const struct quiver_io *io, int dir_fd,
                      enum nearest_array array)
{
	int r;

	*file = (struct nearest_file){ .io = io };
	file->fd = io->open(io, dir_fd, names[array], O_RDONLY, 0);
	if (file->fd < 0)
		return file->fd;
	r = read_page(file, array);
	if (r == 0)
		r = read_sums(file);
	if (r)
		nearest_file_close(file);
	return r;
}

/* One chunk: pages that are not what they were are zeros. How many. */
static uint64_t read_chunk(const struct nearest_file *file, uint64_t first, uint64_t pages,
                           uint8_t *chunk)
{
	uint64_t bad = 0;
	int r = io_read_all(file->io, file->fd, chunk, pages * NEAREST_PAGE_BYTES,
	                    file->layout.data_at + first * NEAREST_PAGE_BYTES);

	for (uint64_t i = 0; i < pages; i++) {
		uint8_t *page = chunk + i * NEAREST_PAGE_BYTES;

		/* Where all cannot be read, maybe a page can. */
		if (r && io_read_all(file->io, file->fd, page, NEAREST_PAGE_BYTES,
		                     file->layout.data_at + (first + i) * NEAREST_PAGE_BYTES) != 0)
			memset(page, 0xff, NEAREST_PAGE_BYTES);
		if (nearest_page_sum(page, first + i) == get_le64(file->sums + (first + i) * 8))
			continue;
		memset(page, 0, NEAREST_PAGE_BYTES);
		bad++;
	}
	return bad;
}

int nearest_file_read(const struct nearest_file *file,
                      int (*take)(void *arg, uint64_t offset, size_t length, const void *from),
                      void *arg, uint64_t *bad)
{
	uint8_t *chunk = malloc(NEAREST_CHUNK_BYTES);
	int r = chunk ? 0 : -ENOMEM;

	*bad = 0;
	for (uint64_t first = 0; r == 0 && first < file->layout.pages; first += CHUNK_PAGES) {
		*bad += read_chunk(file, first, chunk_pages(&file->layout, first), chunk);
		r = take(arg, first * NEAREST_PAGE_BYTES, chunk_bytes(&file->layout, first), chunk);
	}
	free(chunk);
	return r;
}

void nearest_file_close(struct nearest_file *file)
{
	(void)file->io->close(file->io, file->fd); /* it was read alone */
	free(file->sums);
	file->fd = -1;
	file->sums = NULL;
}

/* ---- removing ---- */

static void remove_one(const struct quiver_io *io, int dir_fd, const char *name, int *first)
{
	int r = io->unlink(io, dir_fd, name);

	if (*first == 0 && r && r != -ENOENT)
		*first = r;
}

int nearest_files_remove(const struct quiver_io *io, int dir_fd, bool cells_only)
{
	int r = 0;

	remove_one(io, dir_fd, names[NEAREST_CELLS], &r);
	remove_one(io, dir_fd, new_names[NEAREST_CELLS], &r);
	if (cells_only)
		return r;
	remove_one(io, dir_fd, names[NEAREST_CENTROIDS], &r);
	remove_one(io, dir_fd, new_names[NEAREST_CENTROIDS], &r);
	return r;
}
