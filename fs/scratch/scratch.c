/* scratch.c - scratch files and their folders by their names. */
#include "fs/scratch/scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/caller.h"
#include "fs/base/charge.h"
#include "fs/base/refuse.h"
#include "fs/scratch/scratch_table.h"

/* Scratch names are never cached, nor are attributes, beyond the call at hand. Whatever
 * changes them comes through the kernel, which asks anew after it. */
static void fill_entry(const struct fs *fs, struct scratch_file *file,
                       struct fuse_entry_param *entry)
{
	file->lookups += scratch_is_folder(file);
	memset(entry, 0, sizeof(*entry));
	entry->ino = file->ino;
	entry->generation = file->generation;
	entry->attr_timeout = FS_MOMENT_SECONDS;
	scratch_stat(fs, file, &entry->attr);
}

int scratch_entry(struct fs *fs, uint64_t parent, const char *name, struct fuse_entry_param *entry)
{
	struct scratch_file *file;

	scratch_lock(fs);
	file = scratch_find_name(fs->scratch, parent, name);
	if (file != NULL)
		fill_entry(fs, file, entry);
	scratch_unlock(fs);
	return file != NULL ? 0 : -ENOENT;
}

int scratch_node_entry(struct fs *fs, fuse_ino_t ino, unsigned flags,
                       struct fuse_entry_param *entry)
{
	struct scratch_file *file;

	(void)flags; /* it is in memory */
	scratch_lock(fs);
	file = scratch_find(fs, ino);
	if (file != NULL && file->name == NULL)
		file = NULL;
	if (file != NULL)
		fill_entry(fs, file, entry);
	scratch_unlock(fs);
	return file != NULL ? 0 : -ENOENT;
}

/* A line for one that was not made since there are too many; returns err. */
static int refuse_new(struct fs *fs, const char *name, int err)
{
	char shown[REFUSE_NAME_BYTES];

	if (err != -EDQUOT && err != -ENOSPC)
		return err;
	refuse_show(name, shown);
	return charge_refuse(fs, shown, CHARGE_SCRATCH_FILES, caller_uid, 1, err);
}

int scratch_create(struct fs *fs, uint64_t parent, const char *name, const struct quiver_attr *attr,
                   bool exclusive, bool truncate, bool open, struct fuse_entry_param *entry)
{
	struct scratch_file *file;
	int err = 0;

	scratch_lock(fs);
	file = scratch_find_name(fs->scratch, parent, name);
	if (file != NULL && exclusive)
		err = -EEXIST;
	else if (file != NULL && scratch_is_folder(file))
		err = -EISDIR;
	else if (file == NULL)
		err = scratch_add(fs, parent, name, attr, false, &file);
	if (err == 0) {
		if (truncate && file->size > 0) {
			memset(file->data, 0, file->size);
			file->size = 0;
			scratch_changed(file);
		}
		file->opens += open;
		fill_entry(fs, file, entry);
	}
	scratch_unlock(fs);
	return refuse_new(fs, name, err);
}

int scratch_mkdir(struct fs *fs, const char *name, const struct quiver_attr *attr,
                  struct fuse_entry_param *entry)
{
	struct scratch_file *folder;
	int err = -EEXIST;

	scratch_lock(fs);
	if (scratch_find_name(fs->scratch, TREE_VECTORS, name) == NULL)
		err = scratch_add(fs, TREE_VECTORS, name, attr, true, &folder);
	if (err == 0)
		fill_entry(fs, folder, entry);
	scratch_unlock(fs);
	return refuse_new(fs, name, err);
}

/* The caller holds the lock. */
static void remove_file(struct fs *fs, struct scratch_file *file)
{
	scratch_touch_dir(fs, file->parent);
	scratch_clear_name(fs, file);
	scratch_reap(fs, file);
}

int scratch_unlink(struct fs *fs, uint64_t parent, const char *name)
{
	struct scratch_file *file;
	int err = 0;

	scratch_lock(fs);
	file = scratch_find_name(fs->scratch, parent, name);
	if (file == NULL)
		err = -ENOENT;
	else if (scratch_is_folder(file))
		err = -EISDIR;
	else
		remove_file(fs, file);
	scratch_unlock(fs);
	return err;
}

int scratch_rmdir(struct fs *fs, const char *name)
{
	struct scratch_file *folder;
	int err = 0;

	scratch_lock(fs);
	folder = scratch_find_name(fs->scratch, TREE_VECTORS, name);
	if (folder == NULL)
		err = -ENOENT;
	else if (!scratch_is_folder(folder))
		err = -ENOTDIR;
	else if (folder->names > 0)
		err = -ENOTEMPTY;
	else
		remove_file(fs, folder);
	scratch_unlock(fs);
	return err;
}

/* Whether `file` may take the name of `old`; NULL: there is none. The caller holds the lock. */
static int may_replace(const struct scratch_file *file, const struct scratch_file *old)
{
	if (old == NULL || old == file)
		return 0;
	if (scratch_is_folder(old) && !scratch_is_folder(file))
		return -EISDIR;
	if (!scratch_is_folder(old) && scratch_is_folder(file))
		return -ENOTDIR;
	return old->names > 0 ? -ENOTEMPTY : 0;
}

int scratch_rename(struct fs *fs, struct scratch_place from, struct scratch_place to,
                   bool noreplace)
{
	struct scratch_file *file, *old;
	char *copy;
	int err = 0;

	if (strlen(to.name) > SCRATCH_NAME_MAX)
		return -ENAMETOOLONG;
	copy = strdup(to.name);
	if (copy == NULL)
		return -ENOMEM;
	scratch_lock(fs);
	file = scratch_find_name(fs->scratch, from.parent, from.name);
	old = scratch_find_name(fs->scratch, to.parent, to.name);
	if (file == NULL || !scratch_is_there(fs, to.parent))
		err = -ENOENT;
	else if (old != NULL && noreplace)
		err = -EEXIST;
	else
		err = may_replace(file, old);
	if (err == 0 && old != file) {
		if (old != NULL)
			remove_file(fs, old);
		scratch_touch_dir(fs, from.parent);
		scratch_clear_name(fs, file);
		scratch_set_name(fs, file, to.parent, copy);
		copy = NULL;
		scratch_touch_dir(fs, to.parent);
	}
	scratch_unlock(fs);
	free(copy);
	return err;
}

int scratch_list(struct fs *fs, uint64_t **nodes, size_t *count)
{
	uint64_t *list;
	size_t i = 0;

	scratch_lock(fs);
	list = malloc((fs->scratch->count + 1) * sizeof(*list));
	if (list != NULL) {
		for (struct scratch_file *f = fs->scratch->oldest; f != NULL; f = f->newer) {
			if (f->name != NULL && f->parent == TREE_VECTORS)
				list[i++] = f->ino;
		}
	}
	scratch_unlock(fs);
	*nodes = list;
	*count = i;
	return list != NULL ? 0 : -ENOMEM;
}

int scratch_describe(struct fs *fs, uint64_t ino, char name[static SCRATCH_NAME_MAX + 1],
                     struct stat *st)
{
	struct scratch_file *file;

	scratch_lock(fs);
	file = scratch_find(fs, ino);
	if (file != NULL && (file->name == NULL || file->parent != TREE_VECTORS))
		file = NULL;
	if (file != NULL) {
		memcpy(name, file->name, strlen(file->name) + 1);
		scratch_stat(fs, file, st);
	}
	scratch_unlock(fs);
	return file != NULL ? 0 : -ENOENT;
}
