/*
 * columns.c - the files of the columns: making, opening, growing, cutting, syncing.
 */
#include "engine/disk/columns.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/culprit.h"
#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/base/sizes.h"
#include "engine/disk/column_kinds.h"
#include "engine/disk/column_map.h"
#include "engine/disk/write_window.h"
#include "engine/media/npy_header.h"

/* Address space for the widest column: a process of x86-64 has 128 TiB, so a dozen
 * stores fit. Sanitizers leave much less, as do some kernels of arm64: 512 GiB. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(QUIVER_SMALL_RESERVE) && defined(QUIVER_SMALL_SIZES)
#define RESERVE_BYTES_MAX (UINT64_C(4) << 20)
#elif defined(QUIVER_SMALL_RESERVE) /* tests/arm64: an emulator keeps bytes for each page of it */
#define RESERVE_BYTES_MAX (UINT64_C(128) << 20)
#elif defined(SANITIZED)
#define RESERVE_BYTES_MAX (UINT64_C(64) << 30)
#else
#define RESERVE_BYTES_MAX (UINT64_C(8) << 40)
#endif
/* Room to grow that is worth trying for before the reserve shrinks further. */
#define RESERVE_MARGIN_BYTES (UINT64_C(64) << 30)
/* One write of NONEs, and one folio of the page cache: with large ones each later write of an ID
 * takes longer (ZERO_CHUNK_BYTES). */
#define FILL_BYTES_MAX ZERO_CHUNK_BYTES
/* Looked at at a checkpoint; one that is clean takes a microsecond. */
#define PIECES_MAX 16384u

static struct column *column_of(struct columns *columns, unsigned i)
{
	return i == 0 ? &columns->vectors : i == 1 ? &columns->ids : &columns->meta;
}

static uint64_t bytes_of(uint32_t row_bytes, uint64_t rows)
{
	return COLUMN_HEADER_BYTES + rows * row_bytes;
}

static int write_header(const struct quiver_io *io, int fd, const struct column_kind *kind,
                        uint64_t rows, size_t length)
{
	uint8_t header[NPY_HEADER_BYTES];

	npy_header_encode(header, kind->descr, kind->row_items, rows);
	return io_write_all(io, fd, header, length, 0);
}

/* ---- making ------------------------------------------------------------ */

static int create_one(const struct quiver_io *io, int dir_fd, const struct column_kind *kind)
{
	int fd = io->open(io, dir_fd, kind->name, O_RDWR | O_CREAT | O_EXCL, 0600);
	int r, closed;

	if (fd < 0)
		return fd;
	r = write_header(io, fd, kind, 0, NPY_HEADER_BYTES);
	if (r == 0)
		r = io_fsync(io, fd);
	closed = io->close(io, fd);
	if (r == 0)
		r = closed;
	if (r < 0)
		(void)io->unlink(io, dir_fd, kind->name); /* what failed first is the reason */
	return r;
}

int columns_create(const struct quiver_io *io, int dir_fd, const struct quiver_geometry *geometry)
{
	struct column_kind kinds[COLUMNS];
	unsigned made;
	int r = 0;

	column_kinds(geometry, QUIVER_FORMAT_VERSION, kinds);
	for (made = 0; made < COLUMNS; made++) {
		r = create_one(io, dir_fd, &kinds[made]);
		if (r < 0)
			break;
	}
	while (r < 0 && made > 0)
		(void)io->unlink(io, dir_fd, kinds[--made].name);
	return r;
}

/* ---- opening ----------------------------------------------------------- */

