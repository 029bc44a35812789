/*
 * live.h - the control files of a live mount.
 */
#ifndef LIVE_H
#define LIVE_H

#include <stddef.h>

/* Longest control file: 256 lines of `errors`, each at most 512 bytes. */
#define LIVE_TEXT_BYTES_MAX (192u * 1024u)

/*
 * Read control/NAME of the mount whose root is `mount_fd` into `text`, ended by
 * a NUL, without the newline at its end. One read(2) gets the whole file, which
 * is then one snapshot. -EFBIG where it does not fit; errors of openat(2), read(2).
 */
int live_read(int mount_fd, const char *name, char *text, size_t size);

/* Write `value` to control/NAME with one write(2). Errors of openat, write, close. */
int live_write(int mount_fd, const char *name, const char *value);

#endif
