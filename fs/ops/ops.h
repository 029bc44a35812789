/*
 * ops.h - the requests of the kernel: their table, and the life of what they need.
 */
#ifndef OPS_H
#define OPS_H

#include "fs/base/fs.h"

/* Make everything that requests need: workers, and what each kind of file has. Starts
 * threads, so after any fork, and after the store is open. -ENOMEM, -EAGAIN no
 * thread; nothing is left behind on failure. */
int fs_init(struct fs *fs);

/* The end is near: nothing begins any more that needs the kernel to send further requests. Any
 * thread; may wait for a second. */
void fs_quiet(struct fs *fs);

/* End what fs_init made: waits for the workers, drops stages and pinned versions.
 * Call it after the session loop has ended and before quiver_close. */
void fs_destroy(struct fs *fs);

/* The table for fuse_session_new, but for `init`; userdata is the struct fs. */
const struct fuse_lowlevel_ops *fs_ops(void);

#endif
