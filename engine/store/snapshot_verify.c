/* Verification of a snapshot: every vector's checksum is compared. */
#include <errno.h>

#include "engine/index/snapshot_read.h"
#include "engine/store/snapshot_view.h"

#define PROGRESS_STEPS 1024u

static bool is_good(struct quiver *store, uint64_t id)
{
	const struct quiver_kind *kind = &snapshot_view_of(store)->kind;
	struct quiver_ref ref;
	bool good;

	if (kind->get(store, id, 0, &ref) != 0)
		return false; /* reported by who found it */
	good = kind->ref_verify(store, &ref, 0) == 0;
	kind->unref(store, &ref);
	return good;
}

int snapshot_verify(void *owner, enum quiver_job kind)
{
	struct snapshot_view *view = owner;
	struct quiver *store = owner;
	uint64_t total = view->page.count, missing, mismatches;
	struct quiver_list *list;
	int r = snapshot_list_open(store, 0, &list);

	(void)kind; /* there is no other */
	if (r)
		return r;
	/* What a listing lacks is damaged. */
	missing = total > list->count ? total - list->count : 0;
	mismatches = missing;
	for (size_t i = 0; i < list->count && !atomic_load(&view->job.stop); i++) {
		mismatches += !is_good(store, list->ids[i]);
		if (i % PROGRESS_STEPS == 0 || i + 1 == list->count)
			job_progress(&view->job, missing + i + 1, total, mismatches);
	}
	snapshot_list_close(store, list);
	return mismatches ? -EIO : 0;
}

int snapshot_job_start(struct quiver *store, enum quiver_job kind)
{
	return kind == QUIVER_VERIFY ? job_start(&snapshot_view_of(store)->job, kind) : -EROFS;
}

int snapshot_job_stop(struct quiver *store, enum quiver_job kind)
{
	return job_stop(&snapshot_view_of(store)->job, kind);
}

void snapshot_job_status(struct quiver *store, enum quiver_job kind,
                         struct quiver_job_status *status)
{
	job_status(&snapshot_view_of(store)->job, kind, status);
}
