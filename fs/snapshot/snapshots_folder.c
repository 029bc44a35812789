/* snapshots_folder.c - the folder snapshots/. */
#include "fs/snapshot/snapshots_folder.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/caller.h"
#include "fs/base/charge.h"
#include "fs/base/handoff.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/snapshot/snapshots.h"

/* Offsets 0 and 1 are "." and "..". */
#define DOTS 2u

/* ---- attributes ---- */

static int snapshots_attr(struct fs *fs, fuse_ino_t ino, unsigned flags, struct stat *st,
                          double *timeout)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	int64_t mtime_ns;

	(void)flags; /* nothing is asked that could wait */
	if (fs->snapshots == NULL)
		return -ENOENT;
	quiver_stats(fs->store, &stats);
	mtime_ns = snapshots_mtime(fs->snapshots);
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_mode = S_IFDIR | 0755;
	st->st_nlink = (nlink_t)(2 + stats.snapshots); /* ".", its name, ".." of each */
	st->st_uid = fs->owner_uid;
	st->st_gid = fs->owner_gid;
	st->st_blksize = ATTR_DIR_BLOCK_BYTES;
	attr_set_times(st, mtime_ns, mtime_ns);
	*timeout = FS_CACHE_SECONDS;
	return 0;
}

/* ---- names ---- */

/* Answer with the folder of a snapshot that is there. */
static void reply_snapshot(struct fs *fs, fuse_req_t req, const struct quiver_snapshot *found)
{
	struct fuse_entry_param entry;
	struct snapshot *snapshot;
	int err = snapshots_get(fs, found, &snapshot);

	if (err != 0) {
		reply_error(req, err);
		return;
	}
	err = snapshot_entry(fs, snapshot, &entry);
	if (err != 0)
		reply_error(req, err);
	else if (fuse_reply_entry(req, &entry) != 0)
		inside_forget(fs->inside, entry.ino, 1);
	snapshot_put(fs, snapshot);
}

static void snapshots_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct quiver_snapshot found;
	int err = -ENOENT;

	(void)parent;
	if (fs->snapshots != NULL && quiver_snapshot_name_is_valid(name))
		err = quiver_snapshot_stat(fs->store, name, &found);
	if (err != 0)
		reply_error(req, err); /* also ENOENT, so that it is not cached */
	else
		reply_snapshot(fs, req, &found);
}

struct name_op {
	struct attempt attempt;
	char name[QUIVER_SNAPSHOT_NAME_MAX + 1];
};

static int mkdir_answer(struct attempt *attempt, bool may_wait)
{
	const struct name_op *op = (const struct name_op *)attempt;
	struct fs *fs = attempt->fs;
	struct quiver_snapshot made;
	int err = quiver_snapshot_create(fs->store, op->name, &made);

	(void)may_wait; /* it may: it is not tried at once */
	if (err != 0 && err != -EEXIST)
		(void)refuse(fs, err, "snapshots/%s: not made: %s", op->name, quiver_strerror(err));
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	snapshots_changed(fs->snapshots);
	reply_snapshot(fs, attempt->req, &made);
	return 0;
}

static int rmdir_answer(struct attempt *attempt, bool may_wait)
{
	const struct name_op *op = (const struct name_op *)attempt;
	struct fs *fs = attempt->fs;
	int err = quiver_snapshot_remove(fs->store, op->name);

	(void)may_wait; /* likewise */
	if (err == 0) {
		snapshots_removed(fs, op->name);
		snapshots_changed(fs->snapshots);
	} else if (err == -EBUSY) {
		(void)refuse(fs, err, "snapshots/%s: not removed: another process has it open",
		             op->name);
	} else if (err != -ENOENT) {
		(void)refuse(fs, err, "snapshots/%s: not removed: %s", op->name,
		             quiver_strerror(err));
	}
	reply_error(attempt->req, err);
	return 0;
}

