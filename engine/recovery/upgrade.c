#include "engine/recovery/upgrade.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine/base/error.h"
#include "engine/base/latency.h"
#include "engine/disk/column_kinds.h"
#include "engine/disk/meta_upgrade.h"

#define NS_PER_S UINT64_C(1000000000)
/* Who waits sees that it goes on. */
#define PROGRESS_NS (5 * NS_PER_S)

struct progress {
	struct report *report;
	uint64_t told_ns; /* when the last line was */
};

static void tell(void *arg, uint64_t done, uint64_t rows)
{
	struct progress *progress = arg;
	uint64_t now_ns = clock_monotonic_ns();

	if (now_ns - progress->told_ns < PROGRESS_NS)
		return;
	progress->told_ns = now_ns;
	report_note(progress->report,
	            "upgrade to format %d: %" PRIu64 " of %" PRIu64 " rows (%" PRIu64 " %%)",
	            QUIVER_FORMAT_VERSION, done, rows, done * 100 / rows);
}

int64_t upgrade_ctime_max(const struct columns *columns)
{
	uint64_t rows = atomic_load(&columns->rows);
	int64_t max_ns = INT64_MIN;

	for (uint64_t slot = 0; slot < rows; slot++) {
		struct meta_row row;

		if (columns_meta(columns, slot, columns_id(columns, slot), &row) == 0 &&
		    row.lsn != 0 && row.attr.ctime_ns > max_ns)
			max_ns = row.attr.ctime_ns;
	}
	return max_ns;
}

/* The same columns, as those of this version: the new file takes its name. */
static int reopen(struct catalog *catalog, const struct superblock *sb, int dir_fd,
                  struct quiver_error *error)
{
	struct columns *columns = &catalog->columns;
	const struct quiver_geometry geometry = columns->geometry;
	const struct quiver_io *io = columns->io;
	uint64_t rows_max = columns->rows_max;
	int r = columns_close(columns);

	catalog->opened = false;
	if (r)
		return r;
	r = columns_open(columns, io, dir_fd, &geometry, sb->version, sb->slots_used, false, error);
	if (r)
		return r;
	catalog->opened = true;
	/* The maps of the slots have room for so many. */
	if (columns->rows_max > rows_max)
		columns->rows_max = rows_max;
	return 0;
}

static void explain(const struct columns *columns, int r, struct quiver_error *error)
{
	error_set(error,
	          "the store has format 1, and its upgrade to format %d failed while writing %s, "
	          "which takes %" PRIu64 " bytes: %s; nothing has changed; make room or remove the "
	          "cause, or open the store read-only, without an upgrade",
	          QUIVER_FORMAT_VERSION, META_NEW_NAME, meta_upgrade_bytes(columns),
	          quiver_strerror(r));
}

int upgrade_store(struct catalog *catalog, struct superblock_file *superblock, int dir_fd,
                  struct quiver_error *error)
{
	uint64_t began_ns = clock_monotonic_ns();
	struct progress progress = { .report = &catalog->health->report, .told_ns = began_ns };
	struct meta_upgrade upgrade = { .on_rows = tell, .arg = &progress };
	struct superblock *sb = &superblock->now;
	uint64_t rows = atomic_load(&catalog->columns.rows);
	int r;

	report_note(progress.report,
	            "the store has format 1 and is upgraded to format %d; older programs cannot "
	            "open it then",
	            QUIVER_FORMAT_VERSION);
	r = meta_upgrade_write(&catalog->columns, &upgrade);
	if (r == 0)
		r = io_fsync(superblock->io, dir_fd);
	if (r) {
		explain(&catalog->columns, r, error);
		return r;
	}
	superblock_upgrade(sb, upgrade.ctime_max_ns);
	r = superblock_write(superblock->io, superblock->fd, sb);
	/* Both copies, or damage of the one would leave one of version 1 beside rows of this. */
	if (r == 0)
		r = superblock_write(superblock->io, superblock->fd, sb);
	if (r == 0)
		r = reopen(catalog, sb, dir_fd, error);
	if (r)
		return r;
	report_note(progress.report, "upgraded to format %d: %" PRIu64 " rows in %.1f s",
	            QUIVER_FORMAT_VERSION, rows,
	            (double)(clock_monotonic_ns() - began_ns) / (double)NS_PER_S);
	if (upgrade.bad_rows > 0)
		report_add(progress.report,
		           "meta.npy: %" PRIu64 " rows were damaged before the upgrade and still "
		           "are; `quiverfs check` says which",
		           upgrade.bad_rows);
	return 0;
}
