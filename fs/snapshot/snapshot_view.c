/* snapshot_view.c - a snapshot that is open: a struct fs over a store of its own. */
#include "fs/snapshot/snapshot_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/node_ops.h"

void snapshot_view_free(struct snapshot_view *view)
{
	kinds_fini(&view->fs);
	if (view->fs.store != NULL)
		(void)quiver_close(view->fs.store); /* it has nothing to write */
	free(view);
}

static void close_view(struct work *work)
{
	snapshot_view_free((struct snapshot_view *)(void *)((char *)work -
	                                                    offsetof(struct snapshot_view, work)));
}

/* What the view has from the mount. */
static void share(struct fs *mount, struct fs *fs)
{
	fs->errors = mount->errors;
	fs->log = mount->log;
	fs->store_path = mount->store_path;
	fs->mount_point = mount->mount_point;
	fs->read_only = true;
	fs->passthrough = mount->passthrough;
	fs->set_uid = mount->set_uid;
	fs->set_gid = mount->set_gid;
	fs->uid = mount->uid;
	fs->gid = mount->gid;
	fs->set_matrix_mode = mount->set_matrix_mode;
	fs->matrix_mode = mount->matrix_mode;
	fs->owner_uid = mount->owner_uid;
	fs->owner_gid = mount->owner_gid;
	fs->max_write_bytes = mount->max_write_bytes;
	fs->want_io_uring = mount->want_io_uring;
	memcpy(fs->transport_reason, mount->transport_reason, sizeof(fs->transport_reason));
	fs->session = mount->session;
	fs->passthrough_ok = mount->passthrough_ok;
	fs->can_rename = mount->can_rename;
	fs->drops_setid = mount->drops_setid;
	fs->no_open = mount->no_open;
	atomic_init(&fs->transport, atomic_load(&mount->transport));
	fs->block_bytes = mount->block_bytes;
	fs->kinds = mount->kinds;
	fs->workers = mount->workers;
	fs->charges = mount->charges;
	fs->inside = mount->inside;
	fs->outer = mount;
}

int snapshot_view_new(struct fs *mount, const struct quiver_snapshot *is, struct guest *guest,
                      uint64_t inode_key, struct snapshot_view **view)
{
	struct snapshot_view *v = calloc(1, sizeof(*v));
	int err;

	if (v == NULL)
		return -ENOMEM;
	v->work.run = close_view;
	share(mount, &v->fs);
	v->fs.guest = guest;
	v->fs.snapshot = *is;
	v->fs.inode_key = inode_key;
	v->fs.fixed_mtime_ns = is->created_ns;
	err = quiver_snapshot_open(mount->store, is->name, &v->fs.store);
	if (err != 0) {
		free(v);
		return err;
	}
	v->fs.geometry = *quiver_geometry(v->fs.store);
	err = kinds_init(&v->fs);
	if (err != 0)
		snapshot_view_free(v);
	else
		*view = v;
	return err;
}

void snapshot_view_close(struct fs *mount, struct snapshot_view *view)
{
	workers_submit(mount->workers, WORKER_SYNC, &view->work);
}