/* Open one file and check its header; its size goes to column->file_bytes. */
static int open_one(struct columns *columns, unsigned i, const struct column_kind *kind,
                    bool read_only, uint64_t *header_rows, struct quiver_error *error)
{
	const struct quiver_io *io = columns->io;
	struct column *column = column_of(columns, i);
	uint8_t header[NPY_HEADER_BYTES];
	struct stat st;
	int r;

	column->row_bytes = kind->row_bytes;
	column->fd = io->open(io, columns->dir_fd, kind->name, read_only ? O_RDONLY : O_RDWR, 0);
	if (column->fd == -ENOENT) {
		error_set(error, "%s: missing", kind->name);
		return -EUCLEAN;
	}
	r = column->fd < 0 ? column->fd : io->stat(io, column->fd, &st);
	if (r == 0)
		r = io_read_all(io, column->fd, header, sizeof(header), 0);
	if (r < 0 && r != -ENODATA) {
		error_set(error, "%s: %s", kind->name, culprit_why(r));
		return r;
	}
	if (r == 0)
		r = npy_header_decode(header, kind->descr, kind->row_items, header_rows);
	if (r < 0) {
		error_set(error, "%s: its header is damaged, or is not for %u elements of %s",
		          kind->name, columns->geometry.dim,
		          quiver_dtype_name(columns->geometry.dtype));
		return -EUCLEAN;
	}
	column->file_bytes = (uint64_t)st.st_size;
	return 0;
}

/* Reserve for `rows` rows of each column, or for none. */
static int reserve_rows(struct columns *columns, uint64_t rows)
{
	for (unsigned i = 0; i < COLUMNS; i++) {
		struct column *column = column_of(columns, i);
		int r = column_reserve(column, bytes_of(column->row_bytes, rows));

		while (r < 0 && i > 0) {
			int released = column_release(columns->io, column_of(columns, --i));

			if (released < 0)
				return released;
		}
		if (r < 0)
			return r;
	}
	columns->rows_max = rows;
	return 0;
}

/* Reserve as much as can be had, and at least for the rows that are there. */
static int reserve(struct columns *columns, uint64_t rows)
{
	uint32_t widest = columns->vectors.row_bytes > columns->meta.row_bytes
	                          ? columns->vectors.row_bytes
	                          : columns->meta.row_bytes;
	uint64_t margin = rows + RESERVE_MARGIN_BYTES / widest;
	uint64_t want = RESERVE_BYTES_MAX / widest;

	if (want > SLOT_MAX + 1)
		want = SLOT_MAX + 1;
	if (want < rows)
		want = rows;
	for (;;) {
		uint64_t next = want / 2;
		int r = reserve_rows(columns, want);

		if (r == 0 || want == rows)
			return r;
		if (want > margin && next < margin)
			next = margin;
		want = next > rows ? next : rows;
	}
}

/* The fewest rows of the three files, or -EUCLEAN where they are fewer than are used. */
static int count_rows(struct columns *columns, const struct column_kind kinds[COLUMNS],
                      uint64_t slots_used, uint64_t *rows, struct quiver_error *error)
{
	*rows = SLOT_MAX + 1;
	for (unsigned i = 0; i < COLUMNS; i++) {
		const struct column *column = column_of(columns, i);
		uint64_t has = (column->file_bytes - COLUMN_HEADER_BYTES) / column->row_bytes;

		if (has < slots_used) {
			error_set(error,
			          "%s: it was cut short: it has room for %llu rows, but %llu are "
			          "in use; restore it from a copy; or lengthen it ('truncate -s "
			          "%llu') and run `quiverfs check --repair`, which keeps the "
			          "vectors that are whole",
			          kinds[i].name, (unsigned long long)has,
			          (unsigned long long)slots_used,
			          (unsigned long long)bytes_of(column->row_bytes, slots_used));
			return -EUCLEAN;
		}
		if (has < *rows)
			*rows = has;
	}
	return 0;
}

static int cut_file(struct columns *columns, struct column *column, uint64_t bytes)
{
	int r = 0;

	if (column->file_bytes > bytes)
		r = columns->io->truncate(columns->io, column->fd, bytes);
	if (r == 0 && column->file_bytes > bytes)
		column->file_bytes = bytes;
	return r;
}

