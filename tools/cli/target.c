/*
 * target.c - what the STORE|MNT of a command line is.
 */
#include "tools/cli/target.h"
#include "engine/quiver.h"
#include "tools/cli/live.h"
#include "tools/cli/mounts.h"
#include "tools/cli/say.h"
#include "tools/cli/target_look.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(((struct quiver_holder *)0)->mount_point) == PATH_MAX,
               "a mount point fits a target");

/* How often a holder that is starting or stopping is looked at again. */
#define POLL_MS 50u
/* How long it is waited for without a word. */
#define SILENT_MS 1000u
#define PROCESS_BYTES_MAX 32 /* /proc/PID */
/* Readers of one store that are looked at. */
#define READERS_MAX 64

/* Say that the daemon of the mount at `path` is gone. */
static int say_stale(const char *path)
{
	say_error(path,
	          "the daemon of this mount is gone; unmount it with 'quiverfs umount %s', and "
	          "mount it again",
	          path);
	return -ENOTCONN;
}

/* Whether the process serves the mount, as that says itself. One that does not answer may be it. */
static bool is_served_by(const char *point, int64_t pid)
{
	char *stats = malloc(LIVE_TEXT_BYTES_MAX);
	int fd = live_open_mount(point, O_PATH);
	int result = stats == NULL ? -ENOMEM : fd;
	const char *line;
	bool is;

	if (result >= 0)
		result = live_read(fd, "stats", stats, LIVE_TEXT_BYTES_MAX);
	line = result == 0 ? strstr(stats, "\npid ") : NULL;
	is = result < 0 || (line != NULL && strtoll(line + strlen("\npid "), NULL, 10) == pid);
	if (fd >= 0)
		(void)close(fd); /* nothing was done with it */
	free(stats);
	return is;
}

/* Whether what is mounted where the holder of `store` says that it is, is that store: under this
 * name or another, or under one it had before it was moved. Who owns the store can have written
 * anything there. */
static bool is_mounted_from(const struct quiver_holder *holder, const char *store)
{
	const char *point = holder->mount_point;
	struct quiver_holder other;
	struct mount_found mount;

	if (!target_mount_at(point, &mount))
		return false;
	if (target_is_same_store(mount.source, store))
		return true;
	/* The holder is just ending, or lies, and this is another store's mount. */
	if (quiver_holder(mount.source, &other) == 0 && other.pid != 0 &&
	    strcmp(other.mount_point, point) == 0)
		return false;
	return is_served_by(point, holder->pid);
}

/* Whether the holder's mount is there for the holder, but not for this process. */
static bool is_mounted_elsewhere(const struct quiver_holder *holder)
{
	struct mount_found mount;

	return !target_is_mounted(holder->mount_point) &&
	       mounts_find_of(holder->pid, holder->mount_point, &mount) == 0 && mount.found &&
	       strcmp(mount.type, MOUNT_TYPE) == 0;
}

/* Say why a mount does not answer, if it does not; returns `result`. */
static int say_alive(const char *path, int result)
{
	if (result == -ENOTCONN)
		return say_stale(path);
	if (result == -EACCES)
		say_error(path, "mounted by another user, who did not allow others to use it (that "
		                "needs -o allow_other)");
	else if (result < 0)
		say_error(path, "its control files cannot be read: %s", live_strerror(result));
	return result;
}

/* Say that `path` is neither a store nor a mount. */
static int say_neither(const char *path)
{
	char above[PATH_MAX];

	(void)snprintf(above, sizeof(above), "%s", path);
	if (target_lies_in_mount(above))
		say_error(path, "lies within the mount at %s; give the mount point itself", above);
	else
		say_error(path,
		          "this is not a store of quiverfs (it has no superblock), and not a mount "
		          "of one; 'quiverfs create %s --dim D' makes a store here, 'quiverfs "
		          "mount STORE %s' mounts one here",
		          path, path);
	return -EINVAL;
}

