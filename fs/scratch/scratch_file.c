/* scratch_file.c - the handlers of libfuse for scratch files. */
#include "fs/scratch/scratch_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/base/attr.h"
#include "fs/base/clock.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/scratch/scratch.h"

/* Answer with attributes, which are never cached. A file without a name that is
 * still open has no links; one that is gone is stale. */
static void scratch_getattr(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct scratch_file *file;
	struct stat st;

	scratch_lock(fs);
	file = scratch_find(fs, ino);
	if (file != NULL)
		attr_file(fs, ino, &file->attr, file->size, file->name != NULL, &st);
	scratch_unlock(fs);
	if (file == NULL)
		reply_error(req, -ESTALE);
	else
		(void)fuse_reply_attr(req, &st, 0);
}

/* Cut or zero-fill. The caller holds the lock. -EFBIG, -ENOSPC, -ENOMEM. */
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

/* One line for a change that was refused; returns err. */
static int refuse_change(struct fs *fs, int err)
{
	if (err == -EFBIG)
		return refuse(fs, err,
		              "scratch file: more than %" PRIu32
		              " bytes, or for a .npy or .txt more than any needs",
		              fs->geometry.vector_bytes);
	if (err == -ENOSPC)
		return refuse(fs, err, "scratch files: they hold %" PRIu64 " bytes, no more fit",
		              SCRATCH_BYTES_MAX);
	return err;
}

static void scratch_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                            struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct scratch_file *file;
	struct quiver_attr wanted;
	bool explicit_mtime;
	unsigned mask = attr_wanted(attr, to_set, &wanted, &explicit_mtime);
	int err = 0;

	(void)fi;
	scratch_lock(fs);
	file = scratch_find(fs, ino);
	if (file == NULL)
		err = -ESTALE;
	else if (to_set & FUSE_SET_ATTR_SIZE)
		err = resize_file(fs, file, (uint64_t)attr->st_size);
	if (err == 0) {
		attr_merge(&file->attr, &wanted, mask);
		file->attr.ctime_ns = clock_now_ns();
	}
	scratch_unlock(fs);
	if (err != 0)
		reply_error(req, refuse_change(fs, err));
	else
		scratch_getattr(req, ino);
}

/* The counterpart of an open, also of one whose reply did not get through. */
static void scratch_close(struct fs *fs, uint64_t ino)
{
	struct scratch_file *file;

	scratch_lock(fs);
	file = scratch_find(fs, ino);
	if (file != NULL && file->opens > 0) {
		file->opens--;
		scratch_reap(fs, file);
	}
	scratch_unlock(fs);
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
	fi->direct_io = 1;
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) != 0)
		scratch_close(fs, ino);
}

void scratch_file_create(fuse_req_t req, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct quiver_attr attr = attr_new(fs, fuse_req_ctx(req), mode);
	struct fuse_entry_param entry;
	int err;

	err = scratch_create(fs, name, &attr, (fi->flags & O_EXCL) != 0, (fi->flags & O_TRUNC) != 0,
	                     true, &entry);
	if (err != 0) {
		reply_error(req, err);
		return;
	}
	fi->direct_io = 1;
	fi->noflush = 1;
	if (fuse_reply_create(req, &entry, fi) != 0)
		scratch_close(fs, entry.ino);
}

static void scratch_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	scratch_close(fs_of(req), ino);
	reply_error(req, 0);
}

static void scratch_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                         struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct scratch_file *file;
	struct reply reply;
	size_t length = 0;
	int err;

	(void)fi;
	err = reply_begin(&reply, req, size);
	scratch_lock(fs);
	file = scratch_find(fs, ino);
	if (err == 0 && file == NULL)
		err = -ESTALE;
	if (err == 0 && (uint64_t)off < file->size) {
		length = file->size - (size_t)off;
		if (length > size)
			length = size;
		memcpy(reply.data, file->data + off, length);
	}
	scratch_unlock(fs);
	reply_end(&reply, err, length);
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

static void scratch_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                          struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct scratch_file *file;
	int err = -ESTALE;

	scratch_lock(fs);
	file = scratch_find(fs, ino);
	if (file != NULL)
		err = write_at(fs, file, buf, size,
		               (fi->flags & O_APPEND) ? file->size : (uint64_t)off);
	scratch_unlock(fs);
	reply_written(req, refuse_change(fs, err), size);
}

static int scratch_init(struct fs *fs)
{
	return scratch_new(&fs->scratch);
}

static void scratch_fini(struct fs *fs)
{
	scratch_free(fs->scratch);
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
	.release = scratch_release,
};
