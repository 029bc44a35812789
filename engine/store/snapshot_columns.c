/* The columns of a snapshot as files: the rows that it has, and nothing in the others. */
#include <errno.h>
#include <string.h>

#include "engine/base/fault.h"
#include "engine/disk/column_kinds.h"
#include "engine/index/snapshot_read.h"
#include "engine/media/bytes.h"
#include "engine/media/npy_header.h"
#include "engine/store/snapshot_view.h"

static uint32_t row_bytes(const struct snapshot_view *view, enum quiver_column column)
{
	return column == QUIVER_COLUMN_IDS ? view->catalog->columns.ids.row_bytes
	                                   : view->catalog->columns.vectors.row_bytes;
}

uint64_t snapshot_column_bytes(struct quiver *store, enum quiver_column column)
{
	struct snapshot_view *view = snapshot_view_of(store);

	return COLUMN_HEADER_BYTES + view->page.slots_used * row_bytes(view, column);
}

int snapshot_column_hold(struct quiver *store, enum quiver_column column, int *fd,
                         uint64_t *size_bytes)
{
	/* The slots are held anyway, so nothing more has to be. */
	*fd = column == QUIVER_COLUMN_IDS ? -1
	                                  : snapshot_view_of(store)->catalog->columns.vectors.fd;
	*size_bytes = snapshot_column_bytes(store, column);
	return 0;
}

void snapshot_column_release(struct quiver *store, enum quiver_column column)
{
	(void)store;
	(void)column;
}

static void read_header(const struct snapshot_view *view, enum quiver_column column,
                        uint64_t offset, size_t length, uint8_t *to)
{
	uint8_t header[NPY_HEADER_BYTES];
	struct column_kind kinds[COLUMNS];
	const struct column_kind *kind = &kinds[column == QUIVER_COLUMN_IDS];

	column_kinds(&view->geometry, view->catalog->columns.version, kinds);
	npy_header_encode(header, kind->descr, kind->row_items, view->page.slots_used);
	memcpy(to, header + offset, length);
}

/* A part of one row. 0, -EIO (reported). */
static int read_row(const struct snapshot_view *view, enum quiver_column column, uint64_t slot,
                    uint32_t offset, uint32_t length, uint8_t *to)
{
	struct catalog *catalog = view->catalog;
	uint8_t bytes[sizeof(uint64_t)];
	uint64_t id = QUIVER_ID_NONE;
	int r = slot < view->rows_end ? snapshot_id(catalog, view->page.lsn, slot, &id) : -ENOENT;

	if (r && r != -ENOENT)
		return catalog_row_error(catalog, id, slot, r);
	if (column == QUIVER_COLUMN_IDS) {
		put_le64(bytes, r ? QUIVER_ID_NONE : id);
		memcpy(to, bytes + offset, length);
		return 0;
	}
	if (r) {
		memset(to, 0, length);
		return 0;
	}
	r = fault_copy(to, (const uint8_t *)columns_vector(&catalog->columns, slot) + offset,
	               length);
	if (r)
		atomic_fetch_add(&catalog->health->counters.io_errors, 1);
	return r;
}

int64_t snapshot_column_read(struct quiver *store, enum quiver_column column, uint64_t offset,
                             size_t length, void *to)
{
	struct snapshot_view *view = snapshot_view_of(store);
	uint64_t size = snapshot_column_bytes(store, column);
	uint32_t bytes = row_bytes(view, column);
	uint8_t *at = to;

	if (offset >= size)
		return 0;
	if (length > size - offset)
		length = size - offset;
	for (size_t left = length; left > 0;) {
		uint64_t place = offset - COLUMN_HEADER_BYTES;
		uint64_t end = offset < COLUMN_HEADER_BYTES ? COLUMN_HEADER_BYTES - offset
		                                            : bytes - place % bytes;
		size_t n = left < end ? left : (size_t)end;
		int r = 0;

		if (offset < COLUMN_HEADER_BYTES)
			read_header(view, column, offset, n, at);
		else
			r = read_row(view, column, place / bytes, (uint32_t)(place % bytes),
			             (uint32_t)n, at);
		if (r)
			return left < length ? (int64_t)(length - left) : r;
		offset += n;
		at += n;
		left -= n;
	}
	return (int64_t)length;
}

/* Nothing changes. */
int snapshot_column_watch(struct quiver *store, const struct quiver_watcher *watcher)
{
	(void)store;
	(void)watcher;
	return 0;
}

void snapshot_column_unwatch(struct quiver *store, bool wait)
{
	(void)store;
	(void)wait;
}
