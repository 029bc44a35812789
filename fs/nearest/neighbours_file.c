/* neighbours_file.c - the files of nearest/. */
#include "fs/nearest/neighbours_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/handoff.h"
#include "fs/base/inside.h"
#include "fs/base/reply.h"
#include "fs/nearest/neighbours_kept.h"
#include "fs/nearest/neighbours_node.h"
#include "fs/nearest/neighbours_text.h"
#include "fs/question/exchange.h"
#include "fs/question/neighbours.h"

#define QUERY_MODE 0666u

/* An open file. */
struct neighbours_handle {
	struct handoff handoff; /* given before each reply that others may follow */
	uint64_t ino; /* constant, as are all below but the links */
	struct exchange *exchange; /* of query */
	const struct neighbours_text *text; /* of an ID; its node's */
	struct neighbours_handle *next, **back; /* neighbours_open's lock */
};

struct neighbours_open {
	pthread_mutex_t lock;
	struct neighbours_handle *handles; /* lock; all there are */
};

static bool is_query(const struct neighbours_name *name)
{
	return name->id == QUIVER_ID_NONE;
}

/* There is none where nothing can be opened for writing. */
static bool has_query(const struct fs *fs)
{
	return !fs->read_only;
}

/* ---- attributes ---- */

/* Of the text that is read, or one that it is no longer than. */
static size_t length_of(struct fs *fs, uint64_t ino, const struct neighbours_name *name,
                        int64_t *mtime_ns)
{
	size_t length;

	if (is_query(name))
		return 0;
	if (fs->no_open ? neighbours_kept_look(fs, name, &length, mtime_ns)
	                : neighbours_length(fs, ino, &length))
		return length;
	return (size_t)name->k * NEIGHBOURS_LINE_BYTES;
}

/* When a text changed last is not known, but of one that is kept; so that is said of the vector. Where
 * that is gone there is what is open. -EAGAIN, errors of the store. */
static int fill(struct fs *fs, uint64_t ino, const struct neighbours_name *name, unsigned flags,
                struct stat *st)
{
	struct quiver_attr attr = { .uid = fs->owner_uid,
		                    .gid = fs->owner_gid,
		                    .mode = QUERY_MODE,
		                    .mtime_ns = fs->fixed_mtime_ns,
		                    .ctime_ns = fs->fixed_mtime_ns };
	unsigned links = 1;
	size_t length;
	int err = 0;

	if (!is_query(name)) {
		err = quiver_stat(fs->store, name->id, flags, &attr, NULL);
		attr.mode &= 0444;
	}
	if (err == -ENOENT) {
		attr.mode = 0;
		links = 0;
		err = 0;
	}
	if (err != 0)
		return err;
	length = length_of(fs, ino, name, &attr.mtime_ns);
	attr_file(fs, ino == TREE_QUERY ? ino : tree_neighbours_inode(name->id, name->k), &attr,
	          length, links, st);
	st->st_blksize = ATTR_DIR_BLOCK_BYTES;
	return 0;
}

/* What a listing asks for: of query alone. */
static int neighbours_attr(struct fs *fs, fuse_ino_t ino, unsigned flags, struct stat *st,
                           double *timeout)
{
	struct neighbours_name name;

	*timeout = 0;
	if (!neighbours_find(fs, ino, &name) || (is_query(&name) && !has_query(fs)))
		return -ENOENT;
	return fill(fs, ino, &name, flags, st);
}

struct neighbours_op {
	struct attempt attempt;
	uint64_t ino;
	struct neighbours_name name; /* of a lookup */
	struct fuse_file_info fi;
	size_t size;
	uint64_t offset;
};

static int getattr_answer(struct attempt *attempt, bool may_wait)
{
	const struct neighbours_op *op = (const struct neighbours_op *)attempt;
	struct fs *fs = attempt->fs;
	struct neighbours_name name;
	struct stat st;
	int err = neighbours_find(fs, op->ino, &name) ? 0 : -ESTALE;

	if (err == 0)
		err = fill(fs, op->ino, &name, attempt_flags(may_wait), &st);
	if (err == -EAGAIN && !may_wait)
		return err;
	reply_attr(attempt->req, err == -ENOENT ? -ESTALE : err, &st, 0);
	return 0;
}

