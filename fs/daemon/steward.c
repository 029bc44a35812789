/*
 * steward.c - the thread that watches over a mount.
 */
#include "fs/daemon/steward.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "fs/base/clock.h"
#include "fs/base/transport.h"
#include "fs/daemon/log.h"
#include "fs/daemon/notify.h"
#include "fs/daemon/pulse.h"
#include "fs/daemon/serve.h"
#include "fs/daemon/unmount.h"
#include "fs/ops/enter.h"
#include "fs/ops/ops.h"

/* A kernel that accepts the mount and then asks for nothing. */
#define FIRST_REQUEST_TIMEOUT_MS 30000
/* The watchdog is fed so much more often than it asks for. */
#define WATCHDOG_SHARE 3
/* How long the end waits for a request of the prober, which makes the mount busy. */
#define LAST_REQUEST_TIMEOUT_MS 1000
/* The kernel lets go of an unmounted filesystem within the call, unless another mount
 * namespace has it still. */
#define UNMOUNTED_TIMEOUT_MS 2000
/* Two looks that find it unmounted are so far apart, at least: what is told is no moment. */
#define LOOK_AGAIN_MS (UNMOUNTED_TIMEOUT_MS / 2)

#define NEVER_MS INT64_MAX
#define NS_PER_MS INT64_C(1000000)

bool steward_is_mounted(const struct server *server, char point[static PATH_MAX])
{
	/* Elsewhere after `mount --move`, or where a folder above it was renamed. */
	return server->connection_err == 0 &&
	       unmount_find(server->connection, server->store_path, server->mount_path, point,
	                    PATH_MAX) == 0;
}

/* The mount point is gone, and the kernel has not let go of the filesystem. Once it is told. */
static void say_away(struct server *server)
{
	server->told_away = true;
	log_line(LOG_NOTICE,
	         "%s: unmounted, but still in use: a file of it is open, or another mount "
	         "namespace (a container, unshare) has it; 'kill %d' ends it",
	         server->moved_to[0] ? server->moved_to : server->mount_path, (int)getpid());
	notify_say("WATCHDOG=1\nSTATUS=unmounted, but still in use");
}

static int64_t now_ms(void)
{
	return clock_steady_ns() / NS_PER_MS;
}

/* What is mounted somewhere has changed a while ago: was it ours? */
static void look_at_mounts(struct server *server)
{
	char point[PATH_MAX];

	server->look_ms = NEVER_MS;
	if (server->stopping || server->connection_err < 0 || server->told_away)
		return;
	if (steward_is_mounted(server, point)) {
		server->seen_away = false;
	} else if (server->seen_away) {
		say_away(server);
	} else {
		/* It may have been unmounted just now, by another change than the one we look for. */
		server->seen_away = true;
		server->look_ms = now_ms() + LOOK_AGAIN_MS;
	}
}

/* Wait until `fd` can be read, a signal comes or the loop ends, and see meanwhile whether the mount
 * point is there. The descriptor that can be read, -ETIMEDOUT, or another negative errno. */
static int wait_for_any(struct server *server, int fd, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = server->ended_fd, .events = POLLIN },
		{ .fd = server->signal_fd, .events = POLLIN },
		{ .fd = fd, .events = POLLIN }, /* -1 is left out by poll */
		{ .fd = server->mounts_fd, .events = POLLPRI }, /* told once of each change */
	};
	const size_t mounts = sizeof(fds) / sizeof(fds[0]) - 1;
	int64_t end_ms = timeout_ms < 0 ? NEVER_MS : now_ms() + timeout_ms;

	for (;;) {
		int64_t next_ms = end_ms < server->look_ms ? end_ms : server->look_ms;
		int64_t left_ms = next_ms == NEVER_MS ? -1 : next_ms - now_ms();
		int ready = poll(fds, mounts + 1,
		                 next_ms != NEVER_MS && left_ms < 0 ? 0 : (int)left_ms);

		if (ready < 0 && errno != EINTR)
			return -errno;
		for (size_t i = 0; ready > 0 && i < mounts; i++) {
			if (fds[i].revents)
				return fds[i].fd;
		}
		if (ready > 0 && server->look_ms == NEVER_MS)
			server->look_ms = now_ms() + LOOK_AGAIN_MS;
		if (now_ms() >= server->look_ms)
			look_at_mounts(server);
		if (now_ms() >= end_ms)
			return -ETIMEDOUT;
	}
}

/* Take the mount point away. 0 where nobody used it, so that the kernel lets go of
 * the filesystem; -EBUSY where somebody has files open. */
static int take_away(struct server *server)
{
	char point[PATH_MAX];
	int err;

	if (!steward_is_mounted(server, point))
		return -EBUSY; /* umount -l was here */
	err = unmount_try(point);
	if (err == 0)
		return 0;
	err = unmount_detach(point);
	if (err != 0)
		log_line(LOG_ERR, "%s: cannot be unmounted: %s", point, strerror(-err));
	return -EBUSY;
}