/* Say that there is no `given`, be it for a store or for a mount point. */
static void say_absent(const char *given)
{
	say_error(given,
	          "there is no such store or mount; 'quiverfs create %s --dim D' makes a store "
	          "here; 'mkdir %s' and 'quiverfs mount STORE %s' mount one here",
	          given, given, given);
}

/* Say that `path` may not be looked into, and whose it is: a store is its owner's alone. */
static void say_forbidden(const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0 && status.st_uid != geteuid())
		say_error(
			path,
			"Permission denied: it belongs to user number %u, and you are %u; only the "
			"owner may open a store; a mount with -o allow_other lets others use it",
			(unsigned)status.st_uid, (unsigned)geteuid());
	else
		say_errno(path, -EACCES);
}

/* Ask the engine who has the store open. Says errors. */
static int ask_holder(const char *path, struct quiver_holder *holder)
{
	int result = quiver_holder(path, holder);

	if (result == -ENOENT || result == -EINVAL)
		return say_neither(path);
	if (result == -EACCES && faccessat(AT_FDCWD, path, R_OK | X_OK, AT_EACCESS) < 0) {
		say_forbidden(path);
		return result;
	}
	if (result == -EBUSY)
		say_error(path, "in use by another process, which cannot be seen from here; is it "
		                "in another container or on another machine?");
	/* Of what is wrong with a file opening the store tells which. */
	return result == -EBUSY ? result : 0;
}

/* Whose process it is; false where there is none any more. */
static bool find_user(int64_t pid, uid_t *uid)
{
	char process[PROCESS_BYTES_MAX];
	struct stat status;

	(void)snprintf(process, sizeof(process), "/proc/%" PRId64, pid);
	if (stat(process, &status) < 0)
		return false;
	*uid = status.st_uid;
	return true;
}

/* Where the holder's mount is, if it is not where the holder made it, since its mount point was moved
 * or a folder above it renamed; or if LOCK, which was removed, does not say it. It is a mount of the
 * user whose process it is. */
static void follow_moved(const char *store, struct quiver_holder *holder)
{
	char point[PATH_MAX];
	uid_t uid;

	if (target_is_mounted(holder->mount_point))
		return;
	if (find_user(holder->pid, &uid) && mounts_find_from(store, uid, point) == 0 &&
	    point[0] != '\0')
		memcpy(holder->mount_point, point, sizeof(point));
}

/* Whether what a user has mounted may stand for the store: who may only read it has it open as well,
 * and could show anything. */
static bool is_trusted(uid_t uid, const char *store)
{
	struct stat status;

	return uid == 0 || uid == geteuid() || (stat(store, &status) == 0 && uid == status.st_uid);
}

/* Nobody writes to `store`, which may be mounted read-only, and more than once. Those mounts leave no
 * name. Says errors. */
static int resolve_read(const char *store, enum target_wish wish, struct target *target)
{
	int64_t pids[READERS_MAX];
	char point[PATH_MAX];
	int count = wish == TARGET_READ ? 0 : quiver_readers(store, pids, READERS_MAX);

	for (int i = 0; i < count; i++) {
		uid_t uid;

		if (!find_user(pids[i], &uid) || mounts_find_from(store, uid, point) < 0 ||
		    point[0] == '\0')
			continue;
		if (wish == TARGET_CHANGE) {
			/* The user may have several of both, which need not go together. */
			say_error(store,
			          "in use by process %" PRId64
			          "; the store is mounted read-only at %s; unmount it there first",
			          pids[i], point);
			return -EBUSY;
		}
		if (is_trusted(uid, store) && target_ask_alive(point) == 0) {
			target->live = true;
			memcpy(target->path, point, sizeof(target->path));
			return 0;
		}
	}
	return 0; /* opening it tells of whoever is in the way */
}

/* How long the target has been waited for: from the first time that this is asked. */
static uint64_t waited_ms(struct target *target)
{
	struct timespec now;
	uint64_t now_ms;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* there is this clock */
	now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	if (target->waits_since_ms == 0)
		target->waits_since_ms = now_ms;
	return now_ms - target->waits_since_ms;
}

