/*
 * Checking a store that nobody has open: every structure and every checksum. Repairing it is
 * in repair.c.
 */
#include "engine/recovery/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/culprit.h"
#include "engine/base/fault.h"
#include "engine/commit/checkpoint.h"
#include "engine/disk/regions_file.h"
#include "engine/index/index_old.h"
#include "engine/recovery/check_snapshots.h"
#include "engine/recovery/keep.h"
#include "engine/recovery/recover.h"
#include "engine/recovery/upgrade.h"

static void count_damage(struct recovery *recovery, const char *line)
{
	struct check *check = recovery->damage_arg;

	check->result->damage++;
	check_say(check, "%s", line);
}

bool check_vector(struct check *check, uint64_t slot, const char **why)
{
	uint64_t id = columns_id(&check->catalog->columns, slot);
	struct meta_row row;
	uint64_t hash = 0;
	int r = columns_meta(&check->catalog->columns, slot, id, &row);

	if (r == 0)
		r = fault_hash(columns_vector(&check->catalog->columns, slot),
		               check->catalog->columns.geometry.vector_bytes, &hash);
	if (r == 0 && vector_sum(id, row.lsn, hash) != row.sum)
		r = -EBADMSG;
	*why = r == -EBADMSG ? "the bytes do not match their checksum" : strerror(-r);
	return r == 0;
}

static void check_vectors(struct check *check, uint64_t rows)
{
	const char *why;

	for (uint64_t slot = 0; slot < rows; slot++) {
		if (!slots_is_live(&check->catalog->slots, slot))
			continue;
		check->result->vectors++;
		if (check_vector(check, slot, &why))
			continue;
		check->result->damage++;
		check_say(check, "vectors.npy: slot %" PRIu64 " (vector %" PRIu64 "): %s", slot,
		          columns_id(&check->catalog->columns, slot), why);
	}
}

/* Slots on which the snapshot and the columns do not agree. */
static uint64_t compare_snapshot(const struct check *check, const struct index *snapshot,
                                 const uint64_t *live)
{
	uint64_t wrong = 0;

	for (uint64_t slot = 0; slot < check->superblock->now.slots_used; slot++) {
		bool here = slots_is_live(&check->catalog->slots, slot);
		bool there = live[slot / 64] >> (slot % 64) & 1;

		if (here != there ||
		    (here &&
		     index_find(snapshot, columns_id(&check->catalog->columns, slot)) != slot))
			wrong++;
	}
	return wrong;
}

/* The file of a program before is read when a store is opened that was closed. -EALREADY: it can
 * be. */
static int look_at_old(struct check *check, const struct index_stamp *stamp)
{
	struct index_old old;
	int r = index_old_read(check->superblock->io, check->dir_fd, stamp, &old);

	if (r)
		return r;
	index_old_free(&old);
	return -EALREADY;
}

static int load_snapshot(struct check *check, struct index *snapshot, uint64_t *live)
{
	const struct superblock *sb = &check->superblock->now;
	struct index_stamp stamp = catalog_index_stamp(sb);
	int r;

	if (sb->index_generation == 0)
		return look_at_old(check, &stamp);
	r = index_load(snapshot, &check->catalog->columns, check->superblock->io, check->dir_fd,
	               &stamp, live, NULL);
	if (r)
		return r == -ESTALE && sb->clean ? look_at_old(check, &stamp) : r;
	r = index_load_rest(snapshot, live, stamp.slots_used);
	if (r)
		index_destroy(snapshot);
	return r;
}

/* The index of a store that was closed cleanly must say what the columns say. In one that was not,
 * rows have changed since: there it must be whole. */
