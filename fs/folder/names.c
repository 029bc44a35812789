/* names.c - lookup, create, remove. */
#include "fs/folder/names.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/caller.h"
#include "fs/base/charge.h"
#include "fs/base/inside.h"
#include "fs/base/node_ops.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/folder/listing.h"
#include "fs/nearest/neighbours_file.h"
#include "fs/scratch/scratch.h"
#include "fs/scratch/scratch_file.h"
#include "fs/scratch/scratch_folder.h"
#include "fs/scratch/scratch_names.h"
#include "fs/vector/change.h"
#include "fs/vector/gone.h"
#include "fs/vector/vector_attr.h"
#include "fs/vector/vector_file.h"
#include "fs/view/view_attr.h"
#include "fs/view/view_file.h"

bool names_scratch(fuse_ino_t parent, const char *name)
{
	return tree_class(parent) == TREE_IS_FOLDER ||
	       (parent == TREE_VECTORS && scratch_is_name(name));
}

/* ---- lookup ---- */

bool names_is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int fixed_entry(struct fs *fs, uint64_t node, unsigned flags, struct fuse_entry_param *entry)
{
	const struct node_ops *ops = node_ops_of(fs, node);

	if (ops->attr == NULL)
		return -ENOENT;
	memset(entry, 0, sizeof(*entry));
	entry->ino = node;
	entry->generation = 1;
	entry->entry_timeout = FS_CACHE_SECONDS;
	return ops->attr(fs, node, flags, &entry->attr, &entry->attr_timeout);
}

/* A lookup that asks the store. */
struct lookup_op {
	struct attempt attempt;
	uint64_t node; /* looked up by its number, or a fixed one */
	bool is_id; /* a vector: */
	uint64_t id;
	pid_t tid;
};

static int lookup_answer(struct attempt *attempt, bool may_wait)
{
	const struct lookup_op *op = (const struct lookup_op *)attempt;
	const struct node_ops *ops = node_ops_of(attempt->fs, op->node);
	unsigned flags = attempt_flags(may_wait);
	struct fuse_entry_param entry;
	uint64_t ino;
	int err;

	if (op->is_id)
		err = vector_lookup(attempt->fs, op->id, op->tid, flags, &entry);
	else if (ops->entry != NULL)
		err = ops->entry(attempt->fs, op->node, flags, &entry);
	else
		err = fixed_entry(attempt->fs, op->node, flags, &entry);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		reply_error(attempt->req, err); /* also ENOENT, so that it is not cached */
		return 0;
	}
	ino = entry.ino;
	if (ino == TREE_ROOT)
		entry.generation = 0; /* the kernel's own */
	err = inside_entry(attempt->fs, &entry);
	if (err == 0 && fuse_reply_entry(attempt->req, &entry) == 0)
		return 0;
	if (err == 0)
		inside_entry_failed(attempt->fs, entry.ino);
	else
		reply_error(attempt->req, err);
	if (ops->forget != NULL)
		ops->forget(attempt->fs, ino, 1);
	return 0;
}

static struct lookup_op lookup_begin(fuse_req_t req)
{
	return (struct lookup_op){
		.attempt = attempt_for(req, lookup_answer),
		.tid = fuse_req_ctx(req)->pid,
	};
}

void names_lookup_node(fuse_req_t req, uint64_t node, bool itself)
{
	struct lookup_op op = lookup_begin(req);

	op.node = node;
	if (!itself && tree_class(node) == TREE_IS_SCRATCH)
		op.node = scratch_parent(op.attempt.fs, node);
	else if (!itself)
		op.node = tree_parent(node);
	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

void names_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct lookup_op op = lookup_begin(req);
	struct fuse_entry_param entry;
	enum tree_form form;
	uint64_t id;

	if (parent == TREE_VECTORS)
		atomic_fetch_add_explicit(&fs->lookups, 1, memory_order_relaxed);
	if (parent == TREE_NEAREST && tree_find(parent, name) == TREE_NONE) {
		neighbours_lookup(req, name);
	} else if (parent != TREE_VECTORS) {
		op.node = tree_find(parent, name);
		attempt_start(&op.attempt, sizeof(op),
		              parent == TREE_CONTROL ? WORKER_CONTROL : WORKER_READ);
	} else if (tree_parse_id(name, &op.id)) {
		if (listing_is_probe(op.id))
			atomic_fetch_add_explicit(&fs->probe_lookups, 1, memory_order_relaxed);
		op.is_id = true;
		if (gone_wants_alias(fs, op.id, op.tid) &&
		    charge_fits(fs, CHARGE_VIEW_BYTES, caller_uid, fs->geometry.vector_bytes))
			view_lookup(req, op.id, TREE_FORM_SAME);
		else
			attempt_start(&op.attempt, sizeof(op), WORKER_READ);
	} else if (scratch_is_name(name)) {
		int err = scratch_entry(fs, parent, name, &entry);

		scratch_reply_entry(req, err, &entry);
	} else if (tree_parse_view(name, &id, &form)) {
		view_lookup(req, id, form);
	} else {
		reply_error(req, -ENOENT);
	}
}