/* What a crash while growing or cutting leaves: longer files, stale row counts. */
static int put_right(struct columns *columns, const struct column_kind kinds[COLUMNS],
                     const uint64_t header_rows[COLUMNS], uint64_t rows)
{
	for (unsigned i = 0; i < COLUMNS; i++) {
		struct column *column = column_of(columns, i);
		int r = cut_file(columns, column, bytes_of(column->row_bytes, rows));

		if (r == 0 && header_rows[i] != rows)
			r = write_header(columns->io, column->fd, &kinds[i], rows,
			                 NPY_HEADER_MUTABLE_BYTES);
		if (r < 0)
			return r;
	}
	return 0;
}

static int map_all(struct columns *columns, uint64_t rows)
{
	for (unsigned i = 0; i < COLUMNS; i++) {
		struct column *column = column_of(columns, i);
		int r = column_map_to(columns->io, column, bytes_of(column->row_bytes, rows));

		if (r < 0)
			return r;
	}
	return 0;
}

static int map_rows_to_store(struct columns *columns)
{
	int r = column_map_to_store(columns->io, &columns->ids, &columns->rows_lock);

	return r ? r : column_map_to_store(columns->io, &columns->meta, &columns->rows_lock);
}

/* Whether meta.npy has rows of this version. 1, 0 (also where it is missing, or its header is damaged)
 * or -errno. */
static int has_new_rows(const struct columns *columns, const struct column_kind *kind)
{
	const struct quiver_io *io = columns->io;
	int fd = io->open(io, columns->dir_fd, kind->name, O_RDONLY, 0);
	uint8_t header[NPY_HEADER_BYTES];
	uint64_t rows;
	int r;
	int c;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = io_read_all(io, fd, header, sizeof(header), 0);
	if (r == 0)
		r = npy_header_decode(header, kind->descr, kind->row_items, &rows) == 0;
	else if (r == -ENODATA)
		r = 0;
	c = io->close(io, fd);
	return r < 0 ? r : c ? c : r;
}

/* Whether an upgrade was interrupted before its last step, which gives meta.npy.new its name: then
 * kind->name is that. Beside rows of this version it is from another time, as in a copy to which
 * files were added: what was committed since is not in it. 1, 0 or -errno. */
static int find_new_meta(const struct columns *columns, struct column_kind *kind,
                         struct quiver_error *error)
{
	const struct quiver_io *io = columns->io;
	int r;
	int fd;

	if (columns->version == 1)
		return 0;
	fd = io->open(io, columns->dir_fd, META_NEW_NAME, O_RDONLY, 0);
	if (fd == -ENOENT)
		return 0;
	r = fd < 0 ? fd : io->close(io, fd);
	if (r == 0) {
		r = has_new_rows(columns, kind);
		r = r > 0 ? -EUCLEAN : r;
	}
	if (r == -EUCLEAN)
		error_set(error,
		          "%s: expected the file of an interrupted upgrade, but this is not one; "
		          "move it out of the store",
		          META_NEW_NAME);
	else if (r)
		error_set(error, "%s: %s; move it out of the store", META_NEW_NAME, culprit_why(r));
	if (r)
		return r;
	kind->name = META_NEW_NAME;
	return 1;
}

/* That last step. */
static int adopt_new_meta(const struct columns *columns, struct quiver_error *error)
{
	const struct quiver_io *io = columns->io;
	int r = io->rename(io, columns->dir_fd, META_NEW_NAME, "meta.npy");

	if (r == 0)
		r = io_fsync(io, columns->dir_fd);
	if (r < 0)
		error_set(error, "%s: cannot be renamed to meta.npy: %s", META_NEW_NAME,
		          quiver_strerror(r));
	return r;
}

