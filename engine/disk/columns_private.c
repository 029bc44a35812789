#include "engine/disk/columns_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/culprit.h"
#include "engine/base/error.h"
#include "engine/disk/column_kinds.h"
#include "engine/disk/column_map.h"
#include "engine/media/bytes.h"
#include "engine/media/meta_row_codec.h"

static uint64_t bytes_of(const struct column *column, uint64_t rows)
{
	return COLUMN_HEADER_BYTES + rows * column->row_bytes;
}

static uint8_t *writable(const struct column *column)
{
	return (uint8_t *)(uintptr_t)column->map;
}

static int make_table(struct column *column, uint64_t rows)
{
	int r = column_reserve(column, bytes_of(column, rows));

	if (r == 0 &&
	    mprotect(writable(column), column->reserved_bytes, PROT_READ | PROT_WRITE) != 0)
		r = -errno;
	if (r == 0)
		atomic_store(&column->mapped_bytes, column->reserved_bytes);
	return r;
}

/* A file that is shorter has lost only slots that nobody holds. */
static int map_vectors(struct columns *columns, uint64_t rows)
{
	const struct quiver_io *io = columns->io;
	struct column *column = &columns->vectors;
	uint64_t bytes = bytes_of(column, rows);
	struct stat st;
	int r = io->stat(io, column->fd, &st);

	if (r == 0)
		r = column_reserve(column, bytes);
	if (r)
		return r;
	column->file_bytes = (uint64_t)st.st_size < bytes ? (uint64_t)st.st_size : bytes;
	return column_map_to(io, column, column->file_bytes);
}

int columns_open_private(struct columns *columns, const struct quiver_io *io, int dir_fd,
                         const struct quiver_geometry *geometry, uint64_t rows,
                         struct quiver_error *error)
{
	struct column_kind kinds[COLUMNS];
	int r;

	*columns = (struct columns){ .io = io,
		                     .geometry = *geometry,
		                     .version = QUIVER_FORMAT_VERSION,
		                     .dir_fd = dir_fd,
		                     .rows_max = rows > 0 ? rows : 1 };
	pthread_mutex_init(&columns->rows_lock, NULL);
	pthread_mutex_init(&columns->sync_lock, NULL);
	column_kinds(geometry, QUIVER_FORMAT_VERSION, kinds);
	columns->vectors.row_bytes = kinds[0].row_bytes;
	columns->ids.row_bytes = kinds[1].row_bytes;
	columns->meta.row_bytes = kinds[2].row_bytes;
	columns->ids.fd = columns->meta.fd = -1;
	r = columns->vectors.fd = io->open(io, dir_fd, kinds[0].name, O_RDONLY, 0);
	if (r >= 0)
		r = map_vectors(columns, rows);
	if (r < 0) {
		error_set(error, "%s: %s", kinds[0].name, culprit_why(r));
		return r;
	}
	r = make_table(&columns->ids, rows);
	if (r == 0)
		r = make_table(&columns->meta, rows);
	if (r) {
		error_set(error, "no memory for a table of %llu rows: %s", (unsigned long long)rows,
		          quiver_strerror(r));
		return r;
	}
	memset(writable(&columns->ids) + COLUMN_HEADER_BYTES, 0xff, rows * sizeof(uint64_t));
	atomic_store(&columns->rows, rows);
	return 0;
}

int columns_put_private(struct columns *columns, uint64_t slot, uint64_t id,
                        const struct meta_row *row)
{
	if (bytes_of(&columns->vectors, slot + 1) > columns->vectors.file_bytes)
		return -EUCLEAN;
	put_le64(writable(&columns->ids) + column_row_offset(&columns->ids, slot), id);
	meta_encode(row, id, slot,
	            writable(&columns->meta) + column_row_offset(&columns->meta, slot));
	return 0;
}

void columns_seal_private(struct columns *columns)
{
	/* Against faults of this program alone: where it cannot be, all works as well. */
	(void)mprotect(writable(&columns->ids), columns->ids.reserved_bytes, PROT_READ);
	(void)mprotect(writable(&columns->meta), columns->meta.reserved_bytes, PROT_READ);
}
