/* scratch_file.c - the handlers of libfuse for scratch files. */
#include "fs/scratch/scratch_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/caller.h"
#include "fs/base/charge.h"
#include "fs/base/clock.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/scratch/scratch.h"
#include "fs/scratch/scratch_become.h"
#include "fs/scratch/scratch_table.h"

/* A request on a file. */
struct scratch_op {
	struct attempt attempt; /* of a write also the bytes */
	uint64_t ino;
	struct fuse_file_info fi; /* of a read or write */
	size_t size; /* of a read, or of fallocate, */
	int mode; /* as this */
	uint64_t offset;
	struct attr_change change;
};

/* A request on a descriptor goes to the heir: its fi. */
static struct fuse_file_info inherit(const struct scratch_heir *heir,
                                     const struct fuse_file_info *fi)
{
	struct fuse_file_info inherited = *fi;

	inherited.fh = heir->fh;
	return inherited;
}

/* What has become of a file. False where it goes on as it is; true: as *heir, or all that comes
 * fails by heir->err. */
static bool find_heir(struct fs *fs, uint64_t ino, struct scratch_heir *heir)
{
	const struct scratch_file *file;

	scratch_lock(fs);
	file = scratch_find(fs, ino);
	*heir = file != NULL ? file->heir : (struct scratch_heir){ .ops = NULL };
	scratch_unlock(fs);
	return heir->ops != NULL || heir->err != 0;
}

/* ---- attributes ---- */

/* The attributes of a file that goes on as it is, which are never cached. One without a name that
 * is still open has no links; one that is gone is stale. */
static void reply_attributes(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct scratch_file *file;
	struct stat st;

	scratch_lock(fs);
	file = scratch_find(fs, ino);
	if (file != NULL)
		scratch_stat(fs, file, &st);
	scratch_unlock(fs);
	if (file == NULL)
		reply_error(req, -ESTALE);
	else
		(void)fuse_reply_attr(req, &st, 0);
}

/* Of the heir, which may be closed meanwhile if the request has come by a name: so it is held
 * open. On workers. */
static int heir_attr_answer(struct attempt *attempt, bool may_wait)
{
	const struct scratch_op *op = (const struct scratch_op *)attempt;
	struct scratch_heir heir = { .ops = NULL };
	struct fs *fs = attempt->fs;
	struct scratch_file *file;
	struct stat st;
	int err = -ESTALE;

	scratch_lock(fs);
	file = scratch_find(fs, op->ino);
	if (file != NULL && file->opens > 0) {
		file->opens++;
		heir = file->heir;
		err = heir.err;
	}
	scratch_unlock(fs);
	if (heir.ops != NULL && (op->change.resize || op->change.set))
		err = heir.ops->set_open(fs, heir.ino, heir.fh, &op->change, may_wait);
	if (heir.ops != NULL && err == 0)
		err = heir.ops->stat_open(fs, heir.ino, heir.fh, may_wait, &st);
	if (file != NULL) {
		scratch_lock(fs);
		heir = scratch_closed(fs, file);
		scratch_unlock(fs);
		scratch_close_heir(fs, heir);
	}
	reply_attr(attempt->req, err == -ENOENT ? -ESTALE : err, &st, 0);
	return 0;
}

static void scratch_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct scratch_op op = {
		.attempt = attempt_for(req, heir_attr_answer),
		.ino = ino,
	};
	struct scratch_heir heir;

	(void)fi;
	if (find_heir(op.attempt.fs, ino, &heir))
		attempt_defer(&op.attempt, sizeof(op), WORKER_READ);
	else
		reply_attributes(req, ino);
}

/* Cut or zero-fill. The caller holds the lock. -EFBIG, -EDQUOT, -ENOSPC, -ENOMEM. */
static int resize_file(struct fs *fs, struct scratch_file *file, uint64_t size)
{
	int err;

	if (size > file->limit)
		return -EFBIG;
	err = scratch_reserve(fs, file, (uint32_t)size);
	if (err != 0)
		return err;
	if (size < file->size)
		memset(file->data + size, 0, file->size - size);
	file->size = (uint32_t)size;
	scratch_changed(file);
	return 0;
}

