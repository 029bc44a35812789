/*
 * limits.c - the limits of a process under which a mount would end without warning.
 */
#include "fs/daemon/limits.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* What an orderly end takes of processor time: the last checkpoint, and the index written. Of a
 * smaller limit a quarter. */
#define CPU_TO_END_S 10u
#define CPU_LEAST_S 4u

/* As the workers' (fs/base/worker.c): the frames of the engine reach a quarter of it. */
#define STACK_BYTES (1u << 20)

/* At the hard limit the kernel sends SIGKILL, at the soft one SIGXCPU, which unmounts. */
static int limit_processor_time(struct quiver_error *error)
{
	struct rlimit limit;
	rlim_t ahead;

	if (getrlimit(RLIMIT_CPU, &limit) < 0)
		return -errno;
	if (limit.rlim_max == RLIM_INFINITY)
		return 0;
	if (limit.rlim_max < CPU_LEAST_S) {
		snprintf(error->text, sizeof(error->text),
		         "the limit of processor time is %llu s, and then the kernel would kill "
		         "the mount; set it to at least %u s (ulimit -t, LimitCPU=)",
		         (unsigned long long)limit.rlim_max, CPU_LEAST_S);
		return -EPERM;
	}
	ahead = limit.rlim_max / 4 < CPU_TO_END_S ? limit.rlim_max / 4 : CPU_TO_END_S;
	if (limit.rlim_cur > limit.rlim_max - ahead)
		limit.rlim_cur = limit.rlim_max - ahead;
	return setrlimit(RLIMIT_CPU, &limit) < 0 ? -errno : 0;
}

/* The stack of this thread, which the kernel lets grow up to the soft limit. */
static int have_own_stack(struct quiver_error *error)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) < 0)
		return -errno;
	if (limit.rlim_cur >= STACK_BYTES)
		return 0;
	if (limit.rlim_max < STACK_BYTES) {
		snprintf(error->text, sizeof(error->text),
		         "the limit of the stack is %llu KiB; a mount needs %u KiB (ulimit -s, "
		         "LimitSTACK=)",
		         (unsigned long long)limit.rlim_max / 1024, STACK_BYTES / 1024);
		return -EPERM;
	}
	limit.rlim_cur = STACK_BYTES;
	return setrlimit(RLIMIT_STACK, &limit) < 0 ? -errno : 0;
}

/* Those of threads, also of libfuse's: they were to be as large as the soft limit was. */
static int have_stacks_of_threads(void)
{
	pthread_attr_t attr;
	size_t bytes;
	int err = pthread_getattr_default_np(&attr);

	if (err != 0)
		return -err;
	err = pthread_attr_getstacksize(&attr, &bytes);
	if (err == 0 && bytes < STACK_BYTES) {
		err = pthread_attr_setstacksize(&attr, STACK_BYTES);
		if (err == 0)
			err = pthread_setattr_default_np(&attr);
	}
	(void)pthread_attr_destroy(&attr); /* always 0 */
	return -err;
}

int limits_prepare(struct quiver_error *error)
{
	int err = limit_processor_time(error);

	if (err == 0)
		err = have_own_stack(error);
	if (err == 0)
		err = have_stacks_of_threads();
	if (err != 0 && error->text[0] == '\0')
		snprintf(error->text, sizeof(error->text), "the limits of the process: %s",
		         strerror(-err));
	return err;
}
