/*
 * lock_text.h - what LOCK says of who holds it: "pid N" and "mount PATH", a line each.
 */
#ifndef QUIVER_LOCK_TEXT_H
#define QUIVER_LOCK_TEXT_H

#include "engine/disk/io.h"
#include "engine/quiver.h"

/* The text of the open file into *holder; pid 0 where it names none. 0 or -errno. */
int lock_text_read(const struct quiver_io *io, int fd, struct quiver_holder *holder);
/* Name this process in it, and the mount point, which may be NULL. 0, also where the disk has no
 * room for that, or -errno; -ENAMETOOLONG. */
int lock_text_write(const struct quiver_io *io, int fd, const char *mount_point);
/* Leave a text that names nobody. As lock_text_write. */
int lock_text_wipe(const struct quiver_io *io, int fd);

#endif
