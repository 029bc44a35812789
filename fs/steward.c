/*
 * steward.c - the thread that watches over a mount.
 */
#include "steward.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "log.h"
#include "serve.h"
#include "transport.h"
#include "unmount.h"
#include "worker.h"

/* A kernel that accepts the mount and then asks for nothing. */
#define FIRST_REQUEST_TIMEOUT_MS 30000

/* Wait until `fd` can be read, a signal comes or the loop ends. The descriptor that
 * can be read, -ETIMEDOUT, or another negative errno. */
static int wait_for_any(const struct server *server, int fd, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = server->ended_fd, .events = POLLIN },
		{ .fd = server->signal_fd, .events = POLLIN },
		{ .fd = fd, .events = POLLIN }, /* -1 is left out by poll */
	};

	for (;;) {
		int ready = poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_ms);

		if (ready == 0)
			return -ETIMEDOUT;
		if (ready < 0 && errno != EINTR)
			return -errno;
		for (size_t i = 0; ready > 0 && i < sizeof(fds) / sizeof(fds[0]); i++) {
			if (fds[i].revents)
				return fds[i].fd;
		}
	}
}

bool steward_is_mounted(const struct server *server)
{
	uint32_t connection;

	return server->connection_err == 0 &&
	       unmount_connection(server->mount_path, &connection) == 0 &&
	       connection == server->connection;
}

/* Take the mount point away. 0 where nobody used it, so that the kernel lets go of
 * the filesystem; -EBUSY where somebody has files open. */
static int take_away(struct server *server)
{
	int err;

	if (!steward_is_mounted(server))
		return -EBUSY; /* umount -l was here */
	err = unmount_try(server->mount_path);
	if (err == 0)
		return 0;
	err = unmount_detach(server->mount_path);
	if (err < 0)
		log_line(LOG_ERR, "%s: cannot be unmounted: %s", server->mount_path,
		         strerror(-err));
	return -EBUSY;
}

/* Bring the mount to its end: the loop returns soon after. */
static void end_mount(struct server *server)
{
	if (take_away(server) == 0)
		return;
	log_line(LOG_WARNING, "%s: still in use; those who have files open get errors",
	         server->mount_path);
	/* Whoever is in a call gets its answer. */
	workers_drain(server->fs.workers);
	if (server->connection_err < 0 || unmount_abort(server->connection) < 0)
		serve_stop(&server->fs);
}

/* Why the mount does not work, or 0 where it does: the first request has been
 * answered, and came by the transport that was asked for. */
static int first_request(struct server *server, char *reason, size_t room)
{
	char answer[256];
	int ready, word;

	if (probe_say(&server->pipe, 'M', "") < 0) {
		snprintf(reason, room, "%s: whoever mounted it is gone", server->mount_path);
		return -EPIPE;
	}
	ready = wait_for_any(server, server->pipe.in, FIRST_REQUEST_TIMEOUT_MS);
	if (ready != server->pipe.in) {
		const char *why = ready == server->signal_fd  ? "interrupted by a signal"
		                  : ready == server->ended_fd ? "the kernel ended the session"
		                                              : "no request came within 30 s";

		snprintf(reason, room, "%s: %s", server->mount_path, why);
		return -EIO;
	}
	word = probe_hear(&server->pipe, answer, sizeof(answer));
	if (word != 'Y') {
		snprintf(reason, room, "%s: the first request failed: %s", server->mount_path,
		         word == 'N' ? answer : "whoever mounted it is gone");
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

void *steward_run(void *arg)
{
	struct server *server = arg;
	char reason[512];
	int ready;

	server->connection_err = unmount_connection(server->mount_path, &server->connection);
	if (first_request(server, reason, sizeof(reason)) < 0) {
		server->failed = true;
		if (server->foreground)
			log_line(LOG_ERR, "%s", reason);
		/* Whoever is gone need not be told. */
		(void)probe_say(&server->pipe, 'E', reason);
		end_mount(server);
		return NULL;
	}
	log_mounted();
	if (!server->foreground)
		go_to_background();
	log_line(LOG_INFO, "%s mounted on %s (%s%s: %s)", server->store_path, server->mount_path,
	         server->fs.read_only ? "read-only, " : "", transport_name(&server->fs),
	         transport_reason(&server->fs));
	(void)probe_say(&server->pipe, 'K', "");

	do {
		struct signalfd_siginfo info;

		ready = wait_for_any(server, -1, -1);
		if (ready == server->signal_fd &&
		    read(server->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
			log_line(LOG_INFO, "%s: %s, unmounting", server->mount_path,
			         strsignal((int)info.ssi_signo));
			end_mount(server);
		}
	} while (ready == server->signal_fd);
	return NULL;
}