static int check_snapshot(struct check *check)
{
	const struct superblock *sb = &check->superblock->now;
	struct index snapshot;
	uint64_t *live = calloc(1, index_live_bytes(sb->slots_used) + 1);
	uint64_t wrong;
	int r = live ? load_snapshot(check, &snapshot, live) : -ENOMEM;

	if (r == -ENOENT || r == -ESTALE || r == -EBADMSG) {
		/* A close on a full disk leaves none; nothing is lost with it. */
		if (r == -ESTALE && (sb->version == 1 || !sb->clean))
			r = -ENOENT; /* one was recovered by this program; syncs have failed */
		check->result->damage += r != -ENOENT;
		if (r != -ENOENT || (sb->clean && sb->slots_used > 0 && sb->version > 1))
			check_say(check,
			          "index: %s; opening the store rebuilds it from ids.npy and "
			          "meta.npy",
			          r == -EBADMSG  ? "damaged"
			          : r == -ENOENT ? "missing"
			                         : "from another state of the store");
		r = 0;
		goto out;
	}
	if (r) {
		r = r == -EALREADY ? 0 : r;
		goto out;
	}
	wrong = sb->clean ? compare_snapshot(check, &snapshot, live) : 0;
	if (wrong || (sb->clean &&
	              atomic_load(&snapshot.count) != atomic_load(&check->catalog->index.count))) {
		check->result->damage++;
		check_say(check, "index: %" PRIu64 " slots do not agree with ids.npy and meta.npy",
		          wrong);
	}
	index_destroy(&snapshot);
out:
	free(live);
	return r;
}

/* What recovery makes of the superblock where there is no log. */
static struct superblock recovered(struct check *check)
{
	struct superblock sb = check->superblock->now;
	struct slots_counts counts;

	slots_counts(&check->catalog->slots, &counts);
	sb.slots_used = counts.used;
	sb.count = atomic_load(&check->catalog->index.count);
	sb.lsn_ceiling += CHECKPOINT_LSN_STEP;
	keep_tell(check->catalog, &sb);
	return sb;
}

/* What is written by who has recovered the store and marks it as closed. */
static struct superblock closed(struct check *check, const struct superblock *now)
{
	struct superblock sb = *now;
	struct superblock begun = *now;
	struct slots_counts counts;

	slots_counts(&check->catalog->slots, &counts);
	sb.clean = true;
	sb.slots_used = counts.used;
	sb.count = atomic_load(&check->catalog->index.count);
	sb.lsn_ceiling = checkpoint_begin_life(&begun);
	return sb;
}

/* Whether the bad copy is what a crash leaves of writing *next, with the index that it names now or
 * none, or one that is kept for it, in the same file or in a new one. As superblock_torn. */
static int is_torn(struct check *check, const struct superblock *next)
{
	const uint64_t generation = next->sequence + 1;
	const struct {
		uint64_t generation, salt;
	} indexes[] = {
		{ next->index_generation, next->index_salt },
		{ 0, 0 },
		{ generation, next->index_salt },
		{ generation, superblock_index_salt(next, generation) },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(indexes) / sizeof(indexes[0]); i++) {
		struct superblock sb = *next;

		sb.index_generation = indexes[i].generation;
		sb.index_salt = indexes[i].salt;
		r = superblock_torn(check->superblock->io, check->superblock->fd, &sb);
	}
	return r;
}

/* One bad copy is what a crash may leave of writing it. Where there is no log, since the store
 * was closed or has only been created or recovered, the next write is known to the byte: that of
 * opening the store, of upgrading or of recovering it, or of closing it after that. A closed store whose newer copy is bad looks as if it
 * had not been closed, but its log is gone. The base is read. */
static int check_superblock(struct check *check, bool has_log)
{
	struct superblock after = recovered(check);
	struct superblock sb;
	int copies_bad = 0;
	int r = superblock_read(check->superblock->io, check->superblock->fd, &sb, &copies_bad,
	                        NULL);

	if (r || copies_bad == 0 || (!sb.clean && has_log))
		return r;
	r = sb.clean ? 0 : is_torn(check, &after);
	if (r == 0 && !sb.clean) {
		after = closed(check, &sb);
		r = is_torn(check, &after);
	}
	if (r)
		return r < 0 ? r : 0;
	if (sb.version < QUIVER_FORMAT_VERSION)
		superblock_upgrade(&sb, upgrade_ctime_max(&check->catalog->columns));
	/* An upgrade writes it twice. */
	r = is_torn(check, &sb);
	if (r == 0) {
		(void)checkpoint_begin_life(&sb);
		r = is_torn(check, &sb);
	}
	if (r == 0) {
		check->result->damage++;
		check_say(check, "superblock: one of its two copies is damaged");
	}
	return r < 0 ? r : 0;
}