/* Whether the loop ends by itself, now that the mount point is gone. */
static bool loop_ends(const struct server *server)
{
	struct pollfd ended = { .fd = server->ended_fd, .events = POLLIN };
	int ready;

	do
		ready = poll(&ended, 1, UNMOUNTED_TIMEOUT_MS);
	while (ready < 0 && errno == EINTR);
	return ready > 0;
}

/* Bring the mount to its end: the loop returns soon after. */
static void end_mount(struct server *server)
{
	if (take_away(server) != 0) {
		log_line(LOG_WARNING, "%s: still in use; programs with open files get errors",
		         server->mount_path);
	} else {
		if (loop_ends(server))
			return;
		log_line(LOG_WARNING,
		         "%s: still mounted in another mount namespace (a container, a service); "
		         "that mount ends, too",
		         server->mount_path);
	}
	fs_quiet(&server->fs);
	/* Whoever is in a call gets its answer. */
	settle_requests(&server->fs);
	server->aborted = server->connection_err == 0 && unmount_abort(server->connection) == 0;
	if (!server->aborted)
		serve_stop(&server->fs);
}

/* Why the session loop has ended before anybody asked for it. */
static const char *why_ended(const struct server *server)
{
	int err = atomic_load(&server->loop_err);

	return err != 0 ? quiver_strerror(err) : "the kernel ended the session";
}

/* Have the prober try the mount, where it is now. False where it is gone. */
static bool ask_prober(const struct server *server)
{
	return probe_say(&server->pipe, 'M', server->moved_to) == 0;
}

/* Whether the mount is somewhere else by now: somebody has moved it, or renamed a folder above it. */
static bool follow_move(struct server *server)
{
	const char *known = server->moved_to[0] ? server->moved_to : server->mount_path;
	char point[PATH_MAX];

	/* What was unmounted gives its number to another mount of the same store. */
	if (serve_is_over(&server->fs) || !steward_is_mounted(server, point) ||
	    strcmp(point, known) == 0)
		return false;
	snprintf(server->moved_to, sizeof(server->moved_to), "%s", point);
	return true;
}

/* Whether somebody has unmounted it. Where its number is not known, since that was done at once,
 * it may be none of the store that is mounted. */
static bool is_unmounted(const struct server *server)
{
	char point[PATH_MAX];
	int err;

	if (server->connection_err == 0)
		err = unmount_find(server->connection, server->store_path, server->mount_path,
		                   point, sizeof(point));
	else
		err = unmount_find_any(server->store_path, point, sizeof(point));
	return err == -ENOENT;
}

/* What the prober says of a request: 'Y', or 'N' and why in `answer`. A negative errno, with why in
 * `answer` as well, where it does not say it. */
static int try_request(struct server *server, char *answer, size_t room)
{
	const char *why = "the process that mounted it is gone";
	int ready = -EPIPE;

	if (ask_prober(server))
		ready = wait_for_any(server, server->pipe.in, FIRST_REQUEST_TIMEOUT_MS);
	if (ready == server->pipe.in) {
		int word = probe_hear(&server->pipe, answer, room);

		if (word == 'Y' || word == 'N')
			return word;
	} else if (ready == server->signal_fd) {
		why = "interrupted by a signal";
	} else if (ready == server->ended_fd) {
		why = why_ended(server);
	} else if (ready == -ETIMEDOUT) {
		why = "no request came within 30 s";
	}
	snprintf(answer, room, "%s", why);
	return ready == server->signal_fd ? -EINTR : -EIO;
}

/* Why the mount does not work, or 0 where it does: the first request has been
 * answered, and came by the transport that was asked for. -ENODEV: it is unmounted already. */
static int first_request(struct server *server, char *reason, size_t room)
{
	char answer[256];
	int word;

	do
		word = try_request(server, answer, sizeof(answer));
	while (word == 'N' && follow_move(server));
	if (word != 'Y' && word != -EINTR && is_unmounted(server)) {
		snprintf(reason, room, "%s: it was unmounted before it was ready",
		         server->mount_path);
		return -ENODEV;
	}
	if (word != 'Y') {
		snprintf(reason, room, "%s: %s%s", server->mount_path,
		         word == 'N' ? "the first request failed: " : "", answer);
		return -EIO;
	}
	if (server->options.io_uring == IO_URING_ON &&
	    atomic_load(&server->fs.transport) != FS_IO_URING) {
		log_last_fuse(answer, sizeof(answer));
		snprintf(reason, room, "io_uring=on: the kernel did not set it up%s%s",
		         answer[0] ? ": " : "", answer);
		return -ENOTSUP;
	}
	return 0;
}

/* Let go of the terminal. Failure to do so is no reason to end. */
static void go_to_background(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_to_syslog();
	if (fd < 0)
		return;
	for (int to = 0; to <= 2; to++) {
		if (dup2(fd, to) < 0)
			log_line(LOG_WARNING, "descriptor %d: %s", to, strerror(errno));
	}
	if (fd > 2)
		close(fd);
}

