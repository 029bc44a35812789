#include "engine/lists/upkeep_files.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/culprit.h"
#include "engine/base/epoch.h"
#include "engine/disk/nearest_files.h"
#include "engine/media/bytes.h"

static const char *const names[] = {
	[NEAREST_CENTROIDS] = NEAREST_CENTROIDS_NAME,
	[NEAREST_CELLS] = NEAREST_CELLS_NAME,
};

static struct report *report_of(struct upkeep *upkeep)
{
	return &upkeep->catalog->health->report;
}

/* How long a file is, for who asks. */
static void tell_bytes(struct upkeep *upkeep, uint64_t *kept, uint64_t bytes)
{
	pthread_mutex_lock(&upkeep->status_lock);
	*kept = bytes;
	pthread_mutex_unlock(&upkeep->status_lock);
}

/* ---- reading ---- */

/* Why a file counts as missing. */
static void tell_unfit(struct upkeep *upkeep, enum nearest_array array, int r)
{
	if (r == -ENOENT)
		return;
	report_add(report_of(upkeep), "%s: %s; %s", names[array],
	           r == -EBADMSG   ? "damaged"
	           : r == -ESTALE  ? "of another store, or another metric"
	           : r == -ENOTSUP ? "written by a newer version of quiverfs"
	                           : quiver_strerror(r),
	           array == NEAREST_CELLS
	                   ? "the vectors are divided into lists again"
	                   : "there is no index until one is built: `quiverfs index STORE start`");
}

static int fits_store(const struct upkeep *upkeep, const struct nearest_page *page,
                      enum quiver_metric metric)
{
	const struct quiver_geometry *geometry = &upkeep->catalog->columns.geometry;

	if (memcmp(page->uuid, geometry->uuid, sizeof(page->uuid)) != 0)
		return -ESTALE;
	if (page->array == NEAREST_CENTROIDS &&
	    (page->dim != geometry->dim || page->dtype != geometry->dtype ||
	     page->metric != metric))
		return -ESTALE;
	return 0;
}

/* Where the next numbers go. */
static int take_centroids(void *arg, uint64_t offset, size_t length, const void *from)
{
	float *centroids = arg;

	for (size_t i = 0; i < length / 4; i++) {
		uint32_t bits = get_le32((const uint8_t *)from + i * 4);
		float number;

		memcpy(&number, &bits, sizeof(number));
		if (!isfinite(number))
			return -EBADMSG;
		centroids[offset / 4 + i] = number;
	}
	return 0;
}

/* 0 with *centroids, the caller's, or NULL where the page has no help in it. */
static int load_centroids(struct upkeep *upkeep, enum quiver_metric metric,
                          struct nearest_page *page, float **centroids, uint64_t *file_bytes)
{
	struct nearest_file file;
	uint64_t bad = 0;
	int r = nearest_file_open(&file, upkeep->io, upkeep->dir_fd, NEAREST_CENTROIDS);

	*centroids = NULL;
	if (r)
		return r;
	*page = file.page;
	*file_bytes = file.layout.file_bytes;
	r = fits_store(upkeep, page, metric);
	if (r == 0 && !page->no_help) {
		*centroids = malloc(file.layout.data_bytes);
		r = *centroids ? nearest_file_read(&file, take_centroids, *centroids, &bad)
		               : -ENOMEM;
		if (r == 0 && bad > 0)
			r = -EBADMSG;
	}
	nearest_file_close(&file);
	if (r) {
		free(*centroids);
		*centroids = NULL;
	}
	return r;
}

bool upkeep_read_page(struct upkeep *upkeep, enum quiver_metric metric, struct nearest_page *page)
{
	struct nearest_file file;
	bool fits;

	if (nearest_file_open(&file, upkeep->io, upkeep->dir_fd, NEAREST_CENTROIDS) != 0)
		return false;
	*page = file.page;
	fits = fits_store(upkeep, page, metric) == 0;
	if (fits)
		tell_bytes(upkeep, &upkeep->centroids_bytes, file.layout.file_bytes);
	nearest_file_close(&file);
	return fits;
}

