/*
 * A snapshot that is opened by its path, "STORE@NAME", whoever has the store open: its rows are read
 * once, into a table of this process; the vectors stay where they are, as the snapshot holds them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/disk/columns_private.h"
#include "engine/recovery/snapshot_scan.h"
#include "engine/store/snapshot_view.h"
#include "engine/store/store.h"

#define ROWS_AT_ONCE 4096u

struct alone {
	struct snapshot_view view; /* the first member: it is the open store */
	struct catalog catalog;
	struct health health;
	const struct quiver_io *io;
	int hold_fd; /* keeps the snapshot from being removed */
};

/* ---- its table ---- */

static int add_row(struct alone *alone, const struct snapshot_row *row, struct quiver_error *error)
{
	struct catalog *catalog = &alone->catalog;
	int r;

	if (row->id > QUIVER_ID_MAX || index_find(&catalog->index, row->id) != SLOT_NONE) {
		error_set(error,
		          "ids.npy: slot %" PRIu64 " says vector %" PRIu64
		          ", but that is in another slot, too, or cannot exist; `quiverfs check` "
		          "says more",
		          row->slot, row->id);
		return -EUCLEAN;
	}
	r = columns_put_private(&catalog->columns, row->slot, row->id, &row->row);
	if (r) {
		error_set(error,
		          "vectors.npy: it was cut short: it ends before slot %" PRIu64
		          ", which a snapshot holds; restore it from a copy",
		          row->slot);
		return r;
	}
	r = index_make_room(&catalog->index, 1);
	if (r)
		return r;
	slots_load_live(&catalog->slots, row->slot);
	index_insert(&catalog->index, row->id, row->slot);
	return 0;
}

static int read_rows(struct alone *alone, struct snapshot_scan *scan, struct quiver_error *error)
{
	struct snapshot_row *rows = malloc(ROWS_AT_ONCE * sizeof(*rows));
	uint64_t next = 0, found = 0;
	int64_t n = 1;
	int r = rows ? 0 : -ENOMEM;

	while (r == 0 && n > 0) {
		n = snapshot_scan_read(scan, &next, rows, ROWS_AT_ONCE, error);
		for (int64_t i = 0; r == 0 && i < n; i++)
			r = add_row(alone, &rows[i], error);
		found += n > 0 ? (uint64_t)n : 0;
	}
	free(rows);
	if (r == 0 && n < 0)
		r = (int)n;
	return r ? r : snapshot_scan_whole(scan, found, error);
}

static int fill(struct alone *alone, struct snapshot_scan *scan, struct quiver_error *error)
{
	const struct snapshot_page *page = snapshot_scan_page(scan);
	struct catalog *catalog = &alone->catalog;
	int r = catalog_open_private(catalog, alone->io, snapshot_scan_folder(scan),
	                             snapshot_scan_geometry(scan), page->slots_used, error);

	if (r == 0)
		r = index_init(&catalog->index, &catalog->columns, page->count);
	if (r == 0)
		r = read_rows(alone, scan, error);
	if (r == 0)
		columns_seal_private(&catalog->columns);
	return r;
}

/* ---- life ---- */

static int give_up(struct alone *alone)
{
	int r = catalog_close(&alone->catalog);
	int closed = alone->hold_fd >= 0 ? alone->io->close(alone->io, alone->hold_fd) : 0;

	catalog_destroy(&alone->catalog);
	health_destroy(&alone->health);
	free(alone);
	return r ? r : closed;
}

static int alone_close(struct quiver *store)
{
	struct snapshot_view *view = snapshot_view_of(store);

	snapshot_view_end(view);
	return give_up(view->owner);
}

static struct alone *new_alone(const struct quiver_options *options)
{
	struct alone *alone = calloc(1, sizeof(*alone));

	if (!alone)
		return NULL;
	alone->hold_fd = -1;
	alone->io = options->io ? options->io : quiver_io_posix();
	if (health_init(&alone->health, true, options->on_report, options->on_report_arg) != 0) {
		free(alone);
		return NULL;
	}
	alone->health.report.note_sink = options->on_note;
	catalog_init(&alone->catalog, &alone->health);
	return alone;
}

static int open_scanned(struct snapshot_scan *scan, const char *name,
                        const struct quiver_options *options, struct quiver **out,
                        struct quiver_error *error)
{
	struct alone *alone = new_alone(options);
	int r;

	if (!alone)
		return -ENOMEM;
	r = fill(alone, scan, error);
	if (r) {
		(void)give_up(alone); /* what failed first is the reason */
		return r;
	}
	alone->hold_fd = snapshot_scan_take_hold(scan);
	snapshot_view_begin(&alone->view, &alone->catalog, snapshot_scan_page(scan), name,
	                    alone_close);
	alone->view.owner = alone;
	*out = (struct quiver *)&alone->view;
	return 0;
}

int snapshot_alone_open(const char *path, size_t length, const struct quiver_options *options,
                        struct quiver **out, struct quiver_error *error)
{
	const char *name = path + length + 1;
	struct snapshot_scan *scan = NULL;
	char *store;
	int r = fault_init();

	if (!options->read_only) {
		error_set(error, "%s: a snapshot cannot be changed: open it read-only (-o ro)",
		          path);
		return -EROFS;
	}
	store = strndup(path, length);
	if (r == 0)
		r = store ? 0 : -ENOMEM;
	if (r == 0)
		r = snapshot_scan_open(store, name, options->io, &scan, error);
	if (r == 0)
		r = open_scanned(scan, name, options, out, error);
	snapshot_scan_close(scan);
	free(store);
	if (r && error && error->text[0] == '\0')
		error_set(error, "%s: cannot open the snapshot: %s", path, quiver_strerror(r));
	return r;
}
