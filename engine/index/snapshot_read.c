/* What an open store had at the LSN of a snapshot. */
#include "engine/index/snapshot_read.h"

#include <errno.h>
#include <inttypes.h>

#include "engine/base/epoch.h"

/* What holds now, where it did then: 0; -ENOENT it did not; -EIO damage may hide it, -EBADMSG its row
 * does not match (*slot is where), -errno of reading that; -EAGAIN the index is damaged. */
static int find_now(struct catalog *catalog, uint64_t lsn, uint64_t id, uint64_t *slot,
                    struct meta_row *row)
{
	struct index_found found;
	int r;

	index_settle(&catalog->index);
	epoch_enter();
	found = index_look_up(&catalog->index, id, true);
	*slot = found.slot;
	if (*slot != SLOT_NONE) {
		r = catalog_row(catalog, *slot, id, row);
		if (r == 0 && row->lsn == 0)
			r = -EBADMSG; /* the index says that it is there */
		if (r == 0 && version_from(row) > lsn)
			r = -ENOENT;
	} else if (found.stopped) {
		r = -EAGAIN;
	} else {
		r = index_found_sound(&catalog->index, id, &found) ? -ENOENT : -EIO;
	}
	epoch_leave();
	return r;
}

/* The same, but never -EAGAIN. */
static int find_live(struct catalog *catalog, uint64_t lsn, uint64_t id, uint64_t *slot,
                     struct meta_row *row)
{
	int r = find_now(catalog, lsn, id, slot, row);

	if (r != -EAGAIN)
		return r;
	r = catalog_rebuild_index(catalog);
	if (r == 0)
		r = find_now(catalog, lsn, id, slot, row); /* whole now */
	return r == -EAGAIN ? -EIO : r;
}

static int report_version(struct catalog *catalog, uint64_t id, int r)
{
	if (r == -EBADMSG)
		atomic_fetch_add(&catalog->health->counters.checksum_errors, 1);
	else
		atomic_fetch_add(&catalog->health->counters.io_errors, 1);
	report_add(&catalog->health->report,
	           "vector %" PRIu64 ": its record in versions, for a snapshot, %s%s", id,
	           r == -EBADMSG ? "does not match its checksum" : "cannot be read: ",
	           r == -EBADMSG ? "" : quiver_strerror(r));
	return -EIO;
}

/* `r` is what find_live said, about the row in `slot` if in any. */
static int tell_missing(struct catalog *catalog, uint64_t id, uint64_t slot, int r)
{
	if (slot != SLOT_NONE && r != -ENOENT)
		return catalog_row_error(catalog, id, slot, r);
	if (r == -ENOENT && atomic_load(&catalog->versions.lost_bytes) == 0)
		return -ENOENT;
	atomic_fetch_add(&catalog->health->counters.checksum_errors, 1);
	report_add(
		&catalog->health->report,
		"vector %" PRIu64 ": not found in a snapshot, but %s; `quiverfs check` says which",
		id,
		r == -ENOENT ? "its row, or its record in versions, may be one of the damaged ones"
			     : "a damaged row of ids.npy or meta.npy may belong to it");
	return -EIO;
}

int snapshot_find(struct catalog *catalog, uint64_t lsn, uint64_t id, uint64_t *slot,
                  struct meta_row *row)
{
	struct version_record record;
	int r = find_live(catalog, lsn, id, slot, row);
	int kept;

	if (r == 0)
		return 0;
	/* After the index: whoever takes something from there has put it here before. */
	kept = versions_of_id(&catalog->versions, id, lsn, &record);
	if (kept == -ENOENT)
		return tell_missing(catalog, id, *slot, r);
	if (kept == 0 && record.slot >= atomic_load(&catalog->columns.rows))
		kept = -EBADMSG; /* what is held is there */
	if (kept)
		return report_version(catalog, id, kept);
	*slot = record.slot;
	*row = record.row;
	return 0;
}

int snapshot_id(struct catalog *catalog, uint64_t lsn, uint64_t slot, uint64_t *id)
{
	struct meta_row row = { 0 };
	int r = -ENOENT;
	int kept;

	/* Who is in here keeps a row that was live from being zeroed, and its slot from others. */
	epoch_enter();
	if (slots_is_live(&catalog->slots, slot)) {
		*id = columns_id(&catalog->columns, slot);
		r = catalog_row(catalog, slot, *id, &row);
		if (r == 0 && row.lsn == 0)
			r = -EBADMSG;
	}
	epoch_leave();
	if (r == 0 && version_from(&row) <= lsn)
		return 0;
	/* Else it would have been held. */
	if (r == 0 && row.lsn > lsn)
		return -ENOENT;
	/* After the live map, as above. */
	kept = versions_id_in_slot(&catalog->versions, slot, lsn, id);
	return kept == -ENOENT && r ? r : kept;
}
