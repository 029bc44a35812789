#include "engine/disk/meta_upgrade.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/sizes.h"
#include "engine/disk/column_kinds.h"
#include "engine/media/meta_row_codec.h"
#include "engine/media/npy_header.h"

uint64_t meta_upgrade_bytes(const struct columns *columns)
{
	return COLUMN_HEADER_BYTES + atomic_load(&columns->rows) * META_ROW_BYTES;
}

static int convert(const struct columns *columns, struct meta_upgrade *upgrade, uint64_t slot,
                   uint64_t id, uint8_t to[META_ROW_BYTES])
{
	uint8_t bad[META_ROW_BYTES];
	struct meta_row row;
	size_t bad_bytes;
	int r = columns_meta(columns, slot, id, &row);

	if (r == -EBADMSG) {
		r = columns_meta_bytes(columns, slot, bad, &bad_bytes);
		if (r)
			return r;
		meta_encode_bad(bad, id, slot, to);
		upgrade->bad_rows++;
		return 0;
	}
	if (r)
		return r;
	meta_encode(&row, id, slot, to);
	if (row.lsn != 0 && row.attr.ctime_ns > upgrade->ctime_max_ns)
		upgrade->ctime_max_ns = row.attr.ctime_ns;
	return 0;
}

/* From the file: in the map a page that cannot be read is one of no IDs, and its rows would be made
 * bad for ever by it. */
static int read_ids(const struct columns *columns, uint64_t slot, uint64_t count, uint8_t *ids)
{
	int r = io_read_all(columns->io, columns->ids.fd, ids, count * sizeof(uint64_t),
	                    column_row_offset(&columns->ids, slot));

	return r == -ENODATA ? -EIO : r;
}

static int write_rows(const struct columns *columns, struct meta_upgrade *upgrade, int fd)
{
	uint64_t rows = atomic_load(&columns->rows);
	uint8_t *bytes = malloc(UPGRADE_ROWS * (META_ROW_BYTES + sizeof(uint64_t)));
	uint8_t *ids = bytes ? bytes + UPGRADE_ROWS * META_ROW_BYTES : NULL;
	int r = bytes ? 0 : -ENOMEM;

	for (uint64_t slot = 0; r == 0 && slot < rows;) {
		uint64_t at = COLUMN_HEADER_BYTES + slot * META_ROW_BYTES;
		uint64_t n = rows - slot < UPGRADE_ROWS ? rows - slot : UPGRADE_ROWS;

		r = read_ids(columns, slot, n, ids);
		for (uint64_t i = 0; r == 0 && i < n; i++)
			r = convert(columns, upgrade, slot + i,
			            get_le64(ids + i * sizeof(uint64_t)),
			            bytes + i * META_ROW_BYTES);
		if (r == 0)
			r = io_write_all(columns->io, fd, bytes, n * META_ROW_BYTES, at);
		if (r == 0)
			columns->io->hint(columns->io, fd, at, n * META_ROW_BYTES, IO_WRITE_SOON);
		slot += n;
		if (r == 0 && upgrade->on_rows)
			upgrade->on_rows(upgrade->arg, slot, rows);
	}
	free(bytes);
	return r;
}

static int write_header(const struct columns *columns, int fd)
{
	struct column_kind kinds[COLUMNS];
	uint8_t header[NPY_HEADER_BYTES];

	column_kinds(&columns->geometry, QUIVER_FORMAT_VERSION, kinds);
	npy_header_encode(header, kinds[2].descr, kinds[2].row_items, atomic_load(&columns->rows));
	return io_write_all(columns->io, fd, header, sizeof(header), 0);
}

int meta_upgrade_write(const struct columns *columns, struct meta_upgrade *upgrade)
{
	const struct quiver_io *io = columns->io;
	int fd = io_open_new(io, columns->dir_fd, META_NEW_NAME);
	int r = 0;
	int c;

	upgrade->ctime_max_ns = INT64_MIN;
	upgrade->bad_rows = 0;
	if (fd < 0)
		return fd;
	/* Else a store that root upgrades would be closed to its owner. */
	r = io->own_as ? io->own_as(io, fd, columns->meta.fd) : 0;
	/* A disk that is too small says so at once. */
	if (r == 0)
		r = io->allocate(io, fd, 0, meta_upgrade_bytes(columns));
	if (r == 0)
		r = write_rows(columns, upgrade, fd);
	if (r == 0)
		r = write_header(columns, fd);
	if (r == 0)
		r = io_fsync(io, fd);
	c = io->close(io, fd);
	r = r ? r : c;
	if (r)
		(void)io->unlink(io, columns->dir_fd,
		                 META_NEW_NAME); /* what failed first is the reason */
	return r;
}
