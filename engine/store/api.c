/* The public calls on an open store: to the local folder directly, to a store of another kind
 * through its table. */
#include <errno.h>
#include <string.h>

#include "engine/base/description.h"
#include "engine/base/record_attr.h"
#include "engine/base/sized.h"
#include "engine/commit/change.h"
#include "engine/store/kind.h"
#include "engine/store/local.h"
#include "engine/store/store.h"

static const struct quiver_head *head_of(const struct quiver *store)
{
	return (const struct quiver_head *)store;
}

/* The table of a store that is not a local folder, else NULL. */
static inline const struct quiver_kind *kind_of(const struct quiver *store)
{
	const struct quiver_kind *kind = head_of(store)->kind;

	return __builtin_expect(kind != NULL, 0) ? kind : NULL;
}

int quiver_close(struct quiver *store)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->close(store) : local_close(store);
}

const struct quiver_geometry *quiver_geometry(const struct quiver *store)
{
	return head_of(store)->geometry;
}

unsigned quiver_capabilities(const struct quiver *store)
{
	return head_of(store)->capabilities;
}

/* ---- reading ---- */

int quiver_get(struct quiver *store, uint64_t id, unsigned flags, struct quiver_ref *ref)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->get(store, id, flags, ref)
	            : catalog_get(&store->catalog, id, flags, ref);
}

void quiver_unref(struct quiver *store, struct quiver_ref *ref)
{
	const struct quiver_kind *kind = kind_of(store);

	if (kind)
		kind->unref(store, ref);
	else
		catalog_unref(&store->catalog, ref);
}

int quiver_ref_verify(struct quiver *store, const struct quiver_ref *ref, unsigned flags)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->ref_verify(store, ref, flags)
	            : catalog_ref_verify(&store->catalog, ref, flags);
}

int quiver_ref_read(struct quiver *store, const struct quiver_ref *ref, uint64_t offset,
                    size_t length, unsigned flags, void *to)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->ref_read(store, ref, offset, length, flags, to)
	            : catalog_ref_read(&store->catalog, ref, offset, length, to);
}

bool quiver_ref_resident(struct quiver *store, const struct quiver_ref *ref)
{
	const struct quiver_kind *kind = kind_of(store);

	if (kind)
		return kind->ref_resident && kind->ref_resident(store, ref);
	return catalog_ref_resident(&store->catalog, ref);
}

void quiver_ref_prefetch(struct quiver *store, const struct quiver_ref *ref)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		catalog_ref_prefetch(&store->catalog, ref);
	else if (kind->ref_prefetch)
		kind->ref_prefetch(store, ref);
}

int quiver_get_copy(struct quiver *store, uint64_t id, void *to, struct quiver_attr *attr,
                    uint64_t *lsn)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->get_copy(store, id, to, attr, lsn)
	            : catalog_get_copy(&store->catalog, id, to, attr, lsn);
}

int quiver_get_many(struct quiver *store, const uint64_t *ids, size_t count, void *to,
                    struct quiver_attr *attrs, int *results)
{
	const struct quiver_kind *kind = kind_of(store);
	size_t n = quiver_geometry(store)->vector_bytes;

	if (!kind)
		return catalog_get_many(&store->catalog, ids, count, to, attrs, results);
	if (kind->get_many)
		return kind->get_many(store, ids, count, to, attrs, results);
	for (size_t i = 0; i < count; i++) {
		struct quiver_attr *attr = attrs ? &attrs[i] : NULL;
		int r = to ? quiver_get_copy(store, ids[i], (char *)to + i * n, attr, NULL)
		           : quiver_stat(store, ids[i], 0, attr, NULL);

		if (r && r != -ENOENT && r != -EIO)
			return r;
		results[i] = r;
	}
	return 0;
}

int quiver_stat(struct quiver *store, uint64_t id, unsigned flags, struct quiver_attr *attr,
                uint64_t *lsn)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->stat(store, id, flags, attr, lsn)
	            : catalog_stat(&store->catalog, id, flags, attr, lsn);
}

