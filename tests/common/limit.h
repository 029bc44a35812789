/*
 * limit.h - an end for a test that hangs.
 *
 * By the processor time that it uses: a test that only gets little of a busy machine is not ended,
 * one that goes round in circles is. By the clock on the wall, much later, for one that waits for
 * what never comes.
 */
#ifndef TEST_LIMIT_H
#define TEST_LIMIT_H

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#define TEST_LIMIT_WALL 60u /* so many times as long by the clock on the wall */

/* From now on the process has so many seconds, until it is given others; 0 takes the limit away. Then
 * a signal ends it. */
static inline void test_limit(unsigned seconds)
{
	const struct itimerval time = { .it_value.tv_sec = seconds };

	if (setitimer(ITIMER_PROF, &time, NULL) != 0)
		abort();
	(void)alarm(seconds * TEST_LIMIT_WALL); /* what was left of another does not matter */
}

/* Whether that signal is one of test_limit. */
static inline bool test_limit_is(int number)
{
	return number == SIGPROF || number == SIGALRM;
}

#endif
