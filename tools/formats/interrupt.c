/*
 * interrupt.c - SIGINT, SIGTERM and SIGHUP as a request to stop soon.
 */
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

static atomic_bool flag; /* without a lock on all that Debian runs on */

static void remember(int signal_number)
{
	(void)signal_number;
	atomic_store(&flag, true);
}

int interrupt_catch(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	/* System calls are not restarted, so that a poll ends early; the handler is
	 * gone after the first signal. */
	struct sigaction action = { .sa_handler = remember, .sa_flags = (int)SA_RESETHAND };
	struct sigaction before;

	if (sigemptyset(&action.sa_mask) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		/* nohup(1) and a shell's background jobs ignore some on purpose */
		if (sigaction(signals[i], NULL, &before) < 0)
			return -errno;
		if (before.sa_handler == SIG_IGN)
			continue;
		if (sigaction(signals[i], &action, NULL) < 0)
			return -errno;
	}
	return 0;
}

bool interrupted(void)
{
	return atomic_load(&flag);
}

void interruptible_sleep(unsigned ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	if (!interrupted())
		(void)nanosleep(&time, NULL); /* EINTR is what it is for */
}
