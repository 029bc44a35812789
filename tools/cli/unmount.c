/*
 * unmount.c - take a mount of quiverfs away, and wait for the daemon that has served it.
 */
#include "tools/cli/unmount.h"
#include "engine/quiver.h"
#include "tools/cli/busy.h"
#include "tools/cli/live.h"
#include "tools/cli/mounts.h"
#include "tools/cli/say.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often the daemon is looked at again. */
#define POLL_MS 50
/* Without a word a daemon is waited for, and for a file that is just being closed, so often: a second. */
#define SILENT_POLLS 20u
/* What a program says why it cannot. */
#define REASON_BYTES 512
#define NAME_BYTES_MAX 64

/* The process that serves a mount. */
struct daemon {
	int64_t pid; /* 0: not known */
	int fd; /* of the process; -1 */
	bool gone; /* nobody serves it any more */
};

/* Whether the process is one of this program: of what somebody has written anything can be said. */
static bool is_ours(int64_t pid)
{
	char path[NAME_BYTES_MAX], name[NAME_BYTES_MAX] = "";
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%" PRId64 "/comm", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	if (fgets(name, sizeof(name), file) == NULL)
		name[0] = '\0';
	(void)fclose(file); /* it was only read */
	return strstr(name, "quiverfs") != NULL;
}

/* Who has the store open and says that it is mounted here; 0: nobody. Asks the mount nothing, whose
 * daemon may be stuck. */
static int64_t ask_store(const struct unmount *unmount)
{
	struct quiver_holder holder;

	if (!quiver_is_folder(unmount->source) || quiver_holder(unmount->source, &holder) < 0 ||
	    strcmp(holder.mount_point, unmount->point) != 0)
		return 0;
	return holder.pid;
}

/* Who serves the mount, as that says itself; 0: it does not tell. */
static int64_t ask_mount(const struct unmount *unmount, bool *gone)
{
	char *stats = malloc(LIVE_TEXT_BYTES_MAX);
	int fd = stats != NULL ? live_open_mount(unmount->point, O_PATH) : -ENOMEM;
	int result = fd < 0 ? fd : live_read(fd, "stats", stats, LIVE_TEXT_BYTES_MAX);
	const char *line = NULL;
	int64_t pid = 0;

	*gone = result == -ENOTCONN;
	if (result == 0)
		line = strstr(stats, "\npid ");
	if (line != NULL)
		pid = strtoll(line + strlen("\npid "), NULL, 10);
	if (fd >= 0)
		(void)close(fd); /* nothing was done with it */
	free(stats);
	return pid;
}

static struct daemon find_daemon(const struct unmount *unmount)
{
	struct daemon daemon = { .pid = ask_store(unmount), .fd = -1 };

	if (daemon.pid == 0)
		daemon.pid = ask_mount(unmount, &daemon.gone);
	if (daemon.pid > 0 && is_ours(daemon.pid))
		daemon.fd = (int)syscall(SYS_pidfd_open, (pid_t)daemon.pid, 0);
	if (daemon.fd < 0)
		daemon.pid = 0;
	return daemon;
}

/* Wait for the end of a process that was started, and for what it says up to then. */
static int wait_program(pid_t pid, int fd, char reason[REASON_BYTES])
{
	size_t length = 0;
	ssize_t got = 1;
	int status;

	while (got > 0) {
		got = read(fd, reason + length, REASON_BYTES - 1 - length);
		length += got > 0 ? (size_t)got : 0;
	}
	reason[length] = '\0';
	reason[strcspn(reason, "\n")] = '\0';
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return strstr(reason, "busy") != NULL ? -EBUSY : -EPERM;
}

/* Run `program` `option` -- `point`, which may unmount for an ordinary user. What it says to `reason`. 0;
 * -EBUSY; -EPERM it does not, whatever the reason; others: it cannot be run. */
