#include "engine/store/snapshot_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/index/snapshot_read.h"
#include "engine/store/store.h"

/* ---- reading ---- */

static int find(struct snapshot_view *view, uint64_t id, unsigned flags, struct quiver_ref *ref)
{
	struct meta_row row;
	int r;

	if ((flags & QUIVER_NOWAIT) && catalog_would_wait(view->catalog, id))
		return -EAGAIN;
	r = snapshot_find(view->catalog, view->page.lsn, id, &ref->slot, &row);
	if (r)
		return r == -ENOENT && atomic_load(&view->lacks) ? -EIO : r;
	ref->id = id;
	ref->lsn = row.lsn;
	ref->attr = row.attr;
	ref->sum = row.sum;
	return 0;
}

static int view_get(struct quiver *store, uint64_t id, unsigned flags, struct quiver_ref *ref)
{
	struct snapshot_view *view = snapshot_view_of(store);
	int r = find(view, id, flags, ref);

	if (r != -EAGAIN)
		catalog_count_get(view->catalog, r);
	if (r)
		return r;
	/* No pin: the snapshot holds the slot. */
	ref->data = columns_vector(&view->catalog->columns, ref->slot);
	ref->pin = NULL;
	return 0;
}

static void view_unref(struct quiver *store, struct quiver_ref *ref)
{
	(void)store;
	ref->data = NULL;
	ref->slot = SLOT_NONE;
}

static int view_ref_verify(struct quiver *store, const struct quiver_ref *ref, unsigned flags)
{
	return catalog_ref_verify(snapshot_view_of(store)->catalog, ref, flags);
}

static int view_ref_read(struct quiver *store, const struct quiver_ref *ref, uint64_t offset,
                         size_t length, unsigned flags, void *to)
{
	(void)flags; /* in a memory map it looks for no pages */
	return catalog_ref_read(snapshot_view_of(store)->catalog, ref, offset, length, to);
}

static bool view_ref_resident(struct quiver *store, const struct quiver_ref *ref)
{
	return catalog_ref_resident(snapshot_view_of(store)->catalog, ref);
}

static void view_ref_prefetch(struct quiver *store, const struct quiver_ref *ref)
{
	catalog_ref_prefetch(snapshot_view_of(store)->catalog, ref);
}

static int view_get_copy(struct quiver *store, uint64_t id, void *to, struct quiver_attr *attr,
                         uint64_t *lsn)
{
	struct quiver_ref ref;
	int r = view_get(store, id, 0, &ref);

	if (r == 0)
		r = catalog_ref_copy(snapshot_view_of(store)->catalog, &ref, to);
	if (r == 0 && attr)
		*attr = ref.attr;
	if (r == 0 && lsn)
		*lsn = ref.lsn;
	return r;
}

static int view_stat(struct quiver *store, uint64_t id, unsigned flags, struct quiver_attr *attr,
                     uint64_t *lsn)
{
	struct quiver_ref ref;
	int r = find(snapshot_view_of(store), id, flags, &ref);

	if (r == 0 && attr)
		*attr = ref.attr;
	if (r == 0 && lsn)
		*lsn = ref.lsn;
	return r;
}

static uint64_t view_count(struct quiver *store)
{
	return snapshot_view_of(store)->page.count;
}

static int view_dir_attr(struct quiver *store, unsigned flags, struct quiver_attr *attr)
{
	(void)flags; /* never waits */
	*attr = snapshot_view_of(store)->page.dir;
	return 0;
}

static void view_describe(struct quiver *store, struct quiver_description *description)
{
	*description = snapshot_view_of(store)->page.description;
}

static int view_self(struct quiver *store, struct quiver_snapshot *snapshot)
{
	const struct snapshot_view *view = snapshot_view_of(store);

	*snapshot = (struct quiver_snapshot){
		.lsn = view->page.lsn,
		.count = view->page.count,
		.slots = view->page.slots_used,
		.created_ns = view->page.created_ns,
		.damaged = view->page.incomplete,
	};
	memcpy(snapshot->name, view->name, sizeof(snapshot->name));
	memcpy(snapshot->uuid, view->page.uuid, sizeof(snapshot->uuid));
	return 0;
}

