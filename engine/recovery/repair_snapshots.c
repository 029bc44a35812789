#include "engine/recovery/repair_snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/culprit.h"
#include "engine/base/fault.h"
#include "engine/disk/snapshot_files.h"
#include "engine/media/meta_row_codec.h"
#include "engine/recovery/check_snapshots.h"
#include "engine/recovery/keep.h"

/* ---- files that cannot be read ---- */

static int note_busy(const char *name, int r)
{
	char path[sizeof("snapshots/") + QUIVER_SNAPSHOT_NAME_MAX];

	if (r == -EBUSY) {
		(void)snprintf(path, sizeof(path), "snapshots/%s", name);
		culprit_note(path, r,
		             "another process has the snapshot open; unmount it there first");
	}
	return r;
}

static int move_damaged(struct check *check, const struct lost_found *lost,
                        struct snapshot *snapshot)
{
	const struct quiver_io *io = lost->io;
	char from[sizeof("snapshots/") + QUIVER_SNAPSHOT_NAME_MAX];
	char base[sizeof("snapshot-") + QUIVER_SNAPSHOT_NAME_MAX];
	char name[LOST_NAME_BYTES];
	int fd = snapshot_files_lock(io, check->dir_fd, snapshot->name);
	int r = fd == -EBUSY ? note_busy(snapshot->name, fd) : 0;
	int c;

	(void)snprintf(from, sizeof(from), "snapshots/%s", snapshot->name);
	(void)snprintf(base, sizeof(base), "snapshot-%s", snapshot->name);
	if (r == 0)
		r = lost_found_move(lost, from, base, name);
	if (r == 0)
		r = snapshot_files_sync(io, check->dir_fd);
	if (fd >= 0) {
		c = io->close(io, fd);
		r = r ? r : c;
	}
	if (r)
		return r;
	check->result->repaired++;
	check_say(check, "repaired: %s removed; it is in lost+found/%s", from, name);
	versions_snapshot_removed(&check->catalog->versions, snapshot);
	return 0;
}

static int move_all_damaged(struct check *check, const struct lost_found *lost)
{
	struct versions *versions = &check->catalog->versions;
	int r = 0;

	for (size_t i = 0; r == 0 && i < versions->damaged_count; i++)
		r = move_damaged(check, lost, versions->snapshots[i]);
	versions_drop_removed(versions);
	return r;
}

/* ---- rows ---- */

/* Those that stay. */
struct staying {
	struct version_record *records; /* owned */
	size_t count;
	bool differ; /* from those in the file */
};

/* As of a live vector: the bytes of its slot, and its row. */
static int keep_version(struct check *check, const struct lost_found *lost,
                        const struct version_record *record)
{
	const struct columns *columns = &check->catalog->columns;
	const uint64_t n = columns->geometry.vector_bytes;
	uint8_t row[META_ROW_BYTES];
	char base[LOST_NAME_BYTES], name[LOST_NAME_BYTES], row_name[LOST_NAME_BYTES];
	void *bytes = calloc(1, n);
	int r = bytes ? 0 : -ENOMEM;

	if (r == 0 && record->slot < atomic_load(&columns->rows) &&
	    fault_copy(bytes, columns_vector(columns, record->slot), n) != 0)
		memset(bytes, 0, n);
	meta_encode(&record->row, record->id, record->slot, row);
	(void)snprintf(base, sizeof(base), "slot-%" PRIu64 "-id-%" PRIu64 ".bin", record->slot,
	               record->id);
	if (r == 0)
		r = lost_found_keep(lost, base, bytes, n, name);
	(void)snprintf(base, sizeof(base), "slot-%" PRIu64 "-id-%" PRIu64 ".row", record->slot,
	               record->id);
	if (r == 0)
		r = lost_found_keep(lost, base, row, sizeof(row), row_name);
	free(bytes);
	if (r)
		return r;
	check->result->repaired++;
	check_say(check,
	          "repaired: vector %" PRIu64 " removed from snapshots from LSN %" PRIu64
	          " to below %" PRIu64 "; the bytes of its slot %" PRIu64
	          " are in lost+found/%s, its row in lost+found/%s",
	          record->id, version_from(&record->row), record->until, record->slot, name,
	          row_name);
	return 0;
}

/* Whether the slot is that of a live vector with the same bytes: then nothing need hold it. */
static bool goes_on(const struct catalog *catalog, const struct version_record *record)
{
	struct meta_row row;

	return slots_is_live(&catalog->slots, record->slot) &&
	       columns_meta(&catalog->columns, record->slot, record->id, &row) == 0 &&
	       row.lsn == record->row.lsn;
}

static bool is_held(const struct versions *versions, uint64_t slot, uint64_t born)
{
	uint32_t next = versions_table_slot_chain(&versions->table, slot);

	while (next > 0) {
		const struct version *item = &versions->table.items[next - 1];

		if (item->slot == slot && item->born == born && item->kind == VERSION_SUPERSEDED)
			return true;
		next = item->next_of_slot;
	}
	return false;
}

/* Whether one stays, and as what. 0 or -errno. */
static int judge(struct check *check, const struct lost_found *lost, const struct version *version,
                 struct staying *staying)
{
	const struct catalog *catalog = check->catalog;
	struct version_record *record = &staying->records[staying->count];
	const char *why;

