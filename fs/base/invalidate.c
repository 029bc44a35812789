/* invalidate.c - having the kernel forget what it was told. */
#include "fs/base/invalidate.h"

#include "fs/base/tree.h"

void invalidate_vectors(struct fs *fs, const uint64_t *ids, size_t count)
{
	/* -ENOENT: the kernel does not know it, so has nothing to forget. Attributes
	 * only (offset -1): pages are looked after at open. */
	for (size_t i = 0; !fs->shared && i < count; i++)
		(void)fuse_lowlevel_notify_inval_inode(fs->session, tree_node_of_id(ids[i]), -1, 0);
	(void)fuse_lowlevel_notify_inval_inode(fs->session, TREE_VECTORS, -1, 0);
}