bool target_wait(struct target *target)
{
	if (waited_ms(target) >= TARGET_WAIT_MS)
		return false;
	interruptible_sleep(POLL_MS);
	return !interrupted();
}

/* Tell once whom a wait is for that is long enough to be noticed. */
static void tell_wait(const char *store, const struct quiver_holder *holder, struct target *target)
{
	uint64_t ms = waited_ms(target);
	uint64_t left_s = ms < TARGET_WAIT_MS ? (TARGET_WAIT_MS - ms + 999) / 1000 : 0;

	if (target->told || ms < SILENT_MS || left_s == 0)
		return;
	target->told = true;
	if (holder->mount_point[0] == '\0')
		say_note(store,
		         "in use by process %" PRId64
		         ", which is not a mount; waiting until it ends, %" PRIu64
		         " seconds at most",
		         holder->pid, left_s);
	else
		say_note(
			store,
			"process %" PRId64
			" has it mounted at %s, and is starting or ending; waiting for it, %" PRIu64
			" seconds at most",
			holder->pid, holder->mount_point, left_s);
}

/* Say that the holder has not ended in time. */
static int say_held(const char *store, const struct quiver_holder *holder)
{
	if (holder->mount_point[0] == '\0')
		say_error(store,
		          "in use by process %" PRId64 ", which is not a mount; wait until it ends",
		          holder->pid);
	else
		say_error(store,
		          "in use by process %" PRId64
		          ", mounted at %s, but nothing answers there, and the process does not "
		          "end: a file of it is still open somewhere, or another mount namespace "
		          "(a container, unshare) has it mounted; 'kill %" PRId64 "' ends it",
		          holder->pid, holder->mount_point, holder->pid);
	return -EBUSY;
}

/* The holder names a mount point. 0 where the mount there stands for the store, 1 where nothing
 * answers there, or a negative errno after having said what is wrong. */
static int resolve_mounted(const char *store, const struct quiver_holder *holder,
                           struct target *target)
{
	int alive = is_mounted_from(holder, store) ? target_ask_alive(holder->mount_point)
	                                           : -ENOTCONN;

	if (alive != -ENOTCONN) {
		target->live = true;
		memcpy(target->path, holder->mount_point, sizeof(target->path));
		return say_alive(target->path, alive);
	}
	if (!is_mounted_elsewhere(holder))
		return 1;
	say_error(store,
	          "in use by process %" PRId64
	          ", mounted at %s in another mount namespace; 'nsenter -t %" PRId64
	          " -m' enters it",
	          holder->pid, holder->mount_point, holder->pid);
	return -EBUSY;
}

/*
 * `store` is the folder of a store: see who has it. A holder that names a mount
 * point where nothing answers is a daemon that is starting or ending, so it is given
 * time; by who only reads, also one that names none: it may only be recovering the store.
 * Says errors.
 */
static int resolve_store(const char *store, enum target_wish wish, struct target *target)
{
	struct quiver_holder holder;
	int result;

	(void)snprintf(target->path, sizeof(target->path), "%s", store);
	do {
		result = ask_holder(store, &holder);
		if (result < 0)
			return result;
		if (holder.pid == 0)
			return resolve_read(store, wish, target);
		follow_moved(store, &holder);
		if (holder.mount_point[0] != '\0')
			result = resolve_mounted(store, &holder, target);
		else
			result = wish == TARGET_CHANGE ? say_held(store, &holder) : 1;
		if (result <= 0)
			return result;
		tell_wait(store, &holder, target);
	} while (target_wait(target));
	return say_held(store, &holder);
}

/* What `given` is; its absolute path to `path`. 0 or a negative errno. */
static int look_up(const char *given, char path[PATH_MAX], struct stat *status)
{
	if (realpath(given, path) == NULL)
		return -errno;
	return stat(path, status) < 0 ? -errno : 0;
}

