#include "engine/recovery/keep.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/culprit.h"
#include "engine/disk/snapshot_files.h"

/* ---- reading ---- */

const char *keep_why_damaged(const struct superblock *sb, const struct snapshot_page *page, int r)
{
	switch (r) {
	case 0:
		return page->lsn > sb->checkpoint_lsn ? "it is from a later state of the store"
		                                      : NULL;
	case -EUCLEAN:
		return "it is damaged, or from another store";
	case -ENOTSUP:
		return "it is from a newer version of quiverfs";
	default:
		return culprit_why(r);
	}
}

static int load_snapshot(struct catalog *catalog, const struct superblock_file *superblock,
                         int dir_fd, const char *name)
{
	struct versions *versions = &catalog->versions;
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	const char *why;
	int r = snapshot ? 0 : -ENOMEM;

	if (r)
		return r;
	r = snapshot_files_read(superblock->io, dir_fd, name, superblock->now.geometry.uuid,
	                        &snapshot->page);
	why = keep_why_damaged(&superblock->now, &snapshot->page, r);
	if (r == -ENOENT || r == -ENOMEM || r == -EMFILE || r == -ENFILE) {
		free(snapshot);
		return r == -ENOENT ? 0 : r;
	}
	if (why) {
		report_add(&catalog->health->report,
		           "snapshots/%s: the snapshot cannot be read: %s; everything that it may "
		           "need is kept until it is removed; `quiverfs check --repair` moves it "
		           "to lost+found",
		           name, why);
		memset(&snapshot->page, 0, sizeof(snapshot->page));
		snapshot->page.lsn = superblock->now.checkpoint_lsn;
		snapshot->damaged = true;
		/* A disk that fails may not the next time. */
		snapshot->error = r && r != -ENOTSUP ? r : -EUCLEAN;
	}
	memcpy(snapshot->name, name, strlen(name) + 1);
	r = versions_snapshot_room(versions);
	if (r) {
		free(snapshot);
		return r;
	}
	versions_snapshot_add(versions, snapshot);
	return 0;
}

static int load_snapshots(struct catalog *catalog, const struct superblock_file *superblock,
                          int dir_fd, bool read_only)
{
	char *names;
	size_t count;
	int r = snapshot_files_list(superblock->io, dir_fd, !read_only, &names, &count);
	const char *name = names;

	for (size_t i = 0; r == 0 && i < count; i++, name += strlen(name) + 1)
		r = load_snapshot(catalog, superblock, dir_fd, name);
	free(names);
	return r;
}

static int load_version(void *arg, uint64_t number, const struct version_record *record)
{
	return versions_load(arg, number, record);
}

const char *keep_what_is_lost(enum versions_found found)
{
	static const char *const whats[] = {
		[VERSIONS_NONE] = "missing",
		[VERSIONS_FINE] = "records are damaged, or their slots hold other vectors now",
		[VERSIONS_MISSING] = "missing",
		[VERSIONS_HEADER_BAD] = "the header and records are damaged",
		[VERSIONS_STRANGE] = "damaged, or from another store",
		[VERSIONS_EARLIER] = "from an earlier state of the store",
	};

	return whats[found];
}

static void report_lost(struct catalog *catalog, uint64_t lost)
{
	report_add(&catalog->health->report,
	           "versions: %s: %" PRIu64
	           " bytes lost; snapshots may lack vectors; `quiverfs check` says which",
	           keep_what_is_lost(catalog->versions.file.found), lost);
}

/* For who writes: what is kept goes to a file of this store. */
static int make_file(struct catalog *catalog, const struct superblock_file *superblock, int dir_fd)
{
	struct versions_file *file = &catalog->versions.file;
	const struct quiver_io *io = superblock->io;
	int r = 0;

	if (file->fd >= 0)
		return 0;
	if (file->found == VERSIONS_STRANGE) {
		r = io->rename(io, dir_fd, "versions", KEEP_STRANGE_NAME);
		if (r == 0)
			report_add(&catalog->health->report,
			           "versions: kept as " KEEP_STRANGE_NAME);
	}
	return r ? r : versions_file_create(file);
}

static int load_versions(struct catalog *catalog, const struct superblock_file *superblock,
                         int dir_fd, bool read_only)
{
	struct versions *versions = &catalog->versions;
	const struct versions_extent extent = superblock_versions(&superblock->now);
	uint64_t lost;
	int r = versions_file_open(&versions->file, &extent, read_only, load_version, versions,
	                           &lost);

	if (r == -ENOTSUP)
		culprit_note("versions", r,
		             "written by a newer version of quiverfs; use that version");
	if (r)
		return r;
	versions->recorded = versions->file.records;
	atomic_store(&versions->lost_bytes, lost);
	if (lost > 0)
		report_lost(catalog, lost);
	else if (versions->file.found == VERSIONS_HEADER_BAD)
		report_add(&catalog->health->report,
		           "versions: the header is damaged; all records are there");
	return read_only ? 0 : make_file(catalog, superblock, dir_fd);
}

int keep_load(struct catalog *catalog, const struct superblock_file *superblock, int dir_fd,
              bool read_only)
{
	const struct versions_extent extent = superblock_versions(&superblock->now);
	struct versions *versions = &catalog->versions;
	uint64_t lost;
	int r = load_snapshots(catalog, superblock, dir_fd, read_only);

	if (r)
		return r;
	if (versions_any(versions))
		return load_versions(catalog, superblock, dir_fd, read_only);
	/* Nobody needs what is in it, whatever that is; a checkpoint removes it. The superblock need
	 * not tell of it yet, and it need not be whole: the first snapshot was just being made. */
	if (!read_only)
		(void)versions_file_open(&versions->file, &extent, false, load_version, versions,
		                         &lost);
	if (!read_only && versions->file.fd < 0 && versions->file.found != VERSIONS_NONE)
		(void)superblock->io->unlink(superblock->io, dir_fd, "versions");
	versions->recorded = versions->file.records;
	return 0;
}

/* ---- what is held ---- */

static void hold(void *arg, uint64_t slot)
{
	struct catalog *catalog = arg;

	slots_load_taken(&catalog->slots, slot);
}

static uint64_t lsn_in(void *arg, uint64_t slot)
{
	struct catalog *catalog = arg;
	const struct columns *columns = &catalog->columns;
	struct meta_row row;

	if (slot >= atomic_load(&columns->rows))
		return UINT64_MAX;
	if (!slots_is_live(&catalog->slots, slot))
		return 0;
	return columns_meta(columns, slot, columns_id(columns, slot), &row) == 0 && row.lsn > 0
	               ? row.lsn
	               : 1;
}

void keep_hold_slots(struct catalog *catalog)
{
	uint64_t lost = versions_spoil_reused(&catalog->versions, lsn_in, catalog);

	if (lost > 0)
		report_add(
			&catalog->health->report,
			"snapshots: %" PRIu64
			" of their rows are lost, because their slots were free and hold other "
			"vectors now; the file of a removed snapshot was copied back, or came from "
			"a copy of the store; `quiverfs check` says which snapshot lacks vectors",
			lost);
	versions_each_held(&catalog->versions, hold, catalog);
}

void keep_tell(const struct catalog *catalog, struct superblock *sb)
{
	const struct versions *versions = &catalog->versions;

	if (versions->snapshot_count == 0)
		return; /* a checkpoint says so */
	sb->features_to_change |= SUPERBLOCK_HAS_SNAPSHOTS;
	superblock_set_versions(sb, versions_file_extent(&versions->file, sb->checkpoint_lsn));
}