static int run_program(const char *program, const char *option, const char *point,
                       char reason[REASON_BYTES])
{
	posix_spawn_file_actions_t actions;
	char name[NAME_BYTES_MAX], letter[NAME_BYTES_MAX], end[] = "--", path[PATH_MAX];
	char *words[] = { name, letter, end, path, NULL };
	int ends[2], result;
	pid_t pid;

	(void)snprintf(name, sizeof(name), "%s", program);
	(void)snprintf(letter, sizeof(letter), "%s", option);
	(void)snprintf(path, sizeof(path), "%s", point);
	reason[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	result = -posix_spawn_file_actions_init(&actions);
	if (result == 0) {
		result = -posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
		if (result == 0)
			result = -posix_spawnp(&pid, words[0], &actions, NULL, words, environ);
		(void)posix_spawn_file_actions_destroy(&actions); /* does not fail */
	}
	(void)close(ends[1]); /* nothing is kept back */
	if (result == 0)
		result = wait_program(pid, ends[0], reason);
	(void)close(ends[0]); /* it was only read */
	return result;
}

/* As an ordinary user. fusermount3 needs /etc/mtab, which umount does not; umount needs to know of FUSE,
 * as that of util-linux does since 2.34. */
static int unmount_as_user(const struct unmount *unmount, char reason[REASON_BYTES])
{
	char other[REASON_BYTES];
	int result = run_program("fusermount3", "-u", unmount->point, reason);

	if (result == 0 || result == -EBUSY)
		return result;
	if (run_program("umount", "-q", unmount->point, other) == 0)
		return 0;
	if (reason[0] == '\0')
		(void)snprintf(reason, REASON_BYTES, "fusermount3: %s", strerror(-result));
	return result;
}

/* Unmount once. `reason` is "" where the errno is all that is known. */
static int unmount_once(const struct unmount *unmount, char reason[REASON_BYTES])
{
	reason[0] = '\0';
	if (geteuid() != 0)
		return unmount_as_user(unmount, reason);
	return umount2(unmount->point, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

struct wanted_below {
	const char *point;
	char found[PATH_MAX];
};

static void see_below(void *arg, const struct mount_seen *mount)
{
	struct wanted_below *wanted = arg;
	size_t length = strlen(wanted->point);

	if (strncmp(mount->point, wanted->point, length) == 0 && mount->point[length] == '/')
		(void)snprintf(wanted->found, sizeof(wanted->found), "%s", mount->point);
}

/* Say who is in the way. */
static void say_busy(const struct unmount *unmount, const struct busy *busy)
{
	struct wanted_below below = { .point = unmount->point };

	(void)mounts_see(0, see_below, &below); /* nothing found is an answer, too */
	if (below.found[0] != '\0')
		say_error(unmount->point, "busy: %s is mounted within it; unmount that first",
		          below.found);
	else if (busy->processes > 0)
		say_error(unmount->point, "busy: %s; end %s, or close the files, and try again",
		          busy->text, busy->processes == 1 ? "that process" : "these processes");
	else if (geteuid() != 0)
		say_error(unmount->point, "busy: a process of another user has a file of it open, "
		                          "or works in it; root can see which: 'fuser -vm' shows "
		                          "it");
	else
		say_error(unmount->point, "busy: a file of it is open, but the process cannot be "
		                          "seen from here; is it in a container?");
}

/* Unmount. A file that was just closed, or whose process was just killed, is waited for. Says errors. */
static int unmount_now(const struct unmount *unmount, const struct daemon *daemon)
{
	char reason[REASON_BYTES];
	struct busy busy;
	int result = unmount_once(unmount, reason);

	for (unsigned i = 0; i < SILENT_POLLS && result == -EBUSY && !interrupted(); i++) {
		busy_look(unmount->point, daemon->pid, &busy);
		if (busy.processes > 0)
			break;
		interruptible_sleep(POLL_MS);
		result = unmount_once(unmount, reason);
	}
	if (result == -EBUSY) {
		busy_look(unmount->point, daemon->pid, &busy);
		say_busy(unmount, &busy);
	} else if (result < 0) {
		say_error(unmount->point, "cannot be unmounted: %s",
		          reason[0] != '\0' ? reason : strerror(-result));
	}
	return result;
}

struct wanted_same {
	const struct unmount *unmount;
	char point[PATH_MAX];
};

static void see_same(void *arg, const struct mount_seen *mount)
{
	struct wanted_same *wanted = arg;

	if (busy_is_mount(mount, wanted->unmount->device, wanted->unmount->source))
		(void)snprintf(wanted->point, sizeof(wanted->point), "%s", mount->point);
}

/* Whether the daemon will not end, since the same is mounted at another place too; says so. */
static bool say_elsewhere(const struct unmount *unmount, const struct daemon *daemon)
{
	struct wanted_same same = { .unmount = unmount };
	int64_t pid;

	(void)mounts_see(0, see_same, &same); /* nothing found is an answer, too */
	if (same.point[0] != '\0') {
		say_error(unmount->point,
		          "unmounted here, but also mounted at %s, so process %" PRId64
		          " keeps the store open; unmount it there, too",
		          same.point, daemon->pid);
		return true;
	}
	pid = busy_find_mounted(unmount->device, unmount->source, daemon->pid);
	if (pid == 0)
		return false;
	say_error(unmount->point,
	          "unmounted here, but process %" PRId64
	          " keeps the store open: it is also mounted in the mount namespace of process "
	          "%" PRId64 ", such as a container; 'nsenter -t %" PRId64 " -m' enters it",
	          daemon->pid, pid, pid);
	return true;
}

/* Wait for the end of the daemon, as long as that takes. Says errors. */
static int wait_daemon(const struct unmount *unmount, const struct daemon *daemon)
{
	struct pollfd ended = { .fd = daemon->fd, .events = POLLIN };

	for (unsigned polls = 0; poll(&ended, 1, 0) == 0; polls++) {
		if (interrupted()) {
			say_error(unmount->point,
			          "unmounted, but the waiting was ended: process %" PRId64
			          " still writes to %s",
			          daemon->pid, unmount->source);
			return -EINTR;
		}
		if (polls == SILENT_POLLS && say_elsewhere(unmount, daemon))
			return -EBUSY;
		if (polls == SILENT_POLLS)
			say_note(unmount->point,
			         "unmounted; process %" PRId64
			         " still writes to %s; waiting until it ends (Ctrl-C ends only the "
			         "waiting)",
			         daemon->pid, unmount->source);
		interruptible_sleep(POLL_MS);
	}
	return 0;
}

int unmount_run(const struct unmount *unmount, enum unmounted *how)
{
	struct daemon daemon;
	int result;

	if (geteuid() != 0 && geteuid() != unmount->uid) {
		say_error(unmount->point,
		          "mounted by user number %u; that user or root can unmount it",
		          (unsigned)unmount->uid);
		return -EPERM;
	}
	daemon = find_daemon(unmount);
	*how = daemon.fd >= 0 ? UNMOUNTED_CLOSED : UNMOUNTED;
	if (daemon.gone)
		*how = UNMOUNTED_STALE;
	result = unmount_now(unmount, &daemon);
	if (result == 0 && daemon.fd >= 0)
		result = wait_daemon(unmount, &daemon);
	if (daemon.fd >= 0)
		(void)close(daemon.fd); /* nothing was done with it */
	return result;
}