/* The absolute path of the folder `given`. 0, or a negative errno after having said what is wrong. */
static int find_folder(const char *given, char path[PATH_MAX])
{
	struct stat status = { 0 };
	unsigned asked = 0;
	int result;

	do {
		result = look_up(given, path, &status);
	} while (live_asks_again(result, &asked));
	if (live_is_gone(result))
		return say_stale(given);
	if (result == -ENOENT)
		say_absent(given);
	else if (result < 0)
		say_errno(given, result);
	if (result < 0)
		return result;
	if (!S_ISDIR(status.st_mode)) {
		say_error(given, "not a folder; give a store or the mount point of one");
		return -ENOTDIR;
	}
	return 0;
}

/* Put a path together. -ENAMETOOLONG after having said so. */
static int join(const char *given, const char *folder, const char *between, const char *name,
                char path[PATH_MAX])
{
	if (snprintf(path, PATH_MAX, "%s%s%s", folder, between, name) < PATH_MAX)
		return 0;
	say_errno(given, -ENAMETOOLONG);
	return -ENAMETOOLONG;
}

/* Snapshot `name` in the mount at `point`. Says errors. */
static int resolve_in_mount(const char *given, const char *point, const char *name,
                            struct target *target)
{
	struct stat status;
	int result = say_alive(point, target_ask_alive(point));

	if (result == 0)
		result = join(given, point, "/snapshots/", name, target->path);
	if (result < 0)
		return result;
	if (stat(target->path, &status) < 0) {
		result = -errno;
		if (result == -ENOENT)
			say_error(given,
			          "the store mounted at %s has no snapshot %s; 'quiverfs snapshot "
			          "list %s' lists them",
			          point, name, point);
		else
			say_error(given, "%s", live_strerror(result));
		return result;
	}
	target->live = true;
	return 0;
}

/* STORE@NAME or MNT@NAME, of which STORE or MNT has so many bytes. Says errors. */
static int resolve_snapshot(const char *given, size_t length, enum target_wish wish,
                            struct target *target)
{
	const char *name = given + length + 1;
	char folder[PATH_MAX], path[PATH_MAX];
	int result;

	if (wish == TARGET_CHANGE) {
		say_error(given, "a snapshot cannot be changed; give the store itself, %.*s",
		          (int)length, given);
		return -EROFS;
	}
	if (length >= sizeof(folder)) {
		say_errno(given, -ENAMETOOLONG);
		return -ENAMETOOLONG;
	}
	memcpy(folder, given, length);
	folder[length] = '\0';
	target->snapshot = true;
	result = find_folder(folder, path);
	if (result < 0)
		return result;
	if (target_is_mounted(path))
		return resolve_in_mount(given, path, name, target);
	return join(given, path, "@", name, target->path);
}

int target_resolve(const char *given, enum target_wish wish, struct target *target)
{
	char path[PATH_MAX];
	size_t length;
	int result;

	target->live = false;
	target->elsewhere = !quiver_is_folder(given);
	if (target->elsewhere) {
		if (snprintf(target->path, sizeof(target->path), "%s", given) <
		    (int)sizeof(target->path))
			return 0;
		say_errno(given, -ENAMETOOLONG);
		return -ENAMETOOLONG;
	}
	if (quiver_is_snapshot(given, &length))
		return resolve_snapshot(given, length, wish, target);
	result = find_folder(given, path);
	if (result < 0)
		return result;
	if (target_is_mounted(path)) {
		target->live = true;
		memcpy(target->path, path, sizeof(path));
		return say_alive(path, target_ask_alive(path));
	}
	return resolve_store(path, wish, target);
}

int target_find_store(const char *given, char path[PATH_MAX])
{
	struct mount_found mount;
	size_t length;
	int result = find_folder(given, path);

	if (result < 0 || !target_mount_at(path, &mount))
		return result;
	(void)snprintf(path, PATH_MAX, "%s", mount.source);
	if (quiver_is_snapshot(path, &length))
		path[length] = '\0';
	return 0;
}
