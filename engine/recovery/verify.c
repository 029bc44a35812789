#include "engine/recovery/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine/base/fault.h"

#define PROGRESS_STEPS 1024
#define ROWS_AT_ONCE 64u
#define IDS_AT_ONCE 256u

/* How far a run is, and of what. */
struct run {
	struct catalog *catalog;
	const struct verification *verification;
	uint64_t done, total, mismatches;
};

static void step(struct run *run, bool last)
{
	if (++run->done % PROGRESS_STEPS == 0 || last)
		run->verification->progress(run->verification->arg, run->done, run->total,
		                            run->mismatches);
}

static void verify_one(struct run *run, uint64_t id)
{
	struct quiver_ref ref;
	int r = catalog_get(run->catalog, id, 0, &ref);

	if (r == 0) {
		r = catalog_ref_verify(run->catalog, &ref, 0);
		catalog_unref(run->catalog, &ref);
	}
	/* -ENOENT: removed since. The rest is reported by who found it. */
	if (r && r != -ENOENT)
		run->mismatches++;
	step(run, false);
}

/* A vector whose row is damaged is in no listing, which tells of it as it comes there. 0 or -ENOMEM. */
static int verify_live(struct run *run, const struct quiver_list *list)
{
	uint64_t ids[IDS_AT_ONCE];
	uint64_t position = 0;
	size_t damaged = 0;
	int64_t n = 1;

	while (n > 0 && !atomic_load(run->verification->stop)) {
		n = catalog_list_read(run->catalog, list, position, 0, ids, IDS_AT_ONCE);
		for (int64_t i = 0; i < n && !atomic_load(run->verification->stop); i++)
			verify_one(run, ids[i]);
		position += n > 0 ? (uint64_t)n : 0;
		run->done += catalog_list_damaged(run->catalog, list) - damaged;
		run->mismatches += catalog_list_damaged(run->catalog, list) - damaged;
		damaged = catalog_list_damaged(run->catalog, list);
	}
	return n < 0 ? (int)n : 0;
}

/* ---- what only snapshots have ---- */

static int compare(const struct catalog *catalog, const struct version_record *record)
{
	uint64_t hash = 0;
	int r = fault_hash(columns_vector(&catalog->columns, record->slot),
	                   catalog->columns.geometry.vector_bytes, &hash);

	if (r == 0 && vector_sum(record->id, record->row.lsn, hash) != record->row.sum)
		r = -EBADMSG;
	return r;
}

/* Its snapshots may be removed meanwhile, and others come into its slot: then it is not there any more
 * when that is asked again. */
static void verify_kept(struct run *run, const struct version *version)
{
	struct catalog *catalog = run->catalog;
	struct version_record record;
	int r = versions_of_id(&catalog->versions, version->id, version->from, &record);

	if (r == -ENOENT)
		return;
	if (r == 0 && version->kind == VERSION_SUPERSEDED)
		r = compare(catalog, &record);
	if (r == 0 ||
	    versions_of_id(&catalog->versions, version->id, version->from, &record) == -ENOENT)
		return;
	run->mismatches++;
	report_add(&catalog->health->report,
	           "vector %" PRIu64 " of snapshots from LSN %" PRIu64 " to below %" PRIu64
	           ": slot %" PRIu32 ": %s; `quiverfs check --repair` removes it from them",
	           version->id, version->from, version->until, version->slot,
	           r == -EBADMSG ? "its bytes or its record in versions do not match their checksum"
	                         : strerror(-r));
}

static void verify_snapshots(struct run *run)
{
	struct version rows[ROWS_AT_ONCE];
	size_t at = 0;
	size_t n;

	while ((n = versions_copy(&run->catalog->versions, &at, rows, ROWS_AT_ONCE)) > 0)
		for (size_t i = 0; i < n && !atomic_load(run->verification->stop); i++) {
			verify_kept(run, &rows[i]);
			if (run->done < run->total)
				step(run, run->done + 1 == run->total);
		}
}

int verify_run(struct catalog *catalog, const struct verification *verification)
{
	struct run run = { .catalog = catalog, .verification = verification };
	struct quiver_list *list;
	int r = catalog_list_open(catalog, 0, &list);

	if (r)
		return r;
	run.total = list->count + list->damaged + versions_rows(&catalog->versions);
	verification->progress(verification->arg, run.done, run.total, run.mismatches);
	r = verify_live(&run, list);
	catalog_list_close(catalog, list);
	if (r == 0)
		verify_snapshots(&run);
	verification->progress(verification->arg, run.done, run.total, run.mismatches);
	return r ? r : run.mismatches ? -EIO : 0;
}