static void start(fuse_req_t req, const char *name, attempt_fn *answer)
{
	struct name_op op = { .attempt = attempt_for(req, answer) };

	(void)snprintf(op.name, sizeof(op.name), "%s", name); /* it fits: it is valid */
	attempt_defer(&op.attempt, sizeof(op), WORKER_SYNC);
}

void snapshots_mkdir(fuse_req_t req, const char *name)
{
	struct fs *fs = fs_of(req);

	if (fs->read_only)
		reply_error(req, -EROFS);
	else if (fs->snapshots == NULL)
		reply_error(req, -ENOENT);
	else if (!quiver_snapshot_name_is_valid(name))
		refuse_name(
			req, name,
			"not the name of a snapshot (up to 64 of A-Z a-z 0-9 . _ : - and no dot "
			"in front)",
			-EINVAL);
	else
		start(req, name, mkdir_answer);
}

void snapshots_rmdir(fuse_req_t req, const char *name)
{
	struct fs *fs = fs_of(req);

	if (fs->read_only)
		reply_error(req, -EROFS);
	else if (fs->snapshots == NULL || !quiver_snapshot_name_is_valid(name))
		reply_error(req, -ENOENT);
	else
		start(req, name, rmdir_answer);
}

/* ---- listing ---- */

struct name {
	uint64_t inode;
	char text[QUIVER_SNAPSHOT_NAME_MAX + 1];
};

/* What one open folder shows: the snapshots that there were when it was read from its start. */
struct names {
	struct handoff handoff;
	pthread_mutex_t lock;
	uid_t uid; /* constant; who opened it, and pays */
	bool taken; /* lock */
	struct name *list; /* lock; oldest first */
	size_t count; /* lock; of them */
};

static void names_free(struct fs *fs, struct names *names)
{
	charge_give(fs, CHARGE_LISTING_BYTES, names->uid, names->count * sizeof(*names->list));
	free(names->list);
	pthread_mutex_destroy(&names->lock);
	free(names);
}

static struct names *names_new(void)
{
	struct names *names = calloc(1, sizeof(*names));

	if (names == NULL)
		return NULL;
	names->uid = caller_uid;
	(void)pthread_mutex_init(&names->lock, NULL); /* cannot fail with defaults */
	return names;
}

static int copy_names(struct fs *fs, struct name **list, size_t *count)
{
	struct quiver_snapshot *snapshots;
	int err = quiver_snapshots(fs->store, &snapshots, count);

	if (err != 0)
		return err;
	*list = calloc(*count > 0 ? *count : 1, sizeof(**list));
	for (size_t i = 0; *list != NULL && i < *count; i++) {
		(*list)[i].inode = snapshot_inode(&snapshots[i]);
		memcpy((*list)[i].text, snapshots[i].name, sizeof((*list)[i].text));
	}
	free(snapshots);
	return *list != NULL ? 0 : -ENOMEM;
}

/* Look what there is now. -ENOMEM; -EDQUOT, -ENOSPC: told. Its lock is held. */
static int take(struct fs *fs, struct names *names)
{
	struct name *list = NULL;
	size_t count = 0;
	uint64_t bytes;
	int err = copy_names(fs, &list, &count);

	if (err != 0)
		return err;
	bytes = count * sizeof(*list);
	err = charge_take(fs, CHARGE_LISTING_BYTES, names->uid, bytes);
	if (err != 0) {
		free(list);
		if (err == -EDQUOT || err == -ENOSPC)
			(void)charge_refuse(fs, "snapshots/", CHARGE_LISTING_BYTES, names->uid,
			                    bytes, err);
		return err;
	}
	charge_give(fs, CHARGE_LISTING_BYTES, names->uid, names->count * sizeof(*list));
	free(names->list);
	names->list = list;
	names->count = count;
	names->taken = true;
	return 0;
}

struct read_op {
	struct attempt attempt;
	struct names *names; /* NULL where there was no OPENDIR */
	size_t size;
	uint64_t offset;
	bool plus;
};