/* ---- create ---- */

void names_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi)
{
	enum tree_form form;
	uint64_t id;

	if (fs_of(req)->read_only)
		reply_error(req, -EROFS);
	else if (parent != TREE_VECTORS && !names_scratch(parent, name))
		refuse_name(req, name, "files can be made only in vectors/", -EPERM);
	else if (names_scratch(parent, name))
		scratch_file_create(req, parent, name, mode, fi);
	else if (tree_parse_id(name, &id))
		vector_create(req, id, mode, fi);
	else if (tree_parse_view(name, &id, &form))
		view_create(req, id, form, mode, fi);
	else
		refuse_name(req, name, "not the ID of a vector (a decimal number, no leading zero)",
		            -EINVAL);
}

void names_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	struct quiver_attr attr;
	enum tree_form form;
	uint64_t id;
	int err;

	if (fs->read_only)
		reply_error(req, -EROFS);
	else if ((parent != TREE_VECTORS && !names_scratch(parent, name)) || !S_ISREG(mode))
		refuse_name(req, name, "only vectors can be made here, as files in vectors/",
		            -EPERM);
	else if (names_scratch(parent, name)) {
		attr = scratch_attr_new(fs, fuse_req_ctx(req), parent, mode);
		err = scratch_create(fs, parent, name, &attr, true, false, false, &entry);
		scratch_reply_entry(req, err, &entry);
	} else if (tree_parse_id(name, &id) || tree_parse_view(name, &id, &form))
		refuse_name(req, name, "a vector cannot be made empty", -EINVAL);
	else
		refuse_name(req, name, "not the ID of a vector (a decimal number, no leading zero)",
		            -EINVAL);
}

void names_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	if (fs_of(req)->read_only)
		reply_error(req, -EROFS);
	else if (tree_class(parent) == TREE_IS_FOLDER)
		refuse_name(req, name, "a folder of scratch files cannot hold another folder",
		            -EPERM);
	else if (parent != TREE_VECTORS || name[0] != '.')
		refuse_name(req, name,
		            "folders cannot be made here, except for scratch files; the name of "
		            "such a folder begins with a dot",
		            -EPERM);
	else
		scratch_folder_make(req, name, mode);
}

/* ---- remove ---- */

struct remove_op {
	struct attempt attempt;
	uint64_t id;
};

static int remove_answer(struct attempt *attempt, bool may_wait)
{
	const struct remove_op *op = (const struct remove_op *)attempt;
	struct fs *fs = attempt->fs;
	struct change change;
	int err;

	gone_begin(fs, op->id);
	err = change_begin(fs, op->id, op->id, may_wait, &change);
	if (err != 0)
		return err;
	err = change_last(fs, op->id, may_wait, &change);
	if (err == 0)
		err = quiver_remove(fs->store, op->id, attempt_flags(may_wait), &change.lsn);
	if (err == 0)
		change_removed(fs, op->id, &change);
	change_end(fs, &change);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0 && err != -ENOENT)
		(void)refuse(fs, err, "vector %" PRIu64 ": not removed: %s", op->id,
		             quiver_strerror(err));
	reply_error(attempt->req, err);
	return 0;
}

static void remove_vector(fuse_req_t req, uint64_t id)
{
	struct remove_op op = {
		.attempt = attempt_for(req, remove_answer),
		.id = id,
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

void names_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	enum tree_form form;
	uint64_t id;

	if (fs->read_only)
		reply_error(req, -EROFS);
	else if (names_scratch(parent, name))
		reply_error(req, scratch_unlink(fs, parent, name));
	else if (parent != TREE_VECTORS)
		refuse_name(req, name, "cannot be removed", -EPERM);
	else if (tree_parse_id(name, &id))
		remove_vector(req, id);
	else if (tree_parse_view(name, &id, &form))
		refuse_name(
			req, name,
			"a view of a vector; to remove the vector, remove the file named by its ID",
			-EPERM);
	else
		reply_error(req, -ENOENT);
}

void names_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);

	if (fs->read_only)
		reply_error(req, -EROFS);
	else if (parent == TREE_VECTORS)
		reply_error(req, scratch_rmdir(fs, name));
	else
		refuse_name(req, name, "cannot be removed", -EPERM);
}