static void neighbours_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct neighbours_op op = {
		.attempt = attempt_for(req, getattr_answer),
		.ino = ino,
	};

	(void)fi;
	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

/* O_TRUNC of query means nothing. */
static void neighbours_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                               struct fuse_file_info *fi)
{
	struct neighbours_name name;

	(void)attr;
	if (!neighbours_find(fs_of(req), ino, &name))
		reply_error(req, -ESTALE);
	else if (!is_query(&name) ||
	         (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0)
		reply_error(req, -EPERM);
	else
		neighbours_getattr(req, ino, fi);
}

/* ---- lookup ---- */

/* The entry of a node that is counted as looked up. -ENOENT, -EAGAIN, errors of the store: then it is
 * not. */
static int fill_entry(struct fs *fs, uint64_t ino, const struct neighbours_name *name,
                      unsigned flags, struct fuse_entry_param *entry)
{
	int err;

	memset(entry, 0, sizeof(*entry)); /* no timeouts */
	entry->ino = ino;
	entry->generation = 1;
	err = fill(fs, ino, name, flags, &entry->attr);
	if (err == 0 && entry->attr.st_nlink == 0)
		err = -ENOENT;
	if (err != 0)
		neighbours_forget(fs, ino, 1);
	return err;
}

/* By its number, as NFS does. */
static int neighbours_entry(struct fs *fs, fuse_ino_t ino, unsigned flags,
                            struct fuse_entry_param *entry)
{
	struct neighbours_name name;

	if (ino != TREE_QUERY)
		return neighbours_give_again(fs, ino, &name)
		               ? fill_entry(fs, ino, &name, flags, entry)
		               : -ENOENT;
	memset(entry, 0, sizeof(*entry));
	entry->ino = ino;
	entry->generation = 1;
	entry->entry_timeout = FS_CACHE_SECONDS;
	return neighbours_attr(fs, ino, flags, &entry->attr, &entry->attr_timeout);
}

/* Whether the kernel's pages of a file are for those who may read all: of who looks it up. */
static int of_whom(fuse_req_t req, unsigned flags, struct neighbours_name *name)
{
	struct asker asker;
	int err;

	if (!fs_of(req)->no_open)
		return 0;
	err = asker_of(req, flags, &asker);
	if (err != 0)
		return err;
	name->of_all = asker.reads_all;
	asker_free(&asker);
	return 0;
}

static int lookup_answer(struct attempt *attempt, bool may_wait)
{
	struct neighbours_op *op = (struct neighbours_op *)attempt;
	unsigned flags = attempt_flags(may_wait);
	struct fs *fs = attempt->fs;
	struct fuse_entry_param entry;
	uint64_t ino;
	int err = is_query(&op->name) && !has_query(fs) ? -ENOENT : 0;

	if (err == 0)
		err = of_whom(attempt->req, flags, &op->name);
	if (err == 0)
		err = neighbours_give(fs, &op->name, &ino);
	if (err == 0)
		err = fill_entry(fs, ino, &op->name, flags, &entry);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	err = inside_entry(fs, &entry);
	if (err == 0 && fuse_reply_entry(attempt->req, &entry) == 0)
		return 0;
	if (err == 0)
		inside_entry_failed(fs, entry.ino);
	else
		reply_error(attempt->req, err);
	neighbours_forget(fs, ino, 1); /* the kernel does not know it */
	return 0;
}

void neighbours_lookup(fuse_req_t req, const char *name)
{
	struct neighbours_op op = {
		.attempt = attempt_for(req, lookup_answer),
	};

	if (!tree_parse_neighbours(name, &op.name.id, &op.name.k))
		reply_error(req, -ENOENT);
	else
		attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

/* ---- handles ---- */

static void handle_add(struct fs *fs, struct neighbours_handle *handle)
{
	struct neighbours_open *open = fs->neighbours_open;

	pthread_mutex_lock(&open->lock);
	handle->next = open->handles;
	handle->back = &open->handles;
	if (handle->next != NULL)
		handle->next->back = &handle->next;
	open->handles = handle;
	pthread_mutex_unlock(&open->lock);
	handoff_give(&handle->handoff);
}

static void handle_free(struct fs *fs, struct neighbours_handle *handle)
{
	exchange_free(handle->exchange);
	neighbours_let_go(fs, handle->ino);
	free(handle);
}

/* The opposite of handle_add, and the end of the handle. */
static void handle_remove(struct fs *fs, struct neighbours_handle *handle)
{
	struct neighbours_open *open = fs->neighbours_open;

	pthread_mutex_lock(&open->lock);
	*handle->back = handle->next;
	if (handle->next != NULL)
		handle->next->back = handle->back;
	pthread_mutex_unlock(&open->lock);
	handle_free(fs, handle);
}

static struct neighbours_handle *handle_of(const struct fuse_file_info *fi)
{
	struct neighbours_handle *handle = (struct neighbours_handle *)(uintptr_t)fi->fh;

	if (handle != NULL)
		handoff_take(&handle->handoff);
	return handle;
}

/* ---- open ---- */

/* -EACCES; -EINVAL: told. */
static int check_open(struct fs *fs, const struct neighbours_name *name, int flags)
{
	if (is_query(name))
		return has_query(fs) ? exchange_check_open(fs, &query_questions, flags) : -ENOENT;
	return (flags & O_ACCMODE) == O_RDONLY ? 0 : -EACCES; /* whatever root may */
}

/* What the file is, for `asker`. */
static int begin(struct fs *fs, const struct neighbours_name *name, struct asker *asker,
                 struct neighbours_handle *handle)
{
	struct neighbours_text text;
	int err;

	if (!is_query(name)) {
		err = neighbours_text_make(fs, name, asker, &text);
		if (err == 0)
			handle->text = neighbours_show(fs, handle->ino, asker->uid, &text);
		asker_free(asker);
		return err;
	}
	handle->exchange = exchange_new(fs, &query_questions, name->k, asker);
	if (handle->exchange != NULL)
		return 0;
	asker_free(asker);
	return -ENOMEM;
}

/* A handle for who sent the request, on a node that is held. -ENOMEM, errors of asker_of and
 * neighbours_text_make. */
static int new_handle(fuse_req_t req, uint64_t ino, const struct neighbours_name *name,
                      struct neighbours_handle **made)
{
	struct neighbours_handle *handle = calloc(1, sizeof(*handle));
	struct asker asker;
	int err = handle != NULL ? 0 : -ENOMEM;

	if (err == 0)
		err = asker_of(req, 0, &asker);
	if (err == 0) {
		handle->ino = ino;
		err = begin(fs_of(req), name, &asker, handle);
	}
	if (err != 0) {
		free(handle);
		return err;
	}
	*made = handle;
	return 0;
}

static int open_answer(struct attempt *attempt, bool may_wait)
{
	struct neighbours_op *op = (struct neighbours_op *)attempt;
	struct fs *fs = attempt->fs;
	struct neighbours_handle *handle;
	struct neighbours_name name;
	int err;

	(void)may_wait; /* on workers only */
	if (!neighbours_hold(fs, op->ino, &name)) {
		reply_error(attempt->req, -ESTALE); /* look again */
		return 0;
	}
	err = new_handle(attempt->req, op->ino, &name, &handle);
	if (err != 0) {
		neighbours_let_go(fs, op->ino);
		reply_error(attempt->req, err == -ENOENT ? -ESTALE : err);
		return 0;
	}
	handle_add(fs, handle);
	op->fi.fh = (uintptr_t)handle;
	op->fi.direct_io = 1;
	op->fi.noflush = 1;
	if (inside_reply_open(fs, attempt->req, &op->fi) < 0)
		handle_remove(fs, handle); /* its opener was killed: no RELEASE will come */
	return 0;
}

static void neighbours_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct neighbours_op op = {
		.attempt = attempt_for(req, open_answer),
		.ino = ino,
		.fi = *fi,
	};
	struct neighbours_name name;
	int err = neighbours_find(op.attempt.fs, ino, &name) ? 0 : -ESTALE;

	if (err == 0)
		err = check_open(op.attempt.fs, &name, fi->flags);
	if (err != 0)
		reply_error(req, err);
	else
		attempt_defer(&op.attempt, sizeof(op),
		              is_query(&name) ? WORKER_READ : neighbours_worker(1, name.k));
}

static void neighbours_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	handle_remove(fs_of(req), handle_of(fi));
	reply_error(req, 0);
}

