/*
 * live.h - the control files of a live mount.
 */
#ifndef LIVE_H
#define LIVE_H

#include <stdbool.h>
#include <stddef.h>

/* Longest control file: 256 lines of `errors`, each at most 512 bytes. */
#define LIVE_TEXT_BYTES_MAX (192u * 1024u)

/* How often EIO, EFAULT or EAGAIN is asked again. A daemon that is killed loses at most one
 * request for each of its threads, so one of as many questions finds the connection ended. */
#define LIVE_QUESTIONS_MAX 64u

/*
 * Read control/NAME of the mount whose root is `mount_fd` into `text`, ended by
 * a NUL, without the newline at its end. One read(2) gets the whole file, which
 * is then one snapshot. -EFBIG where it does not fit; -ENOTCONN where the daemon is
 * gone or ends meanwhile; other errors of openat(2), read(2).
 */
int live_read(int mount_fd, const char *name, char *text, size_t size);

/* Write `value` to control/NAME with one write(2). -ENOTCONN as above, though what was
 * asked for may have been done; other errors of openat, write, close. */
int live_write(int mount_fd, const char *name, const char *value);

/* Whether this negative errno of a file of a mount says that its daemon is gone. */
bool live_is_gone(int result);

/* Whether a call on a mount that gave this negative errno is to be made again: it was
 * interrupted, or that may be a daemon which is just ending; counted in `*asked`, from 0. */
bool live_asks_again(int result, unsigned *asked);

/*
 * openat(2) of the folder that is a mount, O_CLOEXEC, the caller's to close; repeated while it
 * is interrupted, or EIO, EFAULT or EAGAIN may mean a daemon that is just ending. -ENOTCONN
 * where the daemon is gone, -EMEDIUMTYPE where it is none of quiverfs; other errors of openat. Any
 * thread.
 */
int live_open_mount(const char *path, int flags);

/* The same of NAME or FOLDER/NAME within a mount, which may be anybody's: not through a link (-ELOOP)
 * or into another filesystem (-EXDEV), and nothing but a regular file or, with O_DIRECTORY, a folder
 * (-EMEDIUMTYPE). */
int live_open(int dir_fd, const char *path, int flags);

/* The errno `error` of a failed call on `fd`, a file of a mount, as a negative errno: -ENOTCONN
 * where the daemon is gone, which is asked after at EIO, EFAULT and EAGAIN. Any thread. */
int live_error(int fd, int error);

/* Words for an error of the two, or of a file of the mount. */
const char *live_strerror(int result);

#endif