int quiver_list_open(struct quiver *store, unsigned flags, struct quiver_list **list)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->list_open(store, flags, list)
	            : catalog_list_open(&store->catalog, flags, list);
}

int64_t quiver_list_read(struct quiver *store, struct quiver_list *list, uint64_t position,
                         unsigned flags, uint64_t *ids, size_t max)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->list_read(store, list, position, flags, ids, max)
	            : catalog_list_read(&store->catalog, list, position, flags, ids, max);
}

uint64_t quiver_list_count(struct quiver *store, const struct quiver_list *list)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->list_count(store, list)
	            : list->count - (list->slots ? catalog_list_damaged(&store->catalog, list) : 0);
}

uint64_t quiver_list_bytes(struct quiver *store, const struct quiver_list *list)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->list_count(store, list) * sizeof(uint64_t) : catalog_list_bytes(list);
}

void quiver_list_close(struct quiver *store, struct quiver_list *list)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		catalog_list_close(&store->catalog, list);
	else if (list)
		kind->list_close(store, list);
}

uint64_t quiver_count(struct quiver *store)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->count(store) : catalog_count(&store->catalog);
}

/* ---- changing ---- */

int quiver_put(struct quiver *store, uint64_t id, const void *data, const struct quiver_attr *attr,
               unsigned attr_mask, unsigned flags, uint64_t *lsn)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->put(store, id, data, attr, attr_mask, flags, lsn)
	            : change_put(&store->checkpointer, id, data, attr, attr_mask, flags, lsn);
}

/* One by one; what is wrong with any of them is said before the first is sent. */
static int put_each(struct quiver *store, const struct quiver_record *records, size_t count,
                    const struct quiver_attr *attr, unsigned attr_mask, unsigned flags,
                    uint64_t *lsn)
{
	int r = 0;

	if (count > change_batch_max(quiver_geometry(store)->vector_bytes))
		return -E2BIG;
	for (size_t i = 0; i < count; i++)
		if (records[i].id > QUIVER_ID_MAX)
			return -EINVAL;
	for (size_t i = 0; r == 0 && i < count; i++) {
		unsigned mask = attr_mask;
		struct quiver_attr own = record_attr(&records[i], attr, &mask);

		r = head_of(store)->kind->put(store, records[i].id, records[i].data, &own, mask,
		                              flags, lsn);
	}
	return r;
}

int quiver_put_batch(struct quiver *store, const struct quiver_record *records, size_t count,
                     const struct quiver_attr *attr, unsigned attr_mask, unsigned flags,
                     uint64_t *lsn)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		return change_put_batch(&store->checkpointer, records, count, attr, attr_mask,
		                        flags, lsn);
	return kind->put_batch ? kind->put_batch(store, records, count, attr, attr_mask, flags, lsn)
	                       : put_each(store, records, count, attr, attr_mask, flags, lsn);
}

int quiver_remove(struct quiver *store, uint64_t id, unsigned flags, uint64_t *lsn)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->remove(store, id, flags, lsn)
	            : change_remove(&store->checkpointer, id, flags, lsn);
}

int quiver_rename(struct quiver *store, uint64_t from, uint64_t to, unsigned flags, uint64_t *lsn)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		return change_rename(&store->checkpointer, from, to, flags, lsn);
	return kind->rename ? kind->rename(store, from, to, flags, lsn) : -EOPNOTSUPP;
}

int quiver_set_attr(struct quiver *store, uint64_t id, const struct quiver_attr *attr,
                    unsigned mask, unsigned flags)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->set_attr(store, id, attr, mask, flags)
	            : change_set_attr(&store->checkpointer, id, attr, mask, flags);
}

int quiver_dir_attr(struct quiver *store, unsigned flags, struct quiver_attr *attr)
{
	const struct quiver_kind *kind = kind_of(store);

	if (kind)
		return kind->dir_attr(store, flags, attr);
	committer_dir(&store->commits, attr);
	return 0;
}

