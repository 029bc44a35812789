/* scratch_become.c - a scratch file becomes a vector. */
#include "fs/scratch/scratch_become.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/base/charge.h"
#include "fs/base/node_ops.h"

int scratch_begin(struct fs *fs, struct scratch_place place, uint32_t wanted,
                  struct scratch_bytes *bytes)
{
	struct scratch_file *file;
	int err = 0;

	*bytes = (struct scratch_bytes){ .data = NULL };
	scratch_lock(fs);
	file = scratch_find_name(fs->scratch, place.parent, place.name);
	if (file == NULL || scratch_is_folder(file)) {
		err = -ENOENT;
		goto out;
	}
	bytes->size = file->size;
	if (wanted != 0 && file->size != wanted) {
		err = -ENODATA;
		goto out;
	}
	bytes->data = file->data;
	bytes->attr = file->attr;
	bytes->ino = file->ino;
	file->leaving = true;

out:
	scratch_unlock(fs);
	return err;
}

/* The caller holds the lock. */
static void settle(struct fs *fs, struct scratch_file *file)
{
	file->leaving = false;
	pthread_cond_broadcast(&fs->scratch->settled);
}

void scratch_stay(struct fs *fs, uint64_t ino)
{
	scratch_lock(fs);
	settle(fs, scratch_find(fs, ino)); /* it is there: nobody frees one that is leaving */
	scratch_unlock(fs);
}

struct scratch_heir scratch_become(struct fs *fs, uint64_t ino, scratch_open_fn *open,
                                   const void *arg)
{
	struct scratch_heir heir = { .ops = NULL };
	struct scratch_file *file;

	scratch_lock(fs);
	file = scratch_find(fs, ino); /* it is there */
	scratch_clear_name(fs, file);
	/* In vectors/ itself that is as if the vector had been written. */
	if (file->parent != TREE_VECTORS) {
		scratch_touch_dir(fs, file->parent);
		scratch_touch_dir(fs, TREE_VECTORS);
	}
	if (file->opens > 0) {
		scratch_unlock(fs);
		heir = open(fs, arg);
		scratch_lock(fs);
	}
	file->heir = heir;
	charge_give(fs, CHARGE_SCRATCH_BYTES, file->uid, file->capacity);
	free(file->data);
	file->data = NULL;
	file->size = file->capacity = 0;
	settle(fs, file);
	file->opens++;
	heir = scratch_closed(fs, file);
	scratch_unlock(fs);
	return heir;
}

void scratch_close_heir(struct fs *fs, struct scratch_heir heir)
{
	if (heir.ops != NULL)
		heir.ops->close_open(fs, heir.fh);
}

int scratch_settled(struct fs *fs, uint64_t ino, bool may_wait, struct scratch_file **file)
{
	while ((*file = scratch_find(fs, ino)) != NULL && (*file)->leaving) {
		if (!may_wait)
			return -EAGAIN;
		pthread_cond_wait(&fs->scratch->settled, &fs->scratch->lock);
	}
	return *file != NULL ? 0 : -ESTALE;
}