/* Nothing of this store's making lies there, or nothing that may be read. */
static bool is_no_file_of_ours(int r)
{
	return r == -ELOOP || r == -EISDIR || r == -ENXIO || r == -EACCES || r == -EPERM ||
	       r == -EMLINK;
}

/* Where rows may have been stored: what is damaged there costs a recovery time. */
static int check_regions(struct check *check)
{
	struct regions_file file;
	int r = regions_file_open(&file, check->superblock->io, check->dir_fd,
	                          check->superblock->now.geometry.uuid, false);
	int bad, c;

	/* A store that has not been opened since by who makes it has none. */
	if (r == -ENOENT)
		return 0;
	if (is_no_file_of_ours(r)) {
		check->result->damage++;
		check_say(check,
		          "regions: %s: no index is kept at checkpoints, so after a crash all rows "
		          "are read; move the file away; the next open for writing makes a new one",
		          culprit_why(r));
		return 0;
	}
	bad = r == -EBADMSG ? 1 : 0;
	if (r == 0) {
		bad = regions_file_damage(&file);
		c = regions_file_close(&file);
		r = bad < 0 ? bad : c;
	}
	if (bad > 0) {
		check->result->damage++;
		check_say(check, "regions: damaged, so after a crash all rows would be read; the "
		                 "next open for writing makes a new one");
	}
	return r == -EBADMSG ? 0 : r;
}

/* Of a closed store the log is empty: only what the next open would meet in its place counts. */
static int check_log_name(struct check *check, const char *name, int flags)
{
	const struct quiver_io *io = check->superblock->io;
	int fd = io->open(io, check->dir_fd, name, O_RDONLY | flags, 0);

	if (fd >= 0)
		return io->close(io, fd);
	if (fd == -ENOENT) /* the next open makes it */
		return 0;
	if (!is_no_file_of_ours(fd) && fd != -ENOTDIR)
		return fd;
	check->result->damage++;
	check_say(check,
	          "%s: %s: the store cannot be opened for writing; move it away; the next open "
	          "for writing makes a new one",
	          name, culprit_why(fd));
	return 0;
}

static int check_log(struct check *check)
{
	int r = check_log_name(check, "wal", O_DIRECTORY);

	return r ? r : check_log_name(check, "durable", 0);
}

int check_contents(struct check *check)
{
	struct recovery recovery;
	bool clean = check->superblock->now.clean;
	int r = recovery_init(&recovery, check->catalog, check->superblock, check->dir_fd);

	if (r)
		return r;
	recovery.damage = count_damage;
	recovery.damage_arg = check;
	recovery.look_only = true;
	check->result->clean = clean;
	if (!clean) {
		r = recovery_read_log(&recovery);
		check->result->log_records = recovery.scan.records;
	}
	if (r == 0)
		r = recovery_base(&recovery, clean);
	if (r == 0 && recovery.scan.records > 0) {
		/* Only replay could tell what the count will be. */
		r = recovery_foresee(&recovery);
		recovery_judge_rows(&recovery);
	} else if (r == 0) {
		recovery_judge(&recovery, clean);
	}
	if (r == 0) {
		/* Not before: it would count them. */
		keep_hold_slots(check->catalog);
		r = check_superblock(check, recovery.scan.last_segment > 0);
	}
	if (r == 0)
		r = check_regions(check);
	if (r == 0 && clean)
		r = check_log(check);
	if (r == 0)
		check_vectors(check, recovery.rows);
	if (r == 0)
		r = check_snapshots(check);
	if (r == 0 && (clean || check->superblock->now.index_generation > 0))
		r = check_snapshot(check);
	recovery_free(&recovery);
	return r;
}