int columns_open(struct columns *columns, const struct quiver_io *io, int dir_fd,
                 const struct quiver_geometry *geometry, uint32_t version, uint64_t slots_used,
                 bool read_only, struct quiver_error *error)
{
	struct column_kind kinds[COLUMNS];
	uint64_t header_rows[COLUMNS] = { 0 };
	uint64_t rows;
	bool renamed;
	int r;

	*columns = (struct columns){
		.io = io, .geometry = *geometry, .version = version, .dir_fd = dir_fd
	};
	pthread_mutex_init(&columns->rows_lock, NULL);
	pthread_mutex_init(&columns->sync_lock, NULL);
	for (unsigned i = 0; i < COLUMNS; i++)
		column_of(columns, i)->fd = -1;
	column_kinds(geometry, version, kinds);
	r = find_new_meta(columns, &kinds[2], error);
	if (r < 0)
		goto fail;
	renamed = r > 0;
	for (unsigned i = 0; i < COLUMNS; i++) {
		r = open_one(columns, i, &kinds[i], read_only, &header_rows[i], error);
		if (r < 0)
			goto fail;
	}
	r = count_rows(columns, kinds, slots_used, &rows, error);
	if (r < 0)
		goto fail;
	/* It is whole: the superblock was written after it. */
	if (renamed && !read_only)
		r = adopt_new_meta(columns, error);
	if (r < 0)
		goto fail;
	r = reserve(columns, rows);
	/* A search compares IDs in the map, unguarded. */
	if (r == 0)
		r = fault_cover(columns->ids.map, columns->ids.reserved_bytes);
	if (r == 0 && !read_only)
		r = put_right(columns, kinds, header_rows, rows);
	if (r == 0)
		r = map_all(columns, rows);
	if (r == 0 && !read_only)
		r = map_rows_to_store(columns);
	if (r == 0) {
		atomic_store_explicit(&columns->rows, rows, memory_order_release);
		return 0;
	}
	error_set(error, "vectors.npy, ids.npy, meta.npy: cannot map %llu rows: %s",
	          (unsigned long long)rows, quiver_strerror(r));
fail:
	(void)columns_close(columns); /* what failed first is the reason */
	return r;
}

int columns_close(struct columns *columns)
{
	int r = write_windows_close(columns);

	fault_uncover(columns->ids.map);
	for (unsigned i = 0; i < COLUMNS; i++) {
		struct column *column = column_of(columns, i);
		int released = column_release(columns->io, column);
		int closed = column->fd >= 0 ? columns->io->close(columns->io, column->fd) : 0;

		column->fd = -1;
		if (r == 0)
			r = released < 0 ? released : closed;
	}
	pthread_mutex_destroy(&columns->sync_lock);
	pthread_mutex_destroy(&columns->rows_lock);
	return r;
}

/* ---- growing and cutting ------------------------------------------------ */

/* Bring all three to `rows` rows from above: map, header, file. Goes on after an
 * error and returns the first; a file that stays longer is cut before it grows. */
static int shrink(struct columns *columns, uint64_t rows)
{
	struct column_kind kinds[COLUMNS];
	int first = 0;

	column_kinds(&columns->geometry, columns->version, kinds);
	for (unsigned i = 0; i < COLUMNS; i++) {
		struct column *column = column_of(columns, i);
		uint64_t bytes = bytes_of(column->row_bytes, rows);
		int r = column_unmap_above(column, bytes);

		if (r == 0)
			r = write_header(columns->io, column->fd, &kinds[i], rows,
			                 NPY_HEADER_MUTABLE_BYTES);
		if (r == 0)
			r = cut_file(columns, column, bytes);
		if (first == 0)
			first = r;
	}
	return first;
}

/* Blocks, and zeros in them, for the rows from `from` to `to`. */
static int extend_file(struct columns *columns, struct column *column, uint64_t from, uint64_t to)
{
	uint64_t old_bytes = bytes_of(column->row_bytes, from);
	uint64_t new_bytes = bytes_of(column->row_bytes, to);
	int r = cut_file(columns, column, old_bytes);

	if (r < 0)
		return r;
	column->file_bytes = new_bytes; /* a failure can leave it partly longer */
	return columns->io->allocate(columns->io, column->fd, old_bytes, new_bytes - old_bytes);
}