/* ---- changing: nothing ---- */

static int view_put(struct quiver *store, uint64_t id, const void *data,
                    const struct quiver_attr *attr, unsigned attr_mask, unsigned flags,
                    uint64_t *lsn)
{
	(void)store;
	(void)id;
	(void)data;
	(void)attr;
	(void)attr_mask;
	(void)flags;
	(void)lsn;
	return -EROFS;
}

static int view_put_batch(struct quiver *store, const struct quiver_record *records, size_t count,
                          const struct quiver_attr *attr, unsigned attr_mask, unsigned flags,
                          uint64_t *lsn)
{
	(void)store;
	(void)records;
	(void)count;
	(void)attr;
	(void)attr_mask;
	(void)flags;
	(void)lsn;
	return -EROFS;
}

static int view_remove(struct quiver *store, uint64_t id, unsigned flags, uint64_t *lsn)
{
	(void)store;
	(void)id;
	(void)flags;
	(void)lsn;
	return -EROFS;
}

static int view_rename(struct quiver *store, uint64_t from, uint64_t to, unsigned flags,
                       uint64_t *lsn)
{
	(void)store;
	(void)from;
	(void)to;
	(void)flags;
	(void)lsn;
	return -EROFS;
}

static int view_set_attr(struct quiver *store, uint64_t id, const struct quiver_attr *attr,
                         unsigned mask, unsigned flags)
{
	(void)store;
	(void)id;
	(void)attr;
	(void)mask;
	(void)flags;
	return -EROFS;
}

static int view_set_dir_attr(struct quiver *store, const struct quiver_attr *attr, unsigned mask,
                             unsigned flags)
{
	(void)store;
	(void)attr;
	(void)mask;
	(void)flags;
	return -EROFS;
}

static int view_set_label(struct quiver *store, const char *text, size_t length)
{
	(void)store;
	(void)text;
	(void)length;
	return -EROFS;
}

static int view_set_metric(struct quiver *store, enum quiver_metric metric)
{
	(void)store;
	(void)metric;
	return -EROFS;
}

static int view_reserve(struct quiver *store, uint64_t count)
{
	(void)store;
	(void)count;
	return -EROFS;
}

/* A snapshot is on stable storage. */
static int view_flush(struct quiver *store)
{
	(void)store;
	return 0;
}

/* ---- what is going on ---- */

static int view_space(struct quiver *store, unsigned flags, struct quiver_space *space)
{
	struct snapshot_view *view = snapshot_view_of(store);

	(void)flags; /* as a local folder */
	space->slots_free = 0;
	return view->io->space(view->io, view->catalog->columns.vectors.fd, &space->total_bytes,
	                       &space->free_bytes, &space->available_bytes);
}

static void view_stats(struct quiver *store, struct quiver_stats *stats)
{
	struct snapshot_view *view = snapshot_view_of(store);
	const struct snapshot_page *page = &view->page;
	struct counters *counters = &view->catalog->health->counters;
	struct stat st;

	stats->count = page->count;
	stats->slots = stats->slots_used = page->slots_used;
	stats->slots_free = page->slots_used - page->count;
	stats->fragmentation =
		page->slots_used == 0 ? 0.0 : (double)stats->slots_free / (double)page->slots_used;
	stats->vector_bytes = view->geometry.vector_bytes;
	if (view->io->stat(view->io, view->catalog->columns.vectors.fd, &st) == 0)
		stats->store_bytes = (uint64_t)st.st_blocks * 512;
	stats->lsn = stats->lsn_durable = stats->lsn_checkpoint = page->lsn;
	stats->gets = readers_gets(&view->catalog->readers);
	stats->get_misses = readers_misses(&view->catalog->readers);
	stats->checksum_errors = atomic_load(&counters->checksum_errors);
	stats->io_errors = atomic_load(&counters->io_errors);
	stats->errors = report_total(view->head.report);
	stats->durability = QUIVER_ALWAYS;
	stats->read_only = true;
	stats->format_version = view->catalog->columns.version;
}

