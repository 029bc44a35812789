/*
 * privileges.h - the daemon keeps only the rights that it goes on needing.
 */
#ifndef PRIVILEGES_H
#define PRIVILEGES_H

/*
 * Give up every capability but those needed to mount, unmount, pass files through
 * and reach a store that belongs to somebody else, and the right to get new ones by
 * running other programs.
 *
 * A process without CAP_SYS_ADMIN stays as it is: it has little to give up, and only
 * fusermount3, which is set-user-ID, can mount and unmount for it.
 *
 * Each thread has its own capabilities, so call it before there are any others; new
 * ones inherit what is left. 0 or a negative errno.
 */
int privileges_drop(void);

#endif