/* One line for a change, of a file of `uid`, that was refused; returns err. */
static int refuse_change(struct fs *fs, uid_t uid, int err)
{
	if (err == -EFBIG)
		return refuse(fs, err,
		              "scratch file: more than %" PRIu32
		              " bytes, or more than a .npy or .txt of a vector needs",
		              scratch_least_limit(fs));
	if (err == -EDQUOT || err == -ENOSPC)
		return charge_refuse(fs, "scratch file", CHARGE_SCRATCH_BYTES, uid, 1, err);
	return err;
}

/* Of a file that goes on as it is. */
static int set_attributes(struct fs *fs, struct scratch_file *file,
                          const struct attr_change *change)
{
	int err = change->resize ? resize_file(fs, file, change->size) : 0;

	if (err != 0)
		return err;
	if (change->cuts)
		file->attr.mode = attr_without_setid(file->attr.mode);
	attr_merge(&file->attr, &change->attr, change->mask);
	file->attr.ctime_ns = clock_now_ns();
	return 0;
}

static int scratch_setattr_answer(struct attempt *attempt, bool may_wait)
{
	const struct scratch_op *op = (const struct scratch_op *)attempt;
	struct fs *fs = attempt->fs;
	struct scratch_file *file;
	bool inherited = false;
	uid_t uid = CALLER_NOBODY;
	int err;

	scratch_lock(fs);
	err = scratch_settled(fs, op->ino, may_wait, &file);
	if (err == 0) {
		uid = file->uid;
		inherited = file->heir.ops != NULL || file->heir.err != 0;
	}
	if (err == 0 && !inherited)
		err = set_attributes(fs, file, &op->change);
	scratch_unlock(fs);
	if (err == 0 && inherited)
		err = may_wait ? 0 : -EAGAIN;
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err == 0 && inherited)
		return heir_attr_answer(attempt, may_wait);
	if (err != 0)
		reply_error(attempt->req, refuse_change(fs, uid, err));
	else
		reply_attributes(attempt->req, op->ino);
	return 0;
}

static void scratch_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                            struct fuse_file_info *fi)
{
	struct scratch_op op = {
		.attempt = attempt_for(req, scratch_setattr_answer),
		.ino = ino,
		.change = attr_change_of(attr, to_set),
	};

	(void)fi;
	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

/* ---- open and close ---- */

/* The counterpart of an open, also of one whose reply did not get through. */
static struct scratch_heir scratch_close(struct fs *fs, uint64_t ino)
{
	struct scratch_heir heir = { .ops = NULL };
	struct scratch_file *file;

	scratch_lock(fs);
	file = scratch_find(fs, ino);
	if (file != NULL && file->opens > 0)
		heir = scratch_closed(fs, file);
	scratch_unlock(fs);
	return heir;
}

/* How a file is opened: one that is written has a FLUSH when it is closed, as it may be a vector
 * by then, which commits. */
static void open_how(struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
}

static void scratch_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct scratch_file *file;

	scratch_lock(fs);
	file = scratch_find(fs, ino);
	if (file != NULL)
		file->opens++;
	scratch_unlock(fs);
	if (file == NULL) {
		reply_error(req, -ESTALE);
		return;
	}
	open_how(fi);
	if (fuse_reply_open(req, fi) != 0)
		scratch_close_heir(fs, scratch_close(fs, ino));
}

void scratch_file_create(fuse_req_t req, uint64_t parent, const char *name, mode_t mode,
                         struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct quiver_attr attr = scratch_attr_new(fs, fuse_req_ctx(req), parent, mode);
	struct fuse_entry_param entry;
	int err;

	err = scratch_create(fs, parent, name, &attr, (fi->flags & O_EXCL) != 0,
	                     (fi->flags & O_TRUNC) != 0, true, &entry);
	if (err != 0) {
		reply_error(req, err);
		return;
	}
	open_how(fi);
	if (fuse_reply_create(req, &entry, fi) != 0)
		scratch_close_heir(fs, scratch_close(fs, entry.ino));
}