/* ---- life ---- */

static const struct quiver_kind snapshot_kind = {
	.name = "snapshot",
	.get = view_get,
	.unref = view_unref,
	.ref_verify = view_ref_verify,
	.ref_read = view_ref_read,
	.ref_resident = view_ref_resident,
	.ref_prefetch = view_ref_prefetch,
	.get_copy = view_get_copy,
	.stat = view_stat,
	.list_open = snapshot_list_open,
	.list_read = snapshot_list_read,
	.list_count = snapshot_list_count,
	.list_close = snapshot_list_close,
	.count = view_count,
	.put = view_put,
	.put_batch = view_put_batch,
	.remove = view_remove,
	.rename = view_rename,
	.set_attr = view_set_attr,
	.dir_attr = view_dir_attr,
	.set_dir_attr = view_set_dir_attr,
	.set_label = view_set_label,
	.set_metric = view_set_metric,
	.reserve = view_reserve,
	.flush = view_flush,
	.space = view_space,
	.stats = view_stats,
	.describe = view_describe,
	.snapshot_self = view_self,
	.job_start = snapshot_job_start,
	.job_stop = snapshot_job_stop,
	.job_status = snapshot_job_status,
	.column_hold = snapshot_column_hold,
	.column_release = snapshot_column_release,
	.column_bytes = snapshot_column_bytes,
	.column_read = snapshot_column_read,
	.column_watch = snapshot_column_watch,
	.column_unwatch = snapshot_column_unwatch,
};

void snapshot_view_begin(struct snapshot_view *view, struct catalog *catalog,
                         const struct snapshot_page *page, const char *name,
                         int (*close)(struct quiver *store))
{
	struct slots_counts counts;

	view->kind = snapshot_kind;
	view->kind.close = close;
	view->catalog = catalog;
	view->io = catalog->columns.io;
	view->geometry = catalog->columns.geometry;
	view->page = *page;
	(void)snprintf(view->name, sizeof(view->name), "%s", name); /* a valid one fits */
	/* What it has is taken, and stays so: the files may have been cut behind that. */
	slots_counts(&catalog->slots, &counts);
	view->rows_end = page->slots_used < counts.used ? page->slots_used : counts.used;
	view->head.kind = &view->kind;
	view->head.capabilities = QUIVER_EXCLUSIVE | QUIVER_ORDERED | QUIVER_IMMUTABLE |
	                          QUIVER_HAS_COLUMNS | QUIVER_HAS_VERIFY;
	view->head.geometry = &view->geometry;
	view->head.report = &catalog->health->report;
	job_init(&view->job, snapshot_verify, view);
	pthread_mutex_init(&view->list_lock, NULL);
}

void snapshot_view_end(struct snapshot_view *view)
{
	job_end(&view->job);
	job_destroy(&view->job);
	pthread_mutex_destroy(&view->list_lock);
}

static int view_close(struct quiver *store)
{
	struct snapshot_view *view = snapshot_view_of(store);

	snapshot_view_end(view);
	versions_snapshot_release(&view->catalog->versions, view->owner);
	free(view);
	return 0;
}

int quiver_snapshot_open(struct quiver *store, const char *name, struct quiver **snapshot)
{
	struct versions *versions = &store->catalog.versions;
	struct snapshot_view *view;
	struct snapshot *found;

	*snapshot = NULL;
	if (store->head.kind)
		return -EOPNOTSUPP;
	found = versions_snapshot(versions, name, true);
	if (!found)
		return -ENOENT;
	view = found->damaged ? NULL : calloc(1, sizeof(*view));
	if (!view) {
		int r = found->damaged ? found->error : -ENOMEM;

		versions_snapshot_release(versions, found);
		return r;
	}
	snapshot_view_begin(view, &store->catalog, &found->page, found->name, view_close);
	view->owner = found;
	*snapshot = (struct quiver *)view;
	return 0;
}