int quiver_set_dir_attr(struct quiver *store, const struct quiver_attr *attr, unsigned mask,
                        unsigned flags)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->set_dir_attr(store, attr, mask, flags)
	            : change_set_dir_attr(&store->checkpointer, attr, mask, flags);
}

/* ---- durability and space ---- */

int quiver_flush(struct quiver *store)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->flush(store) : local_flush(store);
}

int quiver_checkpoint(struct quiver *store)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		return checkpoint_run(&store->checkpointer);
	return kind->checkpoint ? kind->checkpoint(store) : -EOPNOTSUPP;
}

void quiver_checkpoint_soon(struct quiver *store)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		wish_checkpoint(&store->wishes);
	else if (kind->checkpoint_soon)
		kind->checkpoint_soon(store);
}

enum quiver_durability quiver_durability(struct quiver *store)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		return local_durability(store);
	return kind->durability ? kind->durability(store) : QUIVER_ALWAYS;
}

int quiver_set_durability(struct quiver *store, enum quiver_durability mode)
{
	const struct quiver_kind *kind = kind_of(store);

	if ((unsigned)mode > QUIVER_NONE)
		return -EINVAL;
	if (!kind)
		return local_set_durability(store, mode);
	if (kind->set_durability)
		return kind->set_durability(store, mode);
	return mode == quiver_durability(store) ? 0 : -EOPNOTSUPP;
}

int quiver_reserve(struct quiver *store, uint64_t count)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		return local_reserve(store, count);
	return kind->reserve ? kind->reserve(store, count) : -EOPNOTSUPP;
}

int quiver_set_autocompact(struct quiver *store, uint32_t percent)
{
	const struct quiver_kind *kind = kind_of(store);

	if (percent > 100)
		return -EINVAL;
	if (!kind)
		return local_set_autocompact(store, percent);
	if (kind->set_autocompact)
		return kind->set_autocompact(store, percent);
	return percent == 0 ? 0 : -EOPNOTSUPP;
}

int quiver_space(struct quiver *store, unsigned flags, struct quiver_space *space)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->space(store, flags, space) : local_space(store, space);
}

/* ---- what people should know ---- */

int quiver_set_label(struct quiver *store, const char *text, size_t length)
{
	const struct quiver_kind *kind = kind_of(store);

	if (length > QUIVER_LABEL_BYTES_MAX || !description_label_is_valid(text, length))
		return -EINVAL;
	if (!kind)
		return local_set_label(store, text, length);
	return kind->set_label ? kind->set_label(store, text, length) : -EOPNOTSUPP;
}

int quiver_set_metric(struct quiver *store, enum quiver_metric metric)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!description_fits_metric(quiver_geometry(store)->dtype, metric))
		return -EINVAL;
	if (!kind)
		return local_set_metric(store, metric);
	return kind->set_metric ? kind->set_metric(store, metric) : -EOPNOTSUPP;
}

void quiver_describe(struct quiver *store, struct quiver_description *description)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		local_describe(store, description);
	else if (kind->describe)
		kind->describe(store, description);
	else
		*description = (struct quiver_description){ .metric = QUIVER_L2 };
}

/* ---- long work ---- */

int quiver_job_start(struct quiver *store, enum quiver_job kind)
{
	const struct quiver_kind *table = kind_of(store);

	if (!table)
		return local_job_start(store, kind);
	return table->job_start ? table->job_start(store, kind) : -EOPNOTSUPP;
}

int quiver_job_stop(struct quiver *store, enum quiver_job kind)
{
	const struct quiver_kind *table = kind_of(store);

	if (!table)
		return local_job_stop(store, kind);
	return table->job_stop ? table->job_stop(store, kind) : -EOPNOTSUPP;
}

