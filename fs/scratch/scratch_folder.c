/* scratch_folder.c - folders of scratch files. */
#include "fs/scratch/scratch_folder.h"

#include <errno.h>
#include <string.h>

#include "fs/base/attr.h"
#include "fs/base/clock.h"
#include "fs/base/reply.h"
#include "fs/scratch/scratch.h"
#include "fs/scratch/scratch_table.h"

/* ---- entries and attributes ---- */

void scratch_forget(struct fs *fs, fuse_ino_t ino, uint64_t count)
{
	struct scratch_file *folder;

	if (tree_class(ino) != TREE_IS_FOLDER)
		return;
	scratch_lock(fs);
	folder = scratch_find(fs, ino);
	if (folder != NULL) {
		folder->lookups -= count < folder->lookups ? count : folder->lookups;
		scratch_reap(fs, folder);
	}
	scratch_unlock(fs);
}

void scratch_reply_entry(fuse_req_t req, int err, const struct fuse_entry_param *entry)
{
	if (err != 0)
		reply_error(req, err);
	else if (fuse_reply_entry(req, entry) != 0)
		scratch_forget(fs_of(req), entry->ino, 1);
}

uint64_t scratch_parent(struct fs *fs, uint64_t ino)
{
	const struct scratch_file *file;
	uint64_t parent;

	scratch_lock(fs);
	file = scratch_find(fs, ino);
	parent = file != NULL ? file->parent : TREE_NONE;
	scratch_unlock(fs);
	return parent;
}

unsigned scratch_folders(struct fs *fs)
{
	unsigned count;

	scratch_lock(fs);
	count = fs->scratch->folders;
	scratch_unlock(fs);
	return count;
}

bool scratch_names_folder(struct fs *fs, struct scratch_place place)
{
	const struct scratch_file *file;
	bool is_folder;

	scratch_lock(fs);
	file = scratch_find_name(fs->scratch, place.parent, place.name);
	is_folder = file != NULL && scratch_is_folder(file);
	scratch_unlock(fs);
	return is_folder;
}

struct quiver_attr scratch_attr_new(struct fs *fs, const struct fuse_ctx *ctx, uint64_t parent,
                                    mode_t mode)
{
	uint64_t dir_group = atomic_load(&fs->dir_group);
	const struct scratch_file *folder;
	struct quiver_attr attr;

	if (parent != TREE_VECTORS) {
		scratch_lock(fs);
		folder = scratch_find(fs, parent);
		dir_group = folder != NULL ? attr_dir_group(&folder->attr) : 0;
		scratch_unlock(fs);
	}
	attr = attr_new_in(fs, ctx, mode, dir_group);
	/* As on other filesystems a folder hands the bit on, too. */
	if (S_ISDIR(mode) && dir_group != 0)
		attr.mode |= S_ISGID;
	return attr;
}

static int folder_attr(struct fs *fs, fuse_ino_t ino, unsigned flags, struct stat *st,
                       double *timeout)
{
	const struct scratch_file *folder;

	(void)flags; /* it is in memory */
	*timeout = 0;
	scratch_lock(fs);
	folder = scratch_find(fs, ino);
	if (folder != NULL)
		scratch_stat(fs, folder, st);
	scratch_unlock(fs);
	return folder != NULL ? 0 : -ENOENT;
}

static void folder_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                           struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct scratch_file *folder;
	struct quiver_attr wanted;
	bool explicit_mtime;
	struct stat st;
	unsigned mask;

	(void)fi;
	mask = attr_wanted(attr, to_set, &wanted, &explicit_mtime);
	scratch_lock(fs);
	folder = scratch_find(fs, ino);
	if (folder != NULL) {
		attr_merge(&folder->attr, &wanted, mask);
		folder->attr.ctime_ns = clock_now_ns();
		scratch_stat(fs, folder, &st);
	}
	scratch_unlock(fs);
	reply_attr(req, folder != NULL ? 0 : -ESTALE, &st, 0);
}

static void folder_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry;
	int err = scratch_entry(fs_of(req), parent, name, &entry);

	scratch_reply_entry(req, err, &entry);
}

void scratch_folder_make(fuse_req_t req, const char *name, mode_t mode)
{
	struct fs *fs = fs_of(req);
	struct quiver_attr attr =
		scratch_attr_new(fs, fuse_req_ctx(req), TREE_VECTORS, S_IFDIR | mode);
	struct fuse_entry_param entry;
	int err = scratch_mkdir(fs, name, &attr, &entry);

	scratch_reply_entry(req, err, &entry);
}

/* ---- listing ---- */

/* One READDIR being answered. An offset is the serial of the next file, which all have who are in
 * the folder throughout: nothing is kept between two of them. */
struct page {
	fuse_req_t req;
	fuse_ino_t folder;
	bool plus;
	char *data;
	size_t used, size;
};

/* Add an entry of which the kernel keeps nothing: it asks when it needs it. `next`: the offset
 * behind it. False where it does not fit. */
static bool add(struct page *page, const char *name, const struct stat *st, uint64_t next)
{
	struct fuse_entry_param entry = { .attr = *st };
	char *to = page->data + page->used;
	size_t room = page->size - page->used;
	size_t length;

	if (page->plus)
		length = fuse_add_direntry_plus(page->req, to, room, name, &entry, (off_t)next);
	else
		length = fuse_add_direntry(page->req, to, room, name, st, (off_t)next);
	if (length > room)
		return false;
	page->used += length;
	return true;
}

static void fill(struct fs *fs, struct page *page, uint64_t offset)
{
	struct stat st = { .st_mode = S_IFDIR };

	for (; offset < SCRATCH_FIRST_SERIAL; offset++) {
		st.st_ino = offset == 0 ? page->folder : TREE_VECTORS;
		if (!add(page, offset == 0 ? "." : "..", &st, offset + 1))
			return;
	}
	scratch_lock(fs);
	for (struct scratch_file *file = fs->scratch->oldest; file != NULL; file = file->newer) {
		if (file->serial < offset || file->parent != page->folder || file->name == NULL)
			continue;
		scratch_stat(fs, file, &st);
		if (!add(page, file->name, &st, file->serial + 1))
			break;
	}
	scratch_unlock(fs);
}

static void folder_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino; /* the kernel has looked it up, so it is there */
	fi->fh = 0;
	(void)fuse_reply_open(req, fi); /* nothing is to be undone */
}

static void folder_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus,
                           struct fuse_file_info *fi)
{
	struct page page = { .req = req, .folder = ino, .plus = plus, .size = size };
	struct reply reply;
	int err;

	(void)fi;
	err = reply_begin(&reply, req, size);
	page.data = reply.data;
	if (err == 0)
		fill(fs_of(req), &page, (uint64_t)off);
	reply_end(&reply, err, page.used);
}

const struct node_ops scratch_folder_ops = {
	.attr = folder_attr,
	.entry = scratch_node_entry,
	.setattr = folder_setattr,
	.forget = scratch_forget,
	.lookup = folder_lookup,
	.opendir = folder_opendir,
	.readdir = folder_readdir,
};