/* As much as fits of what stands from the offset on. Names alone: the kernel asks for the rest when it
 * is wanted. The lock is held. */
static size_t fill(const struct read_op *op, const struct names *names, char *to)
{
	struct fuse_entry_param entry;
	size_t used = 0;

	for (uint64_t at = op->offset; at < DOTS + names->count; at++) {
		const char *text = at == 0 ? "." : at == 1 ? ".." : names->list[at - DOTS].text;
		size_t length;

		memset(&entry, 0, sizeof(entry));
		entry.attr.st_mode = S_IFDIR;
		entry.attr.st_ino = at == 0   ? TREE_SNAPSHOTS
		                    : at == 1 ? TREE_ROOT
		                              : names->list[at - DOTS].inode;
		if (op->plus)
			length = fuse_add_direntry_plus(op->attempt.req, to + used, op->size - used,
			                                text, &entry, (off_t)at + 1);
		else
			length = fuse_add_direntry(op->attempt.req, to + used, op->size - used,
			                           text, &entry.attr, (off_t)at + 1);
		if (length > op->size - used)
			break;
		used += length;
	}
	return used;
}

static int read_answer(struct attempt *attempt, bool may_wait)
{
	const struct read_op *op = (const struct read_op *)attempt;
	struct names *names = op->names != NULL ? op->names : names_new();
	struct fs *fs = attempt->fs;
	struct reply reply;
	size_t used = 0;
	int err;

	(void)may_wait; /* it may: it is not tried at once */
	err = reply_begin(&reply, attempt->req, op->size);
	if (err == 0 && names == NULL)
		err = -ENOMEM;
	if (names != NULL) {
		pthread_mutex_lock(&names->lock);
		if (err == 0 && (!names->taken || op->offset == 0))
			err = take(fs, names);
		if (err == 0)
			used = fill(op, names, reply.data);
		pthread_mutex_unlock(&names->lock);
	}
	if (op->names != NULL)
		handoff_give(&names->handoff);
	else if (names != NULL)
		names_free(fs, names);
	reply_end(&reply, err, used);
	return 0;
}

static struct names *names_of(const struct fuse_file_info *fi)
{
	struct names *names = (struct names *)(uintptr_t)fi->fh;

	if (names != NULL)
		handoff_take(&names->handoff);
	return names;
}

static void snapshots_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus,
                              struct fuse_file_info *fi)
{
	struct read_op op = {
		.attempt = attempt_for(req, read_answer),
		.names = names_of(fi),
		.size = size,
		.offset = (uint64_t)off,
		.plus = plus,
	};

	(void)ino;
	attempt_defer(&op.attempt, sizeof(op), WORKER_READ);
}

static void snapshots_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct names *names = names_new();

	(void)ino;
	if (names == NULL) {
		reply_error(req, -ENOMEM);
		return;
	}
	fi->fh = (uintptr_t)names;
	handoff_give(&names->handoff);
	if (fuse_reply_open(req, fi) != 0)
		names_free(fs_of(req), names);
}

static void snapshots_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct names *names = names_of(fi);

	(void)ino;
	if (names != NULL)
		names_free(fs_of(req), names);
	reply_error(req, 0);
}

/* ---- life ---- */

/* A store that cannot have snapshots has no such folder. */
static int snapshots_init(struct fs *fs)
{
	if (fs->guest != NULL || !(quiver_capabilities(fs->store) & QUIVER_HAS_SNAPSHOTS))
		return 0;
	return snapshots_new(fs, &fs->snapshots);
}

static void snapshots_fini(struct fs *fs)
{
	snapshots_free(fs, fs->snapshots);
	fs->snapshots = NULL;
}

const struct node_ops snapshots_ops = {
	.init = snapshots_init,
	.fini = snapshots_fini,
	.attr = snapshots_attr,
	.lookup = snapshots_lookup,
	.opendir = snapshots_opendir,
	.readdir = snapshots_readdir,
	.releasedir = snapshots_releasedir,
};
