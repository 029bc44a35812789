/* guard.c - a small process that ends the connection when the daemon is killed. */
#include "fs/daemon/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/daemon/unmount.h"

/* How long the kernel has to end the connection by itself, as it mostly does. */
#define GRACE_MS 1000
#define GUARD_SIGNAL SIGUSR2

static volatile sig_atomic_t parent_died;

static void note_death(int number)
{
	(void)number;
	parent_died = 1;
}

/* Have the end of the thread that forked be told. False where it is over already. */
static bool watch_parent(pid_t parent)
{
	struct sigaction action = { .sa_handler = note_death };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, GUARD_SIGNAL);
	return sigaction(GUARD_SIGNAL, &action, NULL) == 0 &&
	       sigprocmask(SIG_BLOCK, &set, NULL) == 0 &&
	       prctl(PR_SET_PDEATHSIG, GUARD_SIGNAL, 0, 0, 0) == 0 && getppid() == parent;
}

/* Wait for a number on the pipe, or for its end. > 0: there is one; 0: it has ended; -1: so has the
 * parent. */
static int next(int pipe, uint32_t *connection)
{
	struct pollfd wait = { .fd = pipe, .events = POLLIN };
	sigset_t none;

	sigfillset(&none);
	sigdelset(&none, GUARD_SIGNAL);
	while (!parent_died) {
		if (ppoll(&wait, 1, NULL, &none) < 0)
			continue; /* a signal */
		return read(pipe, connection, sizeof(*connection)) == sizeof(*connection);
	}
	return -1;
}

/* All there is of the process. Its end closes what it has open. */
static void run(int pipe, pid_t parent)
{
	const struct timespec grace = { .tv_sec = GRACE_MS / 1000 };
	uint32_t connection;
	int abort_fd = -1, got;

	(void)prctl(PR_SET_NAME, "quiverfs-guard", 0, 0, 0); /* for ps */
	if (pipe > 0)
		(void)close_range(0, (unsigned)pipe - 1, 0);
	(void)close_range((unsigned)pipe + 1, ~0u, 0);
	if (!watch_parent(parent))
		return;
	while ((got = next(pipe, &connection)) > 0)
		abort_fd = unmount_open_abort(connection);
	if (got == 0 || abort_fd < 0)
		return;
	/* Not interrupted: all signals but one are blocked, and that has come. */
	(void)nanosleep(&grace, NULL);
	(void)!write(abort_fd, "1", 1); /* nobody is left to tell */
}

int guard_start(struct guard *guard)
{
	pid_t parent = getpid();
	int pipes[2], err;

	*guard = (struct guard){ .pipe = -1 };
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	guard->pid = fork();
	if (guard->pid == 0) {
		run(pipes[0], parent);
		_exit(0);
	}
	err = guard->pid < 0 ? -errno : 0;
	close(pipes[0]); /* nothing was written */
	if (err != 0) {
		close(pipes[1]); /* nor here */
		guard->pid = 0;
		return err;
	}
	guard->pipe = pipes[1];
	return 0;
}

void guard_connection(struct guard *guard, uint32_t connection)
{
	/* Without it the daemon is as good, unless it is killed. */
	if (guard->pipe >= 0)
		(void)!write(guard->pipe, &connection, sizeof(connection));
}

void guard_end(struct guard *guard)
{
	if (guard->pid == 0)
		return;
	close(guard->pipe); /* which ends it */
	while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	*guard = (struct guard){ .pipe = -1 };
}
