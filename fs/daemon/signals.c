/*
 * signals.c - what each signal does to a mount.
 */
#include "fs/daemon/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

/* SIGTTIN and SIGTTOU stop a program in the background that uses its terminal, to which a mount in
 * the foreground writes its log. SIGXFSZ and SIGPIPE only say again what write(2) says. */
static const int ignored[] = {
	SIGPIPE, SIGXFSZ,   SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM,
	SIGPROF, SIGSTKFLT, SIGIO,   SIGTTIN, SIGTTOU,
};

/* SIGXCPU comes ahead of the SIGKILL of a limit, SIGPWR where the power fails. */
static const int ending[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGXCPU, SIGPWR };

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static int set_handler(int number, void (*handler)(int))
{
	return signal(number, handler) == SIG_ERR ? -errno : 0;
}

int signals_ignore(void)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < LENGTH(ignored); i++)
		err = set_handler(ignored[i], SIG_IGN);
	for (int number = SIGRTMIN; err == 0 && number <= SIGRTMAX; number++)
		err = set_handler(number, SIG_IGN);
	/* Some start their children with it ignored; then none of ours could be waited for. */
	return err != 0 ? err : set_handler(SIGCHLD, SIG_DFL);
}

/* Whether the signal is to be taken. 1, 0 or -errno. */
static int is_taken(int number, bool foreground)
{
	struct sigaction old;

	if (!foreground || (number != SIGHUP && number != SIGQUIT))
		return 1;
	if (sigaction(number, NULL, &old) < 0)
		return -errno;
	return old.sa_handler != SIG_IGN;
}

int signals_take(bool foreground, int *fd)
{
	sigset_t set;

	(void)sigemptyset(&set); /* these two fail for wrong numbers only */
	for (size_t i = 0; i < LENGTH(ending); i++) {
		int taken = is_taken(ending[i], foreground);

		if (taken < 0)
			return taken;
		if (taken)
			(void)sigaddset(&set, ending[i]);
	}
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	*fd = signalfd(-1, &set, SFD_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}
