#include "engine/recovery/check_snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fault.h"
#include "engine/disk/snapshot_files.h"
#include "engine/recovery/keep.h"

/* ---- what there is ---- */

bool check_version(const struct catalog *catalog, const struct version_record *record,
                   const char **why)
{
	const struct columns *columns = &catalog->columns;
	uint64_t hash = 0;
	int r;

	if (record->slot >= atomic_load(&columns->rows)) {
		*why = "its slot is after the end of vectors.npy";
		return false;
	}
	r = fault_hash(columns_vector(columns, record->slot), columns->geometry.vector_bytes,
	               &hash);
	if (r == 0 && vector_sum(record->id, record->row.lsn, hash) != record->row.sum)
		r = -EBADMSG;
	*why = r == -EBADMSG ? "the bytes do not match their checksum" : strerror(-r);
	return r == 0;
}

bool check_version_is_had(const struct versions *versions, const struct version *version)
{
	struct snapshot *first;
	uint64_t since = version->kind == VERSION_SUPERSEDED ? version->born : version->from;

	return versions_count_having(versions, since, version->until, &first) > 0;
}

static int live_row(const struct catalog *catalog, uint64_t slot, struct meta_row *row)
{
	int r;

	if (slot >= atomic_load(&catalog->columns.rows) || !slots_is_live(&catalog->slots, slot))
		return -ENOENT;
	r = columns_meta(&catalog->columns, slot, columns_id(&catalog->columns, slot), row);
	/* Live at a checkpoint, and freed by the next, which a crash has interrupted. */
	return r == 0 && row->lsn == 0 ? -ENOENT : r;
}

bool check_row_is_there(const struct catalog *catalog, const struct version *version)
{
	struct meta_row row;

	return live_row(catalog, version->slot, &row) == 0 && row.lsn == version->born &&
	       version_from(&row) == version->from;
}

/* ---- how many ---- */

/* How many snapshots that can be read are of an LSN below that. */
static size_t below(const struct versions *versions, uint64_t lsn)
{
	size_t low = versions->damaged_count;
	size_t high = versions->snapshot_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (versions->snapshots[middle]->page.lsn < lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return low - versions->damaged_count;
}

uint64_t *check_snapshot_counts(const struct catalog *catalog)
{
	const struct versions *versions = &catalog->versions;
	size_t count = versions->snapshot_count - versions->damaged_count;
	/* At first by how many each differs from the one before, modulo 2^64. */
	uint64_t *counts = calloc(count + 1, sizeof(*counts));
	uint64_t rows = atomic_load(&catalog->columns.rows);

	for (uint64_t slot = 0; counts && slot < rows; slot++) {
		struct meta_row row;

		if (live_row(catalog, slot, &row) == 0)
			counts[below(versions, version_from(&row))]++;
	}
	for (size_t i = 0; counts && i < versions->table.count; i++) {
		const struct version *version = &versions->table.items[i];

		if (check_row_is_there(catalog, version))
			continue;
		counts[below(versions, version->from)]++;
		counts[below(versions, version->until)]--;
	}
	for (size_t i = 1; counts && i < count; i++)
		counts[i] += counts[i - 1];
	return counts;
}

/* ---- what is wrong ---- */

static int check_file(struct check *check, const struct snapshot *snapshot)
{
	struct superblock_file *superblock = check->superblock;
	struct snapshot_page page;
	unsigned copies_bad = 0;
	int r = snapshot_files_read_both(superblock->io, check->dir_fd, snapshot->name,
	                                 superblock->now.geometry.uuid, &page, &copies_bad);

	if (r == -ENOMEM)
		return r;
	if (snapshot->damaged || copies_bad > 0)
		check->result->damage++;
	if (snapshot->damaged)
		check_say(check,
		          "snapshots/%s: %s; `quiverfs check --repair` moves it to lost+found; "
		          "until then everything that it may need is kept",
		          snapshot->name, keep_why_damaged(&superblock->now, &page, r));
	else if (copies_bad > 0)
		check_say(check, "snapshots/%s: one of its two copies is damaged", snapshot->name);
	return 0;
}

static void check_versions_file(struct check *check)
{
	const struct versions *versions = &check->catalog->versions;
	uint64_t lost = atomic_load(&versions->lost_bytes);

	if (versions->file.found == VERSIONS_HEADER_BAD) {
		check->result->damage++;
		check_say(check, "versions: the header is damaged");
	}
	if (lost > 0) {
		check->result->damage++;
		check_say(check,
		          "versions: expected rows of snapshots up to byte %" PRIu64
		          ", but %" PRIu64 " bytes of them are lost (%s)",
		          superblock_versions(&check->superblock->now).bytes, lost,
		          keep_what_is_lost(versions->file.found));
	}
}

static void check_kept(struct check *check)
{
	const struct catalog *catalog = check->catalog;
	const struct versions *versions = &catalog->versions;

	for (size_t i = 0; i < versions->table.count; i++) {
		const struct version *version = &versions->table.items[i];
		struct version_record record;
		const char *why;
		int r;

		/* Of what nobody is known to have the slot may be another's by now. */
		if (!check_version_is_had(versions, version))
			continue;
		check->result->kept_vectors += version->kind == VERSION_SUPERSEDED;
		r = versions_file_read(&versions->file, version->place, &record);
		if (r == 0 && check_version(catalog, &record, &why))
			continue;
		check->result->damage++;
		if (r)
			check_say(check, "versions: record %" PRIu32 ": %s", version->place,
			          r == -EBADMSG ? "it does not match its checksum" : strerror(-r));
		else
			check_say(check,
			          "vectors.npy: slot %" PRIu32 " (vector %" PRIu64
			          " of snapshots from LSN %" PRIu64 " to below %" PRIu64 "): %s",
			          version->slot, version->id, version->from, version->until, why);
	}
}

static int check_counts(struct check *check)
{
	const struct versions *versions = &check->catalog->versions;
	uint64_t *counts = check_snapshot_counts(check->catalog);

	if (!counts)
		return -ENOMEM;
	for (size_t i = versions->damaged_count; i < versions->snapshot_count; i++) {
		const struct snapshot *snapshot = versions->snapshots[i];
		uint64_t found = counts[i - versions->damaged_count];

		if (found == snapshot->page.count)
			continue;
		check->result->damage++;
		check_say(check,
		          "snapshots/%s: expected %" PRIu64 " vectors at LSN %" PRIu64
		          ", found %" PRIu64 " in ids.npy, meta.npy and versions; `quiverfs check "
		          "--repair` marks it as incomplete; or remove it",
		          snapshot->name, snapshot->page.count, snapshot->page.lsn, found);
	}
	free(counts);
	return 0;
}

int check_snapshots(struct check *check)
{
	const struct versions *versions = &check->catalog->versions;
	int r = 0;

	check->result->snapshots = versions->snapshot_count;
	if (versions->snapshot_count == 0)
		return 0;
	for (size_t i = 0; r == 0 && i < versions->snapshot_count; i++)
		r = check_file(check, versions->snapshots[i]);
	if (r)
		return r;
	check_versions_file(check);
	check_kept(check);
	return check_counts(check);
}