void quiver_job_status(struct quiver *store, enum quiver_job kind, struct quiver_job_status *status)
{
	const struct quiver_kind *table = kind_of(store);

	if (!table)
		local_job_status(store, kind, status);
	else if (table->job_status)
		table->job_status(store, kind, status);
	else
		memset(status, 0, sizeof(*status));
}

/* ---- the columns as files ---- */

int quiver_column_hold(struct quiver *store, enum quiver_column column, int *fd,
                       uint64_t *size_bytes)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		return local_column_hold(store, column, fd, size_bytes);
	return kind->column_hold ? kind->column_hold(store, column, fd, size_bytes) : -EOPNOTSUPP;
}

void quiver_column_release(struct quiver *store, enum quiver_column column)
{
	const struct quiver_kind *kind = kind_of(store);

	if (kind)
		kind->column_release(store, column);
	else
		local_column_release(store, column);
}

uint64_t quiver_column_bytes(struct quiver *store, enum quiver_column column)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		return local_column_bytes(store, column);
	return kind->column_bytes ? kind->column_bytes(store, column) : 0;
}

int64_t quiver_column_read(struct quiver *store, enum quiver_column column, uint64_t offset,
                           size_t length, void *to)
{
	const struct quiver_kind *kind = kind_of(store);

	return kind ? kind->column_read(store, column, offset, length, to)
	            : local_column_read(store, column, offset, length, to);
}

int quiver_column_watch(struct quiver *store, const struct quiver_watcher *watcher)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		return local_column_watch(store, watcher);
	return kind->column_watch ? kind->column_watch(store, watcher) : -EOPNOTSUPP;
}

void quiver_column_unwatch(struct quiver *store, bool wait)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		local_column_unwatch(store, wait);
	else if (kind->column_unwatch)
		kind->column_unwatch(store, wait);
}

/* ---- snapshots, of a local folder alone ---- */

int quiver_snapshot_create(struct quiver *store, const char *name, struct quiver_snapshot *made)
{
	if (kind_of(store))
		return -EOPNOTSUPP;
	return quiver_snapshot_name_is_valid(name) ? local_snapshot_create(store, name, made)
	                                           : -EINVAL;
}

int quiver_snapshot_remove(struct quiver *store, const char *name)
{
	return kind_of(store) ? -EOPNOTSUPP : local_snapshot_remove(store, name);
}

int quiver_snapshots(struct quiver *store, struct quiver_snapshot **snapshots, size_t *count)
{
	return kind_of(store) ? -EOPNOTSUPP : local_snapshots(store, snapshots, count);
}

int quiver_snapshot_stat(struct quiver *store, const char *name, struct quiver_snapshot *snapshot)
{
	const struct quiver_kind *kind = kind_of(store);

	if (!kind)
		return name ? local_snapshot_stat(store, name, snapshot) : -ENOENT;
	return !name && kind->snapshot_self ? kind->snapshot_self(store, snapshot) : -EOPNOTSUPP;
}

/* ---- what is going on ---- */

void quiver_stats(struct quiver *store, struct quiver_stats *stats)
{
	const struct quiver_kind *kind = kind_of(store);
	size_t size = stats->size;
	struct quiver_stats all = { .size = sizeof(all) };

	if (kind)
		kind->stats(store, &all);
	else
		local_stats(store, &all);
	all.size = size;
	sized_give(stats, size, &all, sizeof(all));
}

int quiver_facts(struct quiver *store, unsigned flags, char **text)
{
	const struct quiver_kind *kind = kind_of(store);

	if (kind && kind->facts)
		return kind->facts(store, flags, text);
	*text = strdup("");
	return *text ? 0 : -ENOMEM;
}

void quiver_report(struct quiver *store, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_addv(head_of(store)->report, format, args);
	va_end(args);
}

int quiver_errors(struct quiver *store, char **text, size_t *length)
{
	return report_text(head_of(store)->report, text, length);
}

void quiver_errors_clear(struct quiver *store)
{
	report_clear(head_of(store)->report);
}
