/* proc_signal.c - whether a thread that waits has been sent a signal that is to end its waiting. */
#include "fs/base/proc_signal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Some 1.4 KB on a machine of a thousand processors. */
#define STATUS_BYTES 8192u

static uint64_t bit(int number)
{
	return UINT64_C(1) << (number - 1);
}

/* The line that begins with `label`, a set of signals: false where there is none. */
static bool find_set(const char *status, const char *label, uint64_t *set)
{
	const char *at = strstr(status, label);
	char *end;

	if (at == NULL)
		return false;
	at += strlen(label);
	*set = strtoull(at, &end, 16);
	return end != at;
}

bool proc_status_is_called_off(const char *status)
{
	const uint64_t asks = bit(SIGINT) | bit(SIGQUIT) | bit(SIGTERM) | bit(SIGHUP);
	/* What these do where nobody handles them does not end a process. */
	const uint64_t harmless = bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU) |
	                          bit(SIGCONT) | bit(SIGCHLD) | bit(SIGURG) | bit(SIGWINCH);
	uint64_t own, shared, blocked, ignored, handled, pending;

	/* With the newline: the name of the process comes first and may hold anything but that. */
	if (!find_set(status, "\nSigPnd:", &own) || !find_set(status, "\nShdPnd:", &shared) ||
	    !find_set(status, "\nSigBlk:", &blocked) || !find_set(status, "\nSigIgn:", &ignored) ||
	    !find_set(status, "\nSigCgt:", &handled))
		return true;
	pending = (own | shared) & ~blocked & ~ignored;
	return (pending & asks) != 0 || (pending & ~handled & ~harmless) != 0;
}

/* False where it cannot be read. */
static bool read_status(pid_t tid, char status[static STATUS_BYTES])
{
	char path[64];
	size_t size = 0;
	ssize_t got;
	int fd;

	if (tid <= 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	do {
		got = read(fd, status + size, STATUS_BYTES - 1 - size);
		size += got > 0 ? (size_t)got : 0;
	} while (got > 0 && size < STATUS_BYTES - 1);
	(void)close(fd); /* it was read only */
	status[size] = '\0';
	return size > 0;
}

bool proc_is_called_off(pid_t tid)
{
	char status[STATUS_BYTES];

	return !read_status(tid, status) || proc_status_is_called_off(status);
}

bool proc_is_surely_called_off(pid_t tid)
{
	char status[STATUS_BYTES];

	return read_status(tid, status) && proc_status_is_called_off(status);
}