/* ---- reading and writing ---- */

static void reply_text(fuse_req_t req, struct neighbours_handle *handle, size_t size,
                       uint64_t offset)
{
	const struct neighbours_text *text = handle->text;
	size_t left = offset < text->length ? text->length - (size_t)offset : 0;
	size_t length = size < left ? size : left;
	struct reply reply;
	int err = reply_begin(&reply, req, length);

	if (err == 0 && length > 0)
		memcpy(reply.data, text->bytes + offset, length);
	handoff_give(&handle->handoff);
	reply_end(&reply, err, length);
}

/* No handle: a read-only mount. */
static int read_answer(struct attempt *attempt, bool may_wait)
{
	const struct neighbours_op *op = (const struct neighbours_op *)attempt;
	struct fs *fs = attempt->fs;
	struct neighbours_name name;
	size_t size = op->size;
	struct reply reply;
	int err = neighbours_find(fs, op->ino, &name) && !is_query(&name) ? 0 : -ESTALE;

	if (err == 0)
		err = neighbours_kept_have(fs, &name, may_wait);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err == 0)
		err = reply_begin(&reply, attempt->req, size);
	else
		(void)reply_begin(&reply, attempt->req, 0); /* which needs no memory */
	/* It may have made room for others just now. */
	if (err == 0 && !neighbours_kept_copy(fs, &name, op->offset, reply.data, &size))
		err = -ESTALE;
	reply_end(&reply, err == -ENOENT ? -ESTALE : err, size);
	return 0;
}

