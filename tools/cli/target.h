/*
 * target.h - what the STORE|MNT of a command line is.
 */
#ifndef TARGET_H
#define TARGET_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* How long a command waits for a holder of the store that is stopping: umount(8)
 * returns before the daemon has written its last checkpoint, and whoever is the first to
 * read after a crash recovers the store before it is one reader among others. */
#define TARGET_WAIT_MS 10000u

struct target {
	bool live; /* `path` is a mount point, or a snapshot in a mount; else of a store to be opened */
	bool elsewhere; /* `path` is no folder of this machine: a collection in a cluster */
	bool snapshot; /* one of a store, which nobody changes */
	char path[PATH_MAX];
	uint64_t waits_since_ms; /* for who has the store open; 0: it has not come to that */
	bool told; /* who is waited for */
};

/* What a store that others only read is wanted for. */
enum target_wish {
	TARGET_CHANGE, /* refused where it is mounted read-only */
	TARGET_READ, /* along with them */
	TARGET_MOUNT, /* the same, but through the mount where it is mounted read-only */
};

/*
 * Find out what `given` is: a mount of quiverfs, the store of a live mount
 * (which stands for that mount), or a store that nobody has open, or that others
 * only read. A collection in a cluster, which has no lock, is that itself, mounted or not.
 * STORE@NAME is that snapshot itself, whoever has the store open, and MNT@NAME the snapshot in the
 * mount. Waits up to TARGET_WAIT_MS for a daemon that is just starting or stopping, and
 * where the wish is not to change, for whoever else may write to it. *target is zeros, or what
 * it was before target_wait.
 * 0, or a negative errno after having said on stderr what is wrong.
 */
int target_resolve(const char *given, enum target_wish wish, struct target *target);

/* The folder of the store that `given` is, or that is mounted there, whoever has it open. 0, or a
 * negative errno after having said on stderr what is wrong. */
int target_find_store(const char *given, char path[PATH_MAX]);

/* Wait a moment for who has come between target_resolve and opening the store; it is to be resolved
 * again then. False where TARGET_WAIT_MS are over, in all the waits for the target, or a signal
 * wants an end. */
bool target_wait(struct target *target);

/* Whether `given` is how a snapshot of a store that is there is named, which a folder of that name would
 * put out of reach; says so on stderr. */
bool target_say_snapshot(const char *given);

/* Whether a new store cannot be in the folder `given` since a store or a mount is there, or it is
 * in a mount; says so on stderr. */
bool target_say_taken(const char *given);

/*
 * Look at what is to be mounted where: 0 where nothing that is known here is against it.
 * -EINVAL `store` is a mount, or in one; -EBUSY a mount that answers is at `point`; both after
 * having said on stderr what is wrong.
 */
int target_check_mount(const char *store, const char *point);

#endif
