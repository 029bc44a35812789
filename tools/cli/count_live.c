/*
 * count_live.c - having the daemon of a mounted collection count its vectors.
 */
#include "tools/cli/count_live.h"
#include "tools/cli/live.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

/* Room for a decimal uint64, a newline and a NUL. */
#define COUNT_BYTES 24

/* A question that is under way, of which there is one at most. Of the thread that asks them. */
static pthread_t asking;
static bool is_asking;

/* Nothing but the end of the process ends its wait before the cluster has answered. */
static void *ask(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char count[COUNT_BYTES];
	intptr_t result = live_read(fd, "count", count, sizeof(count));

	(void)close(fd); /* it was only read */
	return (void *)result;
}

static int begin(int mount_fd)
{
	int fd = fcntl(mount_fd, F_DUPFD_CLOEXEC, 0);
	int result = fd < 0 ? -errno : 0;

	if (result == 0)
		result = -pthread_create(&asking, NULL, ask, (void *)(intptr_t)fd);
	if (result < 0 && fd >= 0)
		(void)close(fd); /* nothing was done with it */
	return result;
}

int count_live(int mount_fd)
{
	struct timespec until;
	void *result = NULL;

	if (!is_asking) {
		int begun = begin(mount_fd);

		if (begun < 0)
			return begun;
	}
	is_asking = true;
	(void)clock_gettime(CLOCK_REALTIME, &until); /* there is this clock */
	until.tv_sec += COUNT_LIVE_SECONDS;
	if (pthread_timedjoin_np(asking, &result, &until) != 0)
		return -ETIMEDOUT;
	is_asking = false;
	return (int)(intptr_t)result;
}
