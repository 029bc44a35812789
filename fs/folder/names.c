/* names.c - lookup, create, remove, and all that is refused. */
#include "fs/folder/names.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/folder/listing.h"
#include "fs/scratch/scratch.h"
#include "fs/vector/gone.h"
#include "fs/vector/node.h"
#include "fs/vector/vector_file.h"
#include "fs/view/view.h"

void names_show(const char *name, char shown[static NAMES_SHOWN_BYTES])
{
	unsigned i;

	for (i = 0; name[i] != '\0' && i < NAMES_SHOWN_BYTES - 1; i++)
		shown[i] = name[i] > ' ' && name[i] <= '~' ? name[i] : '?';
	shown[i] = '\0';
}

/* One line, and the answer. */
static void refuse(fuse_req_t req, const char *name, const char *what, int err)
{
	char shown[NAMES_SHOWN_BYTES];

	names_show(name, shown);
	quiver_report(fs_of(req)->store, "%s: %s", shown, what);
	reply_error(req, err);
}

/* ---- lookup ---- */

static int fixed_entry(struct fs *fs, uint64_t parent, const char *name,
                       struct fuse_entry_param *entry)
{
	memset(entry, 0, sizeof(*entry));
	entry->ino = tree_find(parent, name);
	if (entry->ino == TREE_NONE)
		return -ENOENT;
	entry->generation = 1;
	entry->entry_timeout = FS_CACHE_SECONDS;
	return attr_fixed(fs, entry->ino, &entry->attr, &entry->attr_timeout);
}

/*
 * The node itself ("." of it, and the kernel asks that of files too) or the folder it is
 * in: what the kernel asks for where somebody comes with a file handle, as NFS does, and
 * its own inode is gone. -ENOENT where the node is, which becomes ESTALE.
 */
static int node_entry(struct fs *fs, uint64_t node, bool itself, struct fuse_entry_param *entry)
{
	enum tree_class class = tree_class(node);

	if (itself && class == TREE_IS_VECTOR)
		return vector_entry(fs, tree_id_of_node(node), entry);
	if (itself && class == TREE_IS_SCRATCH)
		return scratch_node_entry(fs, node, entry);
	if (itself && class == TREE_IS_VIEW)
		return view_node_entry(fs, node, entry);
	memset(entry, 0, sizeof(*entry));
	entry->ino = itself ? node : tree_parent(node);
	entry->generation = entry->ino == TREE_ROOT ? 0 : 1; /* the kernel's own root has 0 */
	entry->entry_timeout = FS_CACHE_SECONDS;
	return attr_fixed(fs, entry->ino, &entry->attr, &entry->attr_timeout);
}

static int lookup_id(struct fs *fs, uint64_t id, pid_t pid, struct fuse_entry_param *entry)
{
	if (listing_is_probe(id))
		atomic_fetch_add_explicit(&fs->probe_lookups, 1, memory_order_relaxed);
	return vector_lookup(fs, id, pid, entry);
}

void names_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	enum tree_form form;
	uint64_t id;
	int err;

	if (parent == TREE_VECTORS)
		atomic_fetch_add_explicit(&fs->lookups, 1, memory_order_relaxed);
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		err = node_entry(fs, parent, name[1] == '\0', &entry);
	else if (parent != TREE_VECTORS)
		err = fixed_entry(fs, parent, name, &entry);
	else if (tree_parse_id(name, &id))
		err = lookup_id(fs, id, fuse_req_ctx(req)->pid, &entry);
	else if (scratch_is_name(name))
		err = scratch_entry(fs, name, &entry);
	else if (tree_parse_view(name, &id, &form)) {
		view_lookup(req, id, form);
		return;
	} else
		err = -ENOENT;
	if (err != 0)
		reply_error(req, err); /* an error, so that ENOENT is not cached */
	else
		(void)fuse_reply_entry(req, &entry);
}

/* ---- create ---- */

static void create_scratch(fuse_req_t req, const char *name, mode_t mode, struct fuse_file_info *fi)
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

void names_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi)
{
	enum tree_form form;
	uint64_t id;

	if (parent != TREE_VECTORS)
		refuse(req, name, "files can only be made in vectors/", -EPERM);
	else if (fs_of(req)->read_only)
		reply_error(req, -EROFS);
	else if (tree_parse_id(name, &id))
		vector_create(req, id, mode, fi);
	else if (scratch_is_name(name))
		create_scratch(req, name, mode, fi);
	else if (tree_parse_view(name, &id, &form))
		view_create(req, id, form, mode, fi);
	else
		refuse(req, name, "not the ID of a vector (a decimal number, no leading zero)",
		       -EINVAL);
}

void names_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs *fs = fs_of(req);
	struct quiver_attr attr = attr_new(fs, fuse_req_ctx(req), mode);
	struct fuse_entry_param entry;
	enum tree_form form;
	uint64_t id;
	int err;

	(void)rdev;
	if (fs->read_only)
		reply_error(req, -EROFS);
	else if (parent != TREE_VECTORS || !S_ISREG(mode))
		refuse(req, name, "only vectors can be made, in vectors/", -EPERM);
	else if (tree_parse_id(name, &id) || tree_parse_view(name, &id, &form))
		refuse(req, name, "a vector cannot be made empty", -EINVAL);
	else if (!scratch_is_name(name))
		refuse(req, name, "not the ID of a vector (a decimal number, no leading zero)",
		       -EINVAL);
	else {
		err = scratch_create(fs, name, &attr, true, false, false, &entry);
		if (err != 0)
			reply_error(req, err);
		else
			(void)fuse_reply_entry(req, &entry);
	}
}

void names_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent;
	(void)mode;
	refuse(req, name, "directories cannot be made", -EPERM);
}

void names_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link;
	(void)parent;
	refuse(req, name, "symbolic links cannot be made", -EPERM);
}

void names_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	(void)ino;
	(void)newparent;
	refuse(req, newname, "hard links cannot be made", -EPERM);
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
	int err;

	gone_begin(fs, op->id);
	err = quiver_remove(fs->store, op->id, may_wait ? 0u : QUIVER_NOWAIT, NULL);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err == 0)
		node_removed(fs, op->id);
	else if (err != -ENOENT)
		quiver_report(fs->store, "vector %" PRIu64 ": not removed: %s", op->id,
		              strerror(-err));
	reply_error(attempt->req, err);
	return 0;
}

static void remove_vector(fuse_req_t req, uint64_t id)
{
	struct remove_op op = {
		.attempt = { .req = req, .fs = fs_of(req), .answer = remove_answer },
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
	else if (parent != TREE_VECTORS)
		refuse(req, name, "cannot be removed", -EPERM);
	else if (tree_parse_id(name, &id))
		remove_vector(req, id);
	else if (scratch_is_name(name))
		reply_error(req, scratch_unlink(fs, name));
	else if (tree_parse_view(name, &id, &form))
		refuse(req, name, "a view of a vector, which is removed by its ID", -EPERM);
	else
		reply_error(req, -ENOENT);
}

void names_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	refuse(req, name, "cannot be removed", -EPERM);
}