/* NONE in the IDs of the rows from `from` to `to`. */
static int fill_ids(struct columns *columns, uint64_t from, uint64_t to)
{
	uint64_t at = bytes_of(sizeof(uint64_t), from);
	uint64_t left = (to - from) * sizeof(uint64_t);
	size_t room = left < FILL_BYTES_MAX ? (size_t)left : FILL_BYTES_MAX;
	uint8_t *none = malloc(room);
	int r = 0;

	if (!none)
		return -ENOMEM;
	memset(none, 0xff, room);
	while (r == 0 && left > 0) {
		size_t length = left < room ? (size_t)left : room;

		r = io_write_all(columns->io, columns->ids.fd, none, length, at);
		at += length;
		left -= length;
	}
	free(none);
	return r;
}

int columns_grow(struct columns *columns, uint64_t rows)
{
	uint64_t old = atomic_load_explicit(&columns->rows, memory_order_relaxed);
	struct column_kind kinds[COLUMNS];
	int r = 0;

	if (rows <= old)
		return 0;
	if (rows > columns->rows_max)
		return -ENOSPC;
	column_kinds(&columns->geometry, columns->version, kinds);
	for (unsigned i = 0; r == 0 && i < COLUMNS; i++)
		r = extend_file(columns, column_of(columns, i), old, rows);
	if (r == 0)
		r = fill_ids(columns, old, rows);
	if (r == 0)
		r = map_all(columns, rows);
	if (r == 0)
		r = map_rows_to_store(columns);
	/* Last, so that at no time a header promises rows that are not there. */
	for (unsigned i = 0; r == 0 && i < COLUMNS; i++)
		r = write_header(columns->io, column_of(columns, i)->fd, &kinds[i], rows,
		                 NPY_HEADER_MUTABLE_BYTES);
	if (r < 0) {
		(void)shrink(columns, old); /* what failed first is the reason */
		return r;
	}
	atomic_store(&columns->grown, true); /* before anyone can write the new rows */
	atomic_store_explicit(&columns->rows, rows, memory_order_release);
	return 0;
}

int columns_write_headers(struct columns *columns)
{
	uint64_t rows = atomic_load_explicit(&columns->rows, memory_order_relaxed);
	struct column_kind kinds[COLUMNS];
	int r = 0;

	column_kinds(&columns->geometry, columns->version, kinds);
	for (unsigned i = 0; r == 0 && i < COLUMNS; i++)
		r = write_header(columns->io, column_of(columns, i)->fd, &kinds[i], rows,
		                 NPY_HEADER_MUTABLE_BYTES);
	return r;
}

bool columns_uncut(const struct columns *columns)
{
	uint64_t rows = atomic_load_explicit(&columns->rows, memory_order_relaxed);

	return columns->vectors.file_bytes > bytes_of(columns->vectors.row_bytes, rows) ||
	       columns->ids.file_bytes > bytes_of(columns->ids.row_bytes, rows) ||
	       columns->meta.file_bytes > bytes_of(columns->meta.row_bytes, rows);
}

int columns_cut(struct columns *columns, uint64_t rows)
{
	if (rows > atomic_load_explicit(&columns->rows, memory_order_relaxed))
		return 0;
	atomic_store_explicit(&columns->rows, rows, memory_order_release);
	return shrink(columns, rows);
}

int columns_forget(const struct columns *columns)
{
	int r = columns->io->forget(columns->io, columns->vectors.fd, 0, 0);

	if (r == 0)
		r = columns->io->forget(columns->io, columns->ids.fd, 0, 0);
	if (r == 0)
		r = columns->io->forget(columns->io, columns->meta.fd, 0, 0);
	return r;
}

/* Only whole pages are dropped. */
static int forget_part(const struct columns *columns, const struct column *column, uint64_t slot,
                       uint64_t count)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t from = column_row_offset(column, slot) / page * page;
	uint64_t to = (column_row_offset(column, slot + count) + page - 1) / page * page;

	return columns->io->forget(columns->io, column->fd, from, to - from);
}

/* Have the kernel read rows meanwhile. */
static void rows_soon(const struct columns *columns, uint64_t slot, uint64_t count)
{
	const struct column *const both[] = { &columns->ids, &columns->meta };

	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++)
		columns->io->hint(columns->io, both[i]->fd, column_row_offset(both[i], slot),
		                  count * both[i]->row_bytes, IO_WILL_READ);
}

