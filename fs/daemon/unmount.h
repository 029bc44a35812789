/*
 * unmount.h - taking our own mount away while it is being served.
 *
 * None of it asks the filesystem anything, so that a daemon can do it from a
 * thread of its own.
 */
#ifndef UNMOUNT_H
#define UNMOUNT_H

#include <stddef.h>
#include <stdint.h>

/* The number under which the kernel lists the connection of the filesystem that is
 * mounted at `mount_point`. 0, -ENODEV where none of its kind is mounted there, or
 * another negative errno. */
int unmount_connection(const char *mount_point, uint32_t *connection);

/* Where the filesystem of that number and of that source is mounted now, which need not be where it
 * was: `usual` if it is there, else the first place in this process's list of mounts, written to
 * `path` of `room` bytes. The number alone says little: once a filesystem is unmounted another gets
 * it, at once. But nobody else mounts a store that this process has open, unless both mount it
 * read-only or it lies on other machines. 0, -ENOENT nowhere, -ENAMETOOLONG, or another negative errno. */
int unmount_find(uint32_t connection, const char *source, const char *usual, char *path,
                 size_t room);
/* The same of any mount of that source, by whomever. */
int unmount_find_any(const char *source, char *path, size_t room);

/* Unmount as umount(8) does, an ordinary user through fusermount3. -EBUSY where
 * files of it are open or it is somebody's working directory; other errors. */
int unmount_try(const char *mount_point);

/* Take the mount point away at once; whoever has files open keeps them. */
int unmount_detach(const char *mount_point);

/* What aborts the connection when "1" is written to it: a descriptor, which does nothing any more
 * once the connection is gone, whoever has its number then. -ENOENT where there is no such
 * connection, or the kernel's control filesystem is not mounted and this process may not mount;
 * -EACCES not its owner; other errors. */
int unmount_open_abort(uint32_t connection);

/* Have the kernel end every request, now and later, with an error. It lets go of
 * the filesystem, and the session loop ends. Errors as above. */
int unmount_abort(uint32_t connection);

#endif
