/*
 * unmount.h - take a mount of quiverfs away, and wait for the daemon that has served it.
 */
#ifndef UNMOUNT_H
#define UNMOUNT_H

#include <limits.h>
#include <sys/types.h>

/* A mount that is to be taken away. */
struct unmount {
	char point[PATH_MAX]; /* absolute */
	char source[PATH_MAX]; /* the store, or the snapshot */
	char device[32]; /* "MAJOR:MINOR" */
	uid_t uid; /* who has mounted it */
};

/* What became of its daemon. */
enum unmounted {
	UNMOUNTED, /* nobody knows: it is of another container, say */
	UNMOUNTED_CLOSED, /* it has closed the store and ended */
	UNMOUNTED_STALE, /* it was gone before */
};

/*
 * Unmount it, by umount2(2) as root and else by fusermount3 or umount, which may; then wait until its
 * daemon has written what is left and has ended, so that whoever is next finds the store free. Signals
 * are to be caught before (tools/formats/interrupt.h); they end the waiting.
 * What became of that to *how. 0, or a negative errno after having said what is wrong: -EPERM, -EBUSY (in use, or mounted elsewhere as
 * well), -EINTR, others of umount2.
 */
int unmount_run(const struct unmount *unmount, enum unmounted *how);

#endif