struct loading {
	struct upkeep *upkeep;
	struct lists *lists;
	uint64_t lsn; /* of the file */
	bool fits_all; /* nothing has been published since */
};

/* Whether the vector in the slot was there when the file was written. */
static bool is_older(const struct loading *loading, uint64_t slot)
{
	struct catalog *catalog = loading->upkeep->catalog;
	struct meta_row row;
	bool older = false;

	epoch_enter();
	if (slots_is_live(&catalog->slots, slot))
		older = loading->fits_all ||
		        (catalog_row(catalog, slot, columns_id(&catalog->columns, slot), &row) ==
		                 0 &&
		         row.lsn > 0 && row.lsn <= loading->lsn);
	epoch_leave();
	return older;
}

static int take_cells(void *arg, uint64_t offset, size_t length, const void *from)
{
	struct loading *loading = arg;
	struct lists *lists = loading->lists;
	uint64_t end = cells_end(lists->cells);
	int r = 0;

	if (atomic_load(&loading->upkeep->ending))
		return -EINTR;
	for (size_t i = 0; r == 0 && i < length / 4; i++) {
		uint32_t cell = get_le32((const uint8_t *)from + i * 4);
		uint64_t slot = offset / 4 + i;
		uint32_t was;

		if (slot >= end)
			break;
		was = cells_of(lists->cells, slot);
		if (was == CELL_FREE && cell > 0 && cell <= lists->page.rows &&
		    is_older(loading, slot))
			r = lists_put(lists, slot, was, cell - 1);
	}
	return r;
}

static int load_cells(struct upkeep *upkeep, struct lists *lists)
{
	struct loading loading = { .upkeep = upkeep, .lists = lists };
	struct nearest_file file;
	uint64_t bad = 0;
	int r = nearest_file_open(&file, upkeep->io, upkeep->dir_fd, NEAREST_CELLS);

	if (r == 0) {
		loading.lsn = file.page.lsn;
		loading.fits_all = atomic_load(upkeep->lsn) <= loading.lsn;
		r = fits_store(upkeep, &file.page, lists->page.metric);
		/* Between two renames it is that of the build before. */
		if (r == 0 && file.page.build == lists->page.build) {
			r = nearest_file_read(&file, take_cells, &loading, &bad);
			upkeep->saved_lsn = bad == 0 ? loading.lsn : 0;
			tell_bytes(upkeep, &upkeep->cells_bytes, file.layout.file_bytes);
		}
		nearest_file_close(&file);
	}
	if (bad > 0)
		report_add(report_of(upkeep),
		           "%s: %" PRIu64
		           " pages are damaged; their vectors are put into lists again",
		           names[NEAREST_CELLS], bad);
	if (r == 0 || r == -ENOMEM || r == -EINTR)
		return r;
	tell_unfit(upkeep, NEAREST_CELLS, r);
	return 0;
}

/* What is there and was not told of is pending. */
static int tell_rest(struct upkeep *upkeep, struct lists *lists)
{
	struct slots_counts counts;
	uint64_t end = cells_end(lists->cells);

	slots_counts(&upkeep->catalog->slots, &counts);
	if (end > counts.used)
		end = counts.used;
	for (uint64_t slot = 0; slot < end; slot++) {
		if (slot % CELLS_BLOCK == 0 && atomic_load(&upkeep->ending))
			return -EINTR;
		if (slots_is_live(&upkeep->catalog->slots, slot) &&
		    cells_of(lists->cells, slot) == CELL_FREE)
			cells_tell(lists->cells, slot);
	}
	return 0;
}

/* Lists of the centroids, which are theirs then. */
static int make_lists(struct upkeep *upkeep, const struct nearest_page *page, float *centroids,
                      struct lists **lists)
{
	int r;