/* Tell everyone who waits for it that the mount is ready. */
static void say_ready(const struct server *server)
{
	const char *how = server->fs.read_only ? "read-only, " : "";

	log_line(LOG_INFO, "%s mounted on %s (%s%s: %s)", server->store_path, server->mount_path,
	         how, transport_name(&server->fs), transport_reason(&server->fs));
	notify_say("READY=1\nSTATUS=%s mounted on %s (%s%s)", server->store_path,
	           server->mount_path, how, transport_name(&server->fs));
	/* With a watchdog the prober goes on asking, and this would end it. */
	if (notify_watchdog_ms() == 0)
		(void)probe_say(&server->pipe, 'K', "");
}

/* The mount is about to end, whoever wanted it. What follows may take long. */
static void say_stopping(struct server *server, const char *status)
{
	if (server->stopping)
		return;
	server->stopping = true;
	notify_say("STOPPING=1\nSTATUS=%s", status);
	pulse_start(PULSE_CLOSING);
}

/* A request failed that the prober made. That is no fault of the mount where it is somewhere else by
 * now, or where `umount -l` has taken its name away and it serves those who have files open. */
static void look_after_failure(struct server *server, const char *reason)
{
	char point[PATH_MAX];

	if (server->connection_err == 0 && !steward_is_mounted(server, point)) {
		/* Whether somebody keeps it look_at_mounts tells: the kernel may be letting go. */
		notify_say("WATCHDOG=1");
	} else if (!follow_move(server)) {
		log_line(LOG_ERR, "%s: a request failed: %s",
		         server->moved_to[0] ? server->moved_to : server->mount_path, reason);
	}
}

/* The answer of the prober to what the watchdog had it ask: the mount works, all the way
 * through the kernel. False where the prober is gone. */
static bool feed_watchdog(struct server *server)
{
	char answer[256];
	int word = probe_hear(&server->pipe, answer, sizeof(answer));

	if (word == 'Y')
		notify_say("WATCHDOG=1");
	else if (word == 'N')
		look_after_failure(server, answer);
	return word == 'Y' || word == 'N';
}

/* A signal that ends the mount. */
static void take_signal(struct server *server, bool asked)
{
	struct signalfd_siginfo info;
	struct pollfd answer = { .fd = server->pipe.in, .events = POLLIN };

	if (read(server->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	log_line(LOG_INFO, "%s: %s, unmounting", server->mount_path,
	         strsignal((int)info.ssi_signo));
	say_stopping(server, "unmounting");
	if (asked)
		(void)poll(&answer, 1, LAST_REQUEST_TIMEOUT_MS);
	end_mount(server);
}

/* Feed the watchdog without its knowing more than that this thread runs. */
static void feed_blindly(const struct server *server, bool *told)
{
	if (!*told)
		log_line(LOG_WARNING,
		         "%s: the process that tries the mount for the watchdog is gone",
		         server->mount_path);
	*told = true;
	notify_say("WATCHDOG=1");
}

/* Until the loop ends: wait for signals, feed the watchdog. */
static void watch(struct server *server)
{
	int pause_ms = (int)(notify_watchdog_ms() / WATCHDOG_SHARE);
	bool probing = pause_ms > 0, asked = false, told = false;

	for (;;) {
		int ready = wait_for_any(server, asked ? server->pipe.in : -1,
		                         pause_ms > 0 && !asked ? pause_ms : -1);

		if (ready == server->signal_fd) {
			take_signal(server, asked);
		} else if (ready == -ETIMEDOUT && probing) {
			asked = probing = ask_prober(server);
		} else if (ready == -ETIMEDOUT) {
			feed_blindly(server, &told);
		} else if (asked && ready == server->pipe.in) {
			probing = feed_watchdog(server);
			asked = false;
		} else {
			say_stopping(server, "closing the store");
			return;
		}
	}
}

/* Whoever mounts is told why that did not work. Who is gone need not be. */
static void say_failed(const struct server *server, int priority, const char *reason)
{
	if (server->foreground)
		log_line(priority, "%s", reason);
	(void)probe_say(&server->pipe, 'E', reason);
}

/* From the first request, which told `reason` where it failed with `err`, to the end of the loop. */
static void take_over(struct server *server, int err, const char *reason)
{
	log_mounted();
	if (!server->foreground)
		go_to_background();
	if (err == 0)
		say_ready(server);
	else
		say_failed(server, LOG_NOTICE, reason);
	watch(server);
}

void *steward_run(void *arg)
{
	struct server *server = arg;
	char reason[512];
	int err;

	/* Without it the end of the mount point is not noticed, and nothing else. */
	server->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	server->look_ms = NEVER_MS;
	err = first_request(server, reason, sizeof(reason));
	if (err == 0 || err == -ENODEV) { /* unmounted, it ends as any other that is */
		take_over(server, err, reason);
	} else {
		server->failed = true;
		say_failed(server, LOG_ERR, reason);
		end_mount(server);
	}
	if (server->mounts_fd >= 0)
		close(server->mounts_fd); /* nothing was written */
	return NULL;
}