	staying->differ = true;
	/* One that has not ended is of a commit that a repair has lost with the log. */
	if (!check_version_is_had(&catalog->versions, version) ||
	    check_row_is_there(catalog, version) ||
	    versions_file_read(&catalog->versions.file, version->place, record) != 0)
		return 0;
	if (!check_version(catalog, record, &why))
		return keep_version(check, lost, record);
	staying->differ = false;
	staying->count++;
	/* Its slot went on with other attributes, and what went on is lost. */
	if (record->kind == VERSION_ATTRIBUTES && !goes_on(catalog, record) &&
	    !is_held(&catalog->versions, record->slot, record->row.lsn)) {
		record->kind = VERSION_SUPERSEDED;
		staying->differ = true;
	}
	return 0;
}

static int choose(struct check *check, const struct lost_found *lost, struct staying *staying)
{
	const struct versions *versions = &check->catalog->versions;
	bool differ = false;
	int r = 0;

	staying->records = malloc((versions->table.count + 1) * sizeof(*staying->records));
	if (!staying->records)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < versions->table.count; i++) {
		r = judge(check, lost, &versions->table.items[i], staying);
		differ |= staying->differ;
	}
	staying->differ = differ;
	return r;
}

/* What of the file could not be read is kept with all of it. */
static int keep_file(struct check *check, const struct lost_found *lost)
{
	const struct versions *versions = &check->catalog->versions;
	char name[LOST_NAME_BYTES];
	int r;

	if (versions->file.found == VERSIONS_STRANGE)
		r = lost_found_move(lost, KEEP_STRANGE_NAME, "versions", name);
	else if (versions->file.found == VERSIONS_MISSING)
		r = -ENOENT;
	else
		r = lost_found_copy(lost, "versions", "versions", name);
	if (r && r != -ENOENT)
		return r;
	check->result->repaired++;
	check_say(check, "repaired: versions is rewritten with the rows that are whole%s%s",
	          r ? "" : "; the old file is lost+found/", r ? "" : name);
	return 0;
}

static int write_anew(struct versions *versions, const struct staying *staying)
{
	struct versions_file anew;
	int r = versions_file_begin_anew(&versions->file, &anew);

	if (r)
		return r;
	r = versions_file_append(&anew, staying->records, staying->count);
	if (r)
		versions_file_give_up(&anew);
	else
		r = versions_file_replace(&versions->file, &anew);
	return r;
}

static int put_rows_right(struct check *check, const struct lost_found *lost)
{
	struct versions *versions = &check->catalog->versions;
	bool is_lost = atomic_load(&versions->lost_bytes) > 0;
	struct staying staying = { .records = NULL };
	int r = choose(check, lost, &staying);

	if (r == 0 && is_lost)
		r = keep_file(check, lost);
	if (r || (!staying.differ && !is_lost && versions->file.found == VERSIONS_FINE))
		goto out;
	r = write_anew(versions, &staying);
	if (r)
		goto out;
	check->result->repaired += versions->file.found == VERSIONS_HEADER_BAD;
	atomic_store(&versions->lost_bytes, 0);
	versions_forget_rows(versions);
	for (size_t i = 0; r == 0 && i < staying.count; i++)
		r = versions_load(versions, i, &staying.records[i]);
out:
	free(staying.records);
	return r;
}

/* ---- what is left of each ---- */

static int write_page(struct check *check, struct snapshot *snapshot, uint64_t found)
{
	const struct quiver_io *io = check->superblock->io;
	struct snapshot_page page = snapshot->page;
	unsigned copies_bad = 0;
	int r = snapshot_files_read_both(io, check->dir_fd, snapshot->name, page.store_uuid, &page,
	                                 &copies_bad);

	if (r || (copies_bad == 0 && found == page.count))
		return r;
	page.incomplete = page.incomplete || found != page.count;
	page.count = found;
	page.slots_used = page.slots_used > found ? page.slots_used : found;
	r = note_busy(snapshot->name,
	              snapshot_files_write(io, check->dir_fd, snapshot->name, &page));
	if (r)
		return r;
	check->result->repaired++;
	if (found == snapshot->page.count)
		check_say(check, "repaired: snapshots/%s is rewritten", snapshot->name);
	else
		check_say(check,
		          "repaired: snapshots/%s is incomplete: it had %" PRIu64
		          " vectors, and %" PRIu64 " are left",
		          snapshot->name, snapshot->page.count, found);
	snapshot->page = page;
	return 0;
}

int repair_snapshots(struct check *check, const struct lost_found *lost)
{
	struct versions *versions = &check->catalog->versions;
	uint64_t *counts;
	int r;

	if (!versions_any(versions))
		return 0;
	r = move_all_damaged(check, lost);
	if (r)
		return r;
	if (!versions_any(versions)) {
		versions_forget_rows(versions); /* and opening the store removes the file */
		return 0;
	}
	r = put_rows_right(check, lost);
	if (r)
		return r;
	counts = check_snapshot_counts(check->catalog);
	if (!counts)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < versions->snapshot_count; i++)
		r = write_page(check, versions->snapshots[i], counts[i]);
	free(counts);
	return r;
}