static void start_read(struct neighbours_op *op)
{
	struct neighbours_name name;
	bool known = neighbours_find(op->attempt.fs, op->ino, &name);

	attempt_start(&op->attempt, sizeof(*op),
	              known ? neighbours_worker(1, name.k) : WORKER_NEAREST);
}

static void neighbours_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                            struct fuse_file_info *fi)
{
	struct neighbours_handle *handle = handle_of(fi);
	struct neighbours_op op = {
		.attempt = attempt_for(req, read_answer),
		.ino = ino,
		.size = size,
		.offset = (uint64_t)off,
	};

	if (handle == NULL)
		start_read(&op);
	else if (handle->exchange != NULL)
		exchange_read(req, handle->exchange, size);
	else
		reply_text(req, handle, size, op.offset);
}

static void neighbours_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
                             off_t off, struct fuse_file_info *fi)
{
	const struct neighbours_handle *handle = handle_of(fi);

	(void)ino;
	(void)off;
	if (handle == NULL || handle->exchange == NULL)
		reply_error(req, -EBADF);
	else
		exchange_write(req, handle->exchange, buf, size);
}

/* ---- life ---- */

static int neighbours_init(struct fs *fs)
{
	struct neighbours_open *open = calloc(1, sizeof(*open));
	int err;

	if (open == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&open->lock, NULL); /* cannot fail with default attributes */
	fs->neighbours_open = open;
	err = neighbours_new(&fs->neighbours);
	return err != 0 ? err : neighbours_kept_new(&fs->neighbours_kept);
}

static void neighbours_fini(struct fs *fs)
{
	struct neighbours_open *open = fs->neighbours_open;
	struct neighbours_handle *next;

	for (struct neighbours_handle *handle = open != NULL ? open->handles : NULL; handle != NULL;
	     handle = next) {
		next = handle->next;
		handle_free(fs, handle);
	}
	neighbours_kept_free(fs, fs->neighbours_kept);
	fs->neighbours_kept = NULL;
	neighbours_free(fs->neighbours);
	fs->neighbours = NULL;
	if (open == NULL)
		return;
	pthread_mutex_destroy(&open->lock);
	free(open);
	fs->neighbours_open = NULL;
}

const struct node_ops neighbours_ops = {
	.init = neighbours_init,
	.fini = neighbours_fini,
	.attr = neighbours_attr,
	.entry = neighbours_entry,
	.getattr = neighbours_getattr,
	.setattr = neighbours_setattr,
	.open = neighbours_open,
	.read = neighbours_read,
	.write = neighbours_write,
	.release = neighbours_release,
	.forget = neighbours_forget,
};
