/*
 * io_posix_open.h - opening and making what is in a folder that may be somebody else's.
 *
 * Who may write to the folder of a store can put anything there: a link to a file of root's, a
 * FIFO, another's file. So what is opened below one
 *  - is never reached through a symbolic link,
 *  - is a regular file, or the folder that is asked for: nothing else is ever waited for,
 *  - belongs to the owner of that folder, to the caller or to root, and, as a file, has one name:
 *    where the caller is the owner of the folder he may do with his files what the kernel lets
 *    him, but not write to one with more names, which others are copies of (cp -l, rsnapshot).
 * It is looked at before it is opened, since opening a device can do something, and the open
 * file again, since it may be another by then. What is made belongs to the owner of the folder, as
 * far as the caller may give it away: so root leaves a store to its owner.
 *
 * All leave the name of what failed in culprit.h. All functions may be called by any thread.
 */
#ifndef QUIVER_IO_POSIX_OPEN_H
#define QUIVER_IO_POSIX_OPEN_H

#include <sys/types.h>

/* As openat(2) with O_CLOEXEC, for one name without a slash. A descriptor, or -errno: -ELOOP a
 * symbolic link; -ENXIO a FIFO, a socket or a device; -EISDIR, -ENOTDIR; -EPERM another's; -EMLINK
 * more names than one; -ESTALE it was changed meanwhile. */
int io_posix_open_below(int dir_fd, const char *name, int flags, mode_t mode);
/* As mkdirat(2), for one name. */
int io_posix_mkdir_below(int dir_fd, const char *name, mode_t mode);
/* As renameat(2) within the folder. Each name may have a folder before it ("wal/NAME"), which is
 * opened as above. */
int io_posix_rename_below(int dir_fd, const char *from, const char *to);
/* As unlinkat(2), for one name. */
int io_posix_unlink_below(int dir_fd, const char *name);

#endif
