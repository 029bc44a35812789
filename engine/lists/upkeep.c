#include "engine/lists/upkeep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "engine/base/epoch.h"
#include "engine/base/latency.h"
#include "engine/disk/nearest_files.h"
#include "engine/lists/assign.h"
#include "engine/lists/measure.h"
#include "engine/lists/upkeep_files.h"
#include "engine/media/bytes.h"

/* Put into lists in one step. */
#define STEP_VECTORS 16384u
/* Measured again when so large a part of the vectors has come anew, ... */
#define MEASURE_SHARE 8u
/* ... and saved when so large a part and so many have, but not all the time. */
#define SAVE_SHARE 16u
#define SAVE_LEAST 65536u
#define SAVE_PAUSE_NS (UINT64_C(60) * 1000000000)
/* Between builds that nobody has asked for. */
#define BUILD_PAUSE_NS (UINT64_C(600) * 1000000000)
/* What was in use goes when nobody is in it any more. */
#define DRAIN_PAUSE_NS 2000000

void upkeep_init(struct upkeep *upkeep, struct catalog *catalog, const struct quiver_io *io,
                 const _Atomic uint64_t *lsn)
{
	upkeep->catalog = catalog;
	upkeep->io = io;
	upkeep->lsn = lsn;
	upkeep->dir_fd = -1;
	pthread_mutex_init(&upkeep->load_lock, NULL);
	pthread_mutex_init(&upkeep->status_lock, NULL);
}

void upkeep_open(struct upkeep *upkeep, int dir_fd, bool may_write)
{
	upkeep->dir_fd = dir_fd;
	upkeep->may_write = may_write;
}

/* Take what is in use out of use, and free it when the last question has left. */
static void put_in_use(struct upkeep *upkeep, struct lists *lists)
{
	struct lists *former;

	if (lists)
		lists->is_shared = true;
	former = atomic_exchange(&upkeep->current, lists);
	if (!former)
		return;
	epoch_wait();
	while (atomic_load(&former->users) > 0) {
		const struct timespec pause = { .tv_nsec = DRAIN_PAUSE_NS };

		(void)nanosleep(&pause, NULL);
	}
	lists_unwatch(former);
	lists_free(former);
}

void upkeep_destroy(struct upkeep *upkeep)
{
	lists_free(atomic_load(&upkeep->current));
	pthread_mutex_destroy(&upkeep->load_lock);
	pthread_mutex_destroy(&upkeep->status_lock);
}

bool upkeep_has_files(const struct upkeep *upkeep)
{
	int fd = upkeep->io->open(upkeep->io, upkeep->dir_fd, NEAREST_CENTROIDS_NAME, O_RDONLY, 0);

	if (fd < 0)
		return fd != -ENOENT; /* what is wrong is told when they are loaded */
	(void)upkeep->io->close(upkeep->io, fd);
	return true;
}

bool upkeep_is_idle(struct upkeep *upkeep)
{
	return atomic_load(&upkeep->loaded) && !atomic_load(&upkeep->wanted) &&
	       upkeep->page.rows == 0;
}

static void set_page(struct upkeep *upkeep, const struct nearest_page *page)
{
	pthread_mutex_lock(&upkeep->status_lock);
	upkeep->page = *page;
	pthread_mutex_unlock(&upkeep->status_lock);
}

/* ---- loading ---- */

void upkeep_look(struct upkeep *upkeep, enum quiver_metric metric)
{
	struct nearest_page page;

	if (upkeep_read_page(upkeep, metric, &page))
		set_page(upkeep, &page);
}

/* Once; where there was no memory it is tried again. */
static void load(struct upkeep *upkeep, enum quiver_metric metric)
{
	struct nearest_page page;
	struct lists *lists;

	if (upkeep_load(upkeep, metric, &page, &lists) != 0)
		return;
	set_page(upkeep, &page);
	put_in_use(upkeep, lists);
	atomic_store(&upkeep->loaded, true);
}

/* ---- building ---- */

/* Another for each build; the same for the same store, time and state. */
static uint64_t number_build(const struct upkeep *upkeep)
{
	uint8_t bytes[16 + 8 + 8];

	memcpy(bytes, upkeep->catalog->columns.geometry.uuid, 16);
	put_le64(bytes + 16, atomic_load(upkeep->lsn));
	put_le64(bytes + 24, (uint64_t)clock_realtime_ns());
	return XXH3_64bits(bytes, sizeof(bytes));
}

static void save_centroids(struct upkeep *upkeep, const struct lists *lists)
{
	/* Reported. */
	upkeep->unsaved = upkeep_write_centroids(upkeep, &lists->page, lists->centroids) != 0;
}