static void scratch_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct scratch_heir heir = scratch_close(fs_of(req), ino);
	struct fuse_file_info inherited = inherit(&heir, fi);

	if (heir.ops != NULL)
		heir.ops->release(req, heir.ino, &inherited);
	else
		reply_error(req, 0);
}

/* FLUSH, or FSYNC: for what the file has become; of itself there is nothing to do. */
static void flush_or_sync(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, bool sync)
{
	struct scratch_heir heir;
	bool gone_on = find_heir(fs_of(req), ino, &heir);
	struct fuse_file_info inherited = inherit(&heir, fi);

	if (gone_on && heir.ops != NULL)
		(sync ? heir.ops->fsync : heir.ops->flush)(req, heir.ino, &inherited);
	else
		reply_error(req, heir.err);
}

static void scratch_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	flush_or_sync(req, ino, fi, false);
}

static void scratch_fsync(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	flush_or_sync(req, ino, fi, true);
}

/* ---- bytes ---- */

/* The caller holds the lock. Returns how many there were. */
static size_t read_at(const struct scratch_file *file, char *to, size_t size, uint64_t offset)
{
	size_t left = offset < file->size ? file->size - (size_t)offset : 0;

	if (size > left)
		size = left;
	if (size > 0)
		memcpy(to, file->data + offset, size);
	return size;
}

static int scratch_read_answer(struct attempt *attempt, bool may_wait)
{
	const struct scratch_op *op = (const struct scratch_op *)attempt;
	struct scratch_heir heir = { .ops = NULL };
	struct fs *fs = attempt->fs;
	struct fuse_file_info fi;
	struct scratch_file *file;
	struct reply reply;
	size_t length = 0;
	int err;

	err = reply_begin(&reply, attempt->req, op->size);
	scratch_lock(fs);
	if (err == 0)
		err = scratch_settled(fs, op->ino, may_wait, &file);
	if (err == 0) {
		heir = file->heir;
		err = heir.err;
	}
	if (err == 0 && heir.ops == NULL)
		length = read_at(file, reply.data, op->size, op->offset);
	scratch_unlock(fs);
	if ((err == -EAGAIN && !may_wait) || (err == 0 && heir.ops != NULL))
		reply_cancel(&reply);
	else
		reply_end(&reply, err, length);
	if (err == -EAGAIN && !may_wait)
		return err;
	fi = inherit(&heir, &op->fi);
	if (err == 0 && heir.ops != NULL)
		heir.ops->read(attempt->req, heir.ino, op->size, (off_t)op->offset, &fi);
	return 0;
}

