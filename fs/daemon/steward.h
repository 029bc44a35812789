/*
 * steward.h - the thread that watches over a mount.
 *
 * The process that serves has, beside libfuse's and the engine's threads, two of
 * its own: the main thread runs the session loop, the steward waits for the first
 * request to succeed, puts the daemon into the background, and waits for signals.
 */
#ifndef STEWARD_H
#define STEWARD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/base/fs.h"
#include "fs/daemon/guard.h"
#include "fs/daemon/options.h"
#include "fs/daemon/probe.h"

/* Constant while the steward runs, but for what it sets. */
struct server {
	struct fs fs;
	struct mount_options options;
	char *store_path;
	char *mount_path;
	bool foreground;
	const char *note; /* what whoever mounts is told besides; NULL: nothing */
	struct probe_pipe pipe; /* to the prober */
	int signal_fd; /* signalfd: a signal that ends the mount */
	int ended_fd; /* eventfd: the session loop has ended */
	_Atomic int loop_err; /* how; set before ended_fd tells */
	/* Set by the steward, looked at after it has been joined. */
	bool failed;
	bool aborted; /* the kernel's connection: the session loop may be told so */
	/* The steward's own. */
	bool stopping; /* the manager has been told */
	bool seen_away; /* the last look found the mount point gone */
	bool told_away; /* it was told that the mount point is gone, and the filesystem is not */
	int mounts_fd; /* polled: something was mounted or unmounted somewhere; -1: not known */
	int64_t look_ms; /* when to see whether it was our mount, by the monotonic clock */
	char moved_to[PATH_MAX]; /* where the mount is now; "": where it was mounted */
	int connection_err; /* 0: connection is known */
	uint32_t connection; /* what the kernel calls this filesystem */
	struct guard guard; /* the main thread's */
};

/* The thread's function; `arg` is the struct server. The filesystem is mounted and
 * its loop runs or is about to. It ends when ended_fd says that the loop has. */
void *steward_run(void *arg);

/* Whether our filesystem is mounted, and where: at its mount point, or where that was moved to. Not
 * where it is nothing or another one that is mounted there. Asks the filesystem nothing. */
bool steward_is_mounted(const struct server *server, char point[static PATH_MAX]);

#endif