/* Lists that do not help are not kept, but that they do not is. */
static void use_built(struct upkeep *upkeep, struct lists *lists)
{
	const struct nearest_page page = lists->page;

	save_centroids(upkeep, lists);
	pthread_mutex_lock(&upkeep->status_lock);
	upkeep->page = page;
	upkeep->started_ns = page.started_ns;
	pthread_mutex_unlock(&upkeep->status_lock);
	if (page.no_help) {
		lists_unwatch(lists);
		lists_free(lists);
		put_in_use(upkeep, NULL);
		upkeep->unsaved = false; /* it is found out again */
		/* They tell nothing. */
		(void)nearest_files_remove(upkeep->io, upkeep->dir_fd, true);
		return;
	}
	upkeep->measured_assigned = atomic_load(&lists->assigned);
	upkeep->saved_assigned = atomic_load(&lists->assigned);
	upkeep->saved_lsn = atomic_load(upkeep->lsn);
	upkeep->saved_ns = clock_monotonic_ns();
	if (!upkeep->unsaved)
		(void)upkeep_write_cells(upkeep, lists); /* reported */
	put_in_use(upkeep, lists);
}

int upkeep_want(struct upkeep *upkeep)
{
	if (atomic_exchange(&upkeep->wanted, true))
		return -EBUSY;
	atomic_store(&upkeep->work.stop, false);
	/* Who ends it sets this first. */
	if (atomic_load(&upkeep->ending))
		atomic_store(&upkeep->work.stop, true);
	return 0;
}

void upkeep_stop(struct upkeep *upkeep)
{
	atomic_store(&upkeep->work.stop, true);
}

void upkeep_end(struct upkeep *upkeep)
{
	atomic_store(&upkeep->ending, true);
	atomic_store(&upkeep->work.stop, true);
	atomic_store(&upkeep->measuring.stop, true);
}

void upkeep_resume(struct upkeep *upkeep)
{
	atomic_store(&upkeep->wanted, false);
	atomic_store(&upkeep->measuring.stop, false);
	atomic_store(&upkeep->ending, false);
}

static void build(struct upkeep *upkeep, enum quiver_metric metric)
{
	uint64_t began = clock_monotonic_ns();
	struct lists *lists = NULL;
	int r;

	pthread_mutex_lock(&upkeep->status_lock);
	upkeep->started_ns = clock_realtime_ns();
	pthread_mutex_unlock(&upkeep->status_lock);
	atomic_store(&upkeep->work.done, 0);
	r = build_lists(upkeep->catalog, metric, upkeep->catalog->columns.geometry.uuid,
	                number_build(upkeep), &lists, &upkeep->work);
	if (r == 0)
		use_built(upkeep, lists);
	upkeep->not_before_ns = clock_monotonic_ns() + BUILD_PAUSE_NS;
	pthread_mutex_lock(&upkeep->status_lock);
	upkeep->result = r;
	upkeep->duration_ns = (int64_t)(clock_monotonic_ns() - began);
	pthread_mutex_unlock(&upkeep->status_lock);
	atomic_store(&upkeep->wanted, false);
}

/* ---- keeping up ---- */

/* What came since is not as what was measured: how well do they do now? Whether to make them anew. */
static bool has_drifted(struct upkeep *upkeep, struct lists *lists)
{
	uint64_t assigned = atomic_load(&lists->assigned);
	uint64_t random = number_build(upkeep);
	struct measures measures;

	if (assigned - upkeep->measured_assigned <
	    catalog_count(upkeep->catalog) / MEASURE_SHARE + NEAREST_INDEX_LEAST / MEASURE_SHARE)
		return false;
	upkeep->measured_assigned = assigned;
	if (measure(lists, &random, &measures, &upkeep->measuring) != 0)
		return false;
	if (measures.recall_before < MEASURE_DRIFTED)
		return true;
	measure_set(lists, &measures);
	set_page(upkeep, &lists->page);
	save_centroids(upkeep, lists);
	return false;
}

/* Whether a build is due that nobody has asked for. */
static bool is_outgrown(struct upkeep *upkeep, enum quiver_metric metric)
{
	struct lists *lists = atomic_load(&upkeep->current);
	uint64_t count = catalog_count(upkeep->catalog);

	if (upkeep->page.rows == 0 || count < NEAREST_INDEX_LEAST ||
	    clock_monotonic_ns() < upkeep->not_before_ns)
		return false;
	if (upkeep->page.metric != metric ||
	    count > upkeep->page.vectors + upkeep->page.vectors / 2 ||
	    count < upkeep->page.vectors / 2 || (lists && atomic_load(&lists->cells->lost)))
		return true;
	return lists && has_drifted(upkeep, lists);
}

/* Cells mean nothing without the centroids, of which there was no room on the disk maybe. */
static void save(struct upkeep *upkeep, const struct lists *lists)
{
	upkeep->saved_assigned = atomic_load(&lists->assigned);
	upkeep->saved_lsn = atomic_load(upkeep->lsn);
	upkeep->saved_ns = clock_monotonic_ns();
	if (upkeep->unsaved)
		save_centroids(upkeep, lists);
	if (!upkeep->unsaved)
		(void)upkeep_write_cells(upkeep, lists); /* reported */
}

static void save_if_due(struct upkeep *upkeep, const struct lists *lists)
{
	uint64_t since = atomic_load(&lists->assigned) - upkeep->saved_assigned;

	if (!upkeep->unsaved &&
	    (since < SAVE_LEAST || since < catalog_count(upkeep->catalog) / SAVE_SHARE))
		return;
	if (clock_monotonic_ns() - upkeep->saved_ns >= SAVE_PAUSE_NS)
		save(upkeep, lists);
}

