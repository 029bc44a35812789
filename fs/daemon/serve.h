/*
 * serve.h - the libfuse session: set up, loop, end.
 *
 * That the end is orderly, although libfuse cancels its threads and frees their buffers, is
 * the business of fs/ops/enter.h.
 */
#ifndef SERVE_H
#define SERVE_H

#include <stdbool.h>

#include "fs/base/fs.h"
#include "fs/daemon/options.h"

/* Make fs->session. fs_init has been called. -ENOMEM, or -EINVAL where libfuse
 * refuses the options; error says why. Ended by serve_free. */
int serve_new(struct fs *fs, const struct mount_options *options, struct quiver_error *error);

/* Mount it, which the kernel completes when serve_loop answers its first request.
 * A negative errno with the reason in `error`. */
int serve_mount(struct fs *fs, struct quiver_error *error);

/* Serve until the filesystem is unmounted or serve_stop is called. 0, or the
 * negative errno that ended it. One thread calls it, once. */
int serve_loop(struct fs *fs);

/* Make serve_loop return soon. Any thread, also before serve_loop. */
void serve_stop(struct fs *fs);

/* Whether the kernel has let go of the filesystem: it is unmounted, or was aborted. */
bool serve_is_over(const struct fs *fs);

/* Unmount, where it is still mounted. The loop has ended. */
void serve_unmount(struct fs *fs);

/* Free the session, if there is one; what fs_init made is gone already. */
void serve_free(struct fs *fs);

#endif