	*lists = lists_create(upkeep->catalog, page, centroids);
	if (!*lists) {
		free(centroids);
		return -ENOMEM;
	}
	r = lists_watch(*lists);
	if (r == 0)
		r = load_cells(upkeep, *lists);
	if (r == 0)
		r = tell_rest(upkeep, *lists);
	if (r == 0)
		return 0;
	lists_unwatch(*lists);
	lists_free(*lists);
	*lists = NULL;
	return r;
}

int upkeep_load(struct upkeep *upkeep, enum quiver_metric metric, struct nearest_page *page,
                struct lists **lists)
{
	uint64_t file_bytes = 0;
	float *centroids;
	int r = load_centroids(upkeep, metric, page, &centroids, &file_bytes);

	*lists = NULL;
	if (r && r != -ENOMEM) {
		tell_unfit(upkeep, NEAREST_CENTROIDS, r);
		*page = (struct nearest_page){ .rows = 0 };
		tell_bytes(upkeep, &upkeep->centroids_bytes, 0);
		return 0;
	}
	if (r == 0 && centroids)
		r = make_lists(upkeep, page, centroids, lists);
	if (r == 0)
		tell_bytes(upkeep, &upkeep->centroids_bytes, file_bytes);
	return r;
}

/* ---- writing ---- */

static void fill_centroids(void *arg, uint64_t offset, size_t length, void *to)
{
	const float *centroids = arg;

	for (size_t i = 0; i < length / 4; i++) {
		uint32_t bits;

		memcpy(&bits, &centroids[offset / 4 + i], sizeof(bits));
		put_le32((uint8_t *)to + i * 4, bits);
	}
}

static void fill_cells(void *arg, uint64_t offset, size_t length, void *to)
{
	const struct cells *cells = arg;

	for (size_t i = 0; i < length / 4; i++) {
		uint32_t cell = cells_of(cells, offset / 4 + i);

		put_le32((uint8_t *)to + i * 4, cell_is_list(cell) ? cell : 0);
	}
}

static int write_one(struct upkeep *upkeep, const struct nearest_page *page,
                     void (*fill)(void *arg, uint64_t offset, size_t length, void *to), void *arg,
                     uint64_t *kept_bytes)
{
	uint64_t file_bytes;
	int r;

	r = nearest_file_write(upkeep->io, upkeep->dir_fd, upkeep->catalog->columns.ids.fd, page,
	                       fill, arg, &file_bytes);
	if (r == 0) {
		tell_bytes(upkeep, kept_bytes, file_bytes);
	} else if (!atomic_exchange(&upkeep->failed, true)) {
		report_add(report_of(upkeep),
		           "%s: cannot be written: %s; the index continues in memory, and is "
		           "completed when the store is opened next",
		           names[page->array], quiver_strerror(r));
	}
	return r;
}

int upkeep_write_centroids(struct upkeep *upkeep, const struct nearest_page *page,
                           const float *centroids)
{
	struct nearest_page written = *page;

	written.lsn = atomic_load(upkeep->lsn);
	return write_one(upkeep, &written, fill_centroids, (void *)(uintptr_t)centroids,
	                 &upkeep->centroids_bytes);
}

int upkeep_write_cells(struct upkeep *upkeep, const struct lists *lists)
{
	struct nearest_page page = { .array = NEAREST_CELLS, .build = lists->page.build };
	struct slots_counts counts;

	/* Before the cells: a vector that came later is told by its LSN. */
	page.lsn = atomic_load(upkeep->lsn);
	memcpy(page.uuid, lists->page.uuid, sizeof(page.uuid));
	slots_counts(&upkeep->catalog->slots, &counts);
	page.rows = counts.used < cells_end(lists->cells) ? counts.used : cells_end(lists->cells);
	return write_one(upkeep, &page, fill_cells, lists->cells, &upkeep->cells_bytes);
}
