#include "engine/recovery/keep_replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/recovery/check_snapshots.h"

/* A row as the log has changed it so far: attributes alone. */
struct changed_row {
	uint64_t slot_and_one; /* 0: none */
	struct meta_row row;
};

struct keeping {
	struct recovery *recovery;
	struct changed_row *rows; /* owned; by slot, with linear probing */
	size_t count;
	size_t room; /* a power of two, at least twice the count; or 0 */
	bool unclear; /* a row is not there: kept by who has freed or torn it, or damaged */
};

#define CHANGED_ROWS_MIN 256u

static struct changed_row *place_of(const struct keeping *keeping, uint64_t slot)
{
	size_t at = (size_t)(slot * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (keeping->room - 1);

	while (keeping->rows[at].slot_and_one != 0 && keeping->rows[at].slot_and_one != slot + 1)
		at = (at + 1) & (keeping->room - 1);
	return &keeping->rows[at];
}

static int grow(struct keeping *keeping)
{
	struct keeping grown = { .room = keeping->room ? 2 * keeping->room : CHANGED_ROWS_MIN };

	grown.rows = calloc(grown.room, sizeof(*grown.rows));
	if (!grown.rows)
		return -ENOMEM;
	for (size_t i = 0; i < keeping->room; i++)
		if (keeping->rows[i].slot_and_one != 0)
			*place_of(&grown, keeping->rows[i].slot_and_one - 1) = keeping->rows[i];
	free(keeping->rows);
	keeping->rows = grown.rows;
	keeping->room = grown.room;
	return 0;
}

static int note_changed(struct keeping *keeping, uint64_t slot, const struct meta_row *row)
{
	struct changed_row *place;
	int r = 2 * (keeping->count + 1) > keeping->room ? grow(keeping) : 0;

	if (r)
		return r;
	place = place_of(keeping, slot);
	keeping->count += place->slot_and_one == 0;
	*place = (struct changed_row){ .slot_and_one = slot + 1, .row = *row };
	return 0;
}

/* The row of vector `id` in a slot, before a record that ends it. 0; -ENOENT it is none that a snapshot
 * may have, or none that is whole: then whoever tore it has kept it; -errno. */
static int row_before(struct keeping *keeping, uint64_t slot, uint64_t id, struct meta_row *row)
{
	struct catalog *catalog = keeping->recovery->catalog;
	int r;

	if (slot >= atomic_load(&catalog->columns.rows))
		return -ENOENT; /* NONE, too */
	if (keeping->room > 0) {
		const struct changed_row *place = place_of(keeping, slot);

		if (place->slot_and_one != 0) {
			*row = place->row;
			return 0;
		}
	}
	r = columns_id(&catalog->columns, slot) == id
	            ? columns_meta(&catalog->columns, slot, id, row)
	            : -EBADMSG;
	if (r == -EBADMSG || (r == 0 && row->lsn == 0)) {
		keeping->unclear = true;
		return -ENOENT;
	}
	if (r)
		return r;
	return row->lsn <= keeping->recovery->superblock->now.checkpoint_lsn &&
	                       versions_may_want(&catalog->versions, row->lsn)
	               ? 0
	               : -ENOENT;
}

static int keep_superseded(struct keeping *keeping, uint64_t slot, uint64_t id, uint64_t lsn)
{
	struct versions *versions = &keeping->recovery->catalog->versions;
	struct meta_row row;
	int r = row_before(keeping, slot, id, &row);

	if (r == 0 && version_from(&row) < lsn)
		r = versions_make_room(versions, 1);
	else if (r == 0)
		return 0;
	if (r)
		return r == -ENOENT ? 0 : r;
	versions_end(versions, slot, id, &row, lsn, VERSION_SUPERSEDED);
	return 0;
}

/* Whether a snapshot may have the vector whose attributes a record sets. */
static bool may_be_had(const struct keeping *keeping, const struct wal_record *record)
{
	const struct recovery *recovery = keeping->recovery;

	return record->slot < atomic_load(&recovery->catalog->columns.rows) && record->aux > 0 &&
	       record->aux <= recovery->superblock->now.checkpoint_lsn &&
	       versions_may_want(&recovery->catalog->versions, record->aux);
}

static int keep_attributes(struct keeping *keeping, const struct wal_record *record)
{
	struct versions *versions = &keeping->recovery->catalog->versions;
	struct meta_row row;
	int r = row_before(keeping, record->slot, record->id, &row);

	/* Torn, with the attributes of before kept by whoever tore it; what ends the vector itself may
	 * be in the log alone, and its slot is held for it. */
	if (r == -ENOENT && may_be_had(keeping, record)) {
		row = (struct meta_row){ .lsn = record->aux,
			                 .sum = record->sum,
			                 .attr = record->attr,
			                 .attr_lsn = record->lsn };
		return note_changed(keeping, record->slot, &row);
	}
	if (r || row.lsn != record->aux || version_from(&row) >= record->lsn)
		return r == -ENOENT ? 0 : r;
	r = versions_make_room(versions, 1);
	if (r)
		return r;
	versions_end(versions, record->slot, record->id, &row, record->lsn, VERSION_ATTRIBUTES);
	row.attr = record->attr;
	row.attr_lsn = record->lsn;
	return note_changed(keeping, record->slot, &row);
}

static int keep_row(void *arg, const struct wal_record *record, const void *payload)
{
	struct keeping *keeping = arg;
	uint64_t was = record->type == WAL_RENAME ? record->aux : record->id;
	int r;

	(void)payload;
	if (record->type == WAL_SETATTR)
		return keep_attributes(keeping, record);
	r = keep_superseded(keeping, record->old_slot, record->id, record->lsn);
	return r ? r : keep_superseded(keeping, record->src_slot, was, record->lsn);
}

/* Where a row was damaged that somebody has superseded since, nothing but the number of vectors tells. */
static int find_lost(struct catalog *catalog)
{
	struct versions *versions = &catalog->versions;
	uint64_t *counts = check_snapshot_counts(catalog);

	if (!counts)
		return -ENOMEM;
	for (size_t i = versions->damaged_count; i < versions->snapshot_count; i++) {
		const struct snapshot *snapshot = versions->snapshots[i];
		uint64_t found = counts[i - versions->damaged_count];

		if (found == snapshot->page.count)
			continue;
		atomic_fetch_add(&versions->lost_bytes, VERSION_RECORD_BYTES);
		report_add(&catalog->health->report,
		           "snapshots/%s: expected %" PRIu64 " vectors, found %" PRIu64
		           "; the rows of the others are damaged; `quiverfs check --repair` marks "
		           "it as incomplete",
		           snapshot->name, snapshot->page.count, found);
	}
	free(counts);
	return 0;
}

/* What its records end goes to catalog->versions. */
static int read_log(struct recovery *recovery)
{
	struct keeping keeping = { .recovery = recovery };
	int r;

	if (!versions_any(&recovery->catalog->versions))
		return 0;
	recovery->scan.each = keep_row;
	recovery->scan.arg = &keeping;
	r = wal_scan_again(&recovery->scan);
	free(keeping.rows);
	if (r == 0 && keeping.unclear)
		r = find_lost(recovery->catalog);
	return r;
}

int keep_before_replay(struct recovery *recovery)
{
	struct versions *versions = &recovery->catalog->versions;
	int r = read_log(recovery);

	if (r == 0)
		r = versions_room_on_disk(versions, 0);
	return r ? r : versions_persist(versions, UINT64_MAX);
}