static void scratch_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                         struct fuse_file_info *fi)
{
	struct scratch_op op = {
		.attempt = attempt_for(req, scratch_read_answer),
		.ino = ino,
		.fi = *fi,
		.size = size,
		.offset = (uint64_t)off,
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

/* The caller holds the lock. */
static int write_at(struct fs *fs, struct scratch_file *file, const char *buf, size_t size,
                    uint64_t offset)
{
	uint32_t n = file->limit;
	int err;

	if (offset > n || size > n - offset)
		return -EFBIG;
	if (size == 0)
		return 0;
	err = scratch_reserve(fs, file, (uint32_t)(offset + size));
	if (err != 0)
		return err;
	memcpy(file->data + offset, buf, size);
	if (offset + size > file->size)
		file->size = (uint32_t)(offset + size);
	scratch_changed(file);
	return 0;
}

/* The file of a change, whose it is, and what has become of it. The caller holds the lock. */
static int settle_to_change(struct fs *fs, const struct scratch_op *op, bool may_wait,
                            struct scratch_file **file, struct scratch_heir *heir, uid_t *uid)
{
	int err = scratch_settled(fs, op->ino, may_wait, file);

	if (err != 0)
		return err;
	*uid = (*file)->uid;
	*heir = (*file)->heir;
	return heir->err;
}

static int scratch_write_answer(struct attempt *attempt, bool may_wait)
{
	const struct scratch_op *op = (const struct scratch_op *)attempt;
	struct scratch_heir heir = { .ops = NULL };
	size_t size = attempt->data_bytes;
	struct fs *fs = attempt->fs;
	struct fuse_file_info fi;
	struct scratch_file *file;
	uid_t uid = CALLER_NOBODY;
	int err;

	scratch_lock(fs);
	err = settle_to_change(fs, op, may_wait, &file, &heir, &uid);
	if (err == 0 && heir.ops == NULL)
		err = write_at(fs, file, attempt->data, size,
		               (op->fi.flags & O_APPEND) ? file->size : op->offset);
	if (err == 0 && heir.ops == NULL &&
	    attr_drops_setid(fs, fuse_req_ctx(attempt->req), &op->fi))
		file->attr.mode = attr_without_setid(file->attr.mode);
	scratch_unlock(fs);
	if (err == -EAGAIN && !may_wait)
		return err;
	fi = inherit(&heir, &op->fi);
	if (err == 0 && heir.ops != NULL)
		heir.ops->write(attempt->req, heir.ino, attempt->data, size, (off_t)op->offset,
		                &fi);
	else
		reply_written(attempt->req, refuse_change(fs, uid, err), size);
	return 0;
}

static void scratch_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                          struct fuse_file_info *fi)
{
	struct scratch_op op = {
		.attempt = attempt_with(req, scratch_write_answer, buf, size),
		.ino = ino,
		.fi = *fi,
		.offset = (uint64_t)off,
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

/* The caller holds the lock. -EFBIG, -ENOSPC, -ENOMEM. */
static int allocate(struct fs *fs, struct scratch_file *file, int mode, uint64_t offset,
                    uint64_t length)
{
	bool holes = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
	uint64_t end = offset + length;

	if (holes && offset < file->size) {
		memset(file->data + offset, 0,
		       (end < file->size ? end : file->size) - (size_t)offset);
		scratch_changed(file);
	}
	if (mode & FALLOC_FL_PUNCH_HOLE)
		return 0;
	if (end > file->limit)
		return -EFBIG;
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > file->size)
		return resize_file(fs, file, end);
	return 0;
}

static int scratch_fallocate_answer(struct attempt *attempt, bool may_wait)
{
	const struct scratch_op *op = (const struct scratch_op *)attempt;
	struct scratch_heir heir = { .ops = NULL };
	struct fs *fs = attempt->fs;
	struct fuse_file_info fi;
	struct scratch_file *file;
	uid_t uid = CALLER_NOBODY;
	int err;

	scratch_lock(fs);
	err = settle_to_change(fs, op, may_wait, &file, &heir, &uid);
	if (err == 0 && heir.ops == NULL)
		err = allocate(fs, file, op->mode, op->offset, op->size);
	scratch_unlock(fs);
	if (err == -EAGAIN && !may_wait)
		return err;
	fi = inherit(&heir, &op->fi);
	if (err == 0 && heir.ops != NULL)
		heir.ops->fallocate(attempt->req, heir.ino, op->mode, (off_t)op->offset,
		                    (off_t)op->size, &fi);
	else
		reply_error(attempt->req, refuse_change(fs, uid, err));
	return 0;
}

static void scratch_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
                              struct fuse_file_info *fi)
{
	struct scratch_op op = {
		.attempt = attempt_for(req, scratch_fallocate_answer),
		.ino = ino,
		.fi = *fi,
		.mode = mode,
		.size = (size_t)length,
		.offset = (uint64_t)off,
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

static int scratch_init(struct fs *fs)
{
	return scratch_new(&fs->scratch);
}

static void scratch_fini(struct fs *fs)
{
	scratch_free(fs, fs->scratch);
	fs->scratch = NULL;
}

const struct node_ops scratch_ops = {
	.init = scratch_init,
	.fini = scratch_fini,
	.entry = scratch_node_entry,
	.getattr = scratch_getattr,
	.setattr = scratch_setattr,
	.open = scratch_open,
	.read = scratch_read,
	.write = scratch_write,
	.fallocate = scratch_fallocate,
	.flush = scratch_flush,
	.fsync = scratch_fsync,
	.release = scratch_release,
};