int columns_forget_vectors(const struct columns *columns, uint64_t slot, uint64_t count)
{
	return forget_part(columns, &columns->vectors, slot, count);
}

int columns_forget_rows(const struct columns *columns, uint64_t slot, uint64_t count)
{
	int r = forget_part(columns, &columns->ids, slot, count);

	if (r == 0)
		r = forget_part(columns, &columns->meta, slot, count);
	/* Rows beside those that are written stand in the same pages. */
	if (r == 0)
		rows_soon(columns, slot, count);
	return r;
}

int columns_open_direct(const struct columns *columns)
{
	struct column_kind kinds[COLUMNS];

	column_kinds(&columns->geometry, columns->version, kinds);
	return columns->io->open(columns->io, columns->dir_fd, kinds[0].name, O_RDONLY | O_DIRECT,
	                         0);
}

void columns_slots_soon(const struct columns *columns, uint64_t slot, uint64_t count)
{
	columns->io->hint(columns->io, columns->vectors.fd, columns_vector_offset(columns, slot),
	                  count * columns->vectors.row_bytes, IO_WRITE_SOON);
}

void columns_write_soon(const struct columns *columns)
{
	columns->io->hint(columns->io, columns->vectors.fd, 0, 0, IO_WRITE_SOON);
	columns->io->hint(columns->io, columns->ids.fd, 0, 0, IO_WRITE_SOON);
	columns->io->hint(columns->io, columns->meta.fd, 0, 0, IO_WRITE_SOON);
}

/* Pages that are mapped to be stored in cost an interrupt each when they are written: all go at
 * once, to be mapped again when rows are stored. */
static void unmap_rows(struct columns *columns)
{
	pthread_mutex_lock(&columns->rows_lock);
	column_store_drop(&columns->ids);
	column_store_drop(&columns->meta);
	pthread_mutex_unlock(&columns->rows_lock);
}

int columns_sync(struct columns *columns, bool vectors, bool rows)
{
	int r;

	pthread_mutex_lock(&columns->sync_lock);
	r = columns->sync_error;
	if (r == 0 && vectors) {
		atomic_fetch_add(&columns->vector_syncs, 1);
		write_windows_unmap(columns);
		r = io_fdatasync(columns->io, columns->vectors.fd);
	}
	if (r == 0 && rows)
		unmap_rows(columns);
	if (r == 0 && rows)
		r = io_fdatasync(columns->io, columns->ids.fd);
	if (r == 0 && rows)
		r = io_fdatasync(columns->io, columns->meta.fd);
	columns->sync_error = r;
	pthread_mutex_unlock(&columns->sync_lock);
	return r;
}

static int write_out_piece(struct columns *columns, uint64_t offset, uint64_t length)
{
	int r;

	pthread_mutex_lock(&columns->sync_lock);
	r = columns->sync_error;
	if (r == 0)
		r = io_write_out(columns->io, columns->vectors.fd, offset, length);
	columns->sync_error = r;
	pthread_mutex_unlock(&columns->sync_lock);
	return r;
}

int columns_write_out(struct columns *columns)
{
	uint64_t bytes = bytes_of(columns->vectors.row_bytes, atomic_load(&columns->rows));
	uint64_t piece = bytes / PIECES_MAX / IO_PIECE_BYTES * IO_PIECE_BYTES + IO_PIECE_BYTES;
	int r = 0;

	write_windows_unmap(columns);
	for (uint64_t at = 0; r == 0 && at < bytes; at += piece) {
		/* Two at a time, or the device would wait for us. */
		columns->io->hint(columns->io, columns->vectors.fd, at + piece, piece,
		                  IO_WRITE_SOON);
		r = write_out_piece(columns, at, piece);
	}
	return r;
}

int columns_sync_slots(struct columns *columns)
{
	return columns_sync(columns, true, atomic_exchange(&columns->grown, false));
}