bool upkeep_step(struct upkeep *upkeep, enum quiver_metric metric)
{
	struct lists *lists;
	size_t count = 0;

	if (!atomic_load(&upkeep->loaded)) {
		load(upkeep, metric);
		return atomic_load(&upkeep->loaded);
	}
	if (!atomic_load(&upkeep->wanted) && is_outgrown(upkeep, metric))
		(void)upkeep_want(upkeep);
	if (atomic_load(&upkeep->wanted)) {
		build(upkeep, metric);
		return true;
	}
	lists = atomic_load(&upkeep->current);
	if (!lists)
		return false;
	/* Without memory it stays pending, and is tried again. */
	(void)assign_pending(lists, STEP_VECTORS, &upkeep->ending, &count);
	save_if_due(upkeep, lists);
	return count >= STEP_VECTORS;
}

void upkeep_save(struct upkeep *upkeep)
{
	struct lists *lists = atomic_load(&upkeep->current);

	if (lists && upkeep->may_write &&
	    (upkeep->unsaved || atomic_load(&lists->assigned) != upkeep->saved_assigned ||
	     atomic_load(upkeep->lsn) != upkeep->saved_lsn))
		save(upkeep, lists);
}

int upkeep_off(struct upkeep *upkeep)
{
	const struct nearest_page none = { .rows = 0 };

	put_in_use(upkeep, NULL);
	set_page(upkeep, &none);
	upkeep->unsaved = false;
	pthread_mutex_lock(&upkeep->status_lock);
	upkeep->centroids_bytes = upkeep->cells_bytes = 0;
	pthread_mutex_unlock(&upkeep->status_lock);
	atomic_store(&upkeep->loaded, true);
	return nearest_files_remove(upkeep->io, upkeep->dir_fd, false);
}

/* ---- questions ---- */

static void load_to_read(struct upkeep *upkeep, enum quiver_metric metric)
{
	pthread_mutex_lock(&upkeep->load_lock);
	if (!atomic_load(&upkeep->loaded))
		load(upkeep, metric);
	pthread_mutex_unlock(&upkeep->load_lock);
}

struct lists *upkeep_take(struct upkeep *upkeep, enum quiver_metric metric)
{
	struct lists *lists;

	if (!upkeep->may_write && upkeep->dir_fd >= 0 && !atomic_load(&upkeep->loaded))
		load_to_read(upkeep, metric);
	epoch_enter();
	lists = atomic_load(&upkeep->current);
	if (lists)
		atomic_fetch_add(&lists->users, 1);
	epoch_leave();
	if (!lists || lists->points.vectors.metric == metric)
		return lists;
	upkeep_give(lists);
	return NULL;
}

void upkeep_give(struct lists *lists)
{
	atomic_fetch_sub(&lists->users, 1);
}

/* ---- status ---- */

static void tell_lists(const struct lists *lists, struct quiver_nearest_status *status)
{
	uint64_t count = catalog_count(lists->catalog);
	struct slots_counts counts;

	slots_counts(&lists->catalog->slots, &counts);
	status->pending = atomic_load(&lists->cells->pending_count);
	status->assigned = count > status->pending ? count - status->pending : 0;
	status->memory_bytes =
		atomic_load(&lists->memory_bytes) + cells_bytes(lists->cells, counts.used);
}

void upkeep_status(struct upkeep *upkeep, struct quiver_nearest_status *status)
{
	bool building = atomic_load(&upkeep->wanted);
	struct lists *lists;

	pthread_mutex_lock(&upkeep->status_lock);
	status->result = upkeep->result;
	status->started_ns = upkeep->started_ns ? upkeep->started_ns : upkeep->page.started_ns;
	status->duration_ns = upkeep->started_ns ? upkeep->duration_ns : upkeep->page.duration_ns;
	status->metric = upkeep->page.metric;
	status->lists = upkeep->page.rows;
	status->probes = upkeep->page.probes[0];
	status->recall = upkeep->page.recall;
	status->exact_ms = upkeep->page.exact_ms;
	status->index_ms = upkeep->page.index_ms;
	status->file_bytes = upkeep->centroids_bytes + upkeep->cells_bytes;
	status->state = upkeep->page.rows == 0
	                        ? building ? QUIVER_NEAREST_BUILDING : QUIVER_NEAREST_NONE
	                : upkeep->page.no_help ? QUIVER_NEAREST_NO_HELP
	                                       : QUIVER_NEAREST_READY;
	pthread_mutex_unlock(&upkeep->status_lock);
	status->building = building;
	status->done = atomic_load(&upkeep->work.done);
	status->total = atomic_load(&upkeep->work.total);
	epoch_enter();
	lists = atomic_load(&upkeep->current);
	if (lists)
		tell_lists(lists, status);
	else if (status->state == QUIVER_NEAREST_READY)
		status->pending = catalog_count(upkeep->catalog); /* they are being loaded */
	epoch_leave();
}
