/*
 * workers.c - threads of a command that share its work.
 */
#include "tools/cli/workers.h"

#include <pthread.h>

/* One reads while the other writes; no command has more. */
#define WORKERS_MAX 8u

void workers_run(void *(*work)(void *worker), void *first, size_t size, unsigned count)
{
	pthread_t threads[WORKERS_MAX];
	unsigned started = 0;

	while (started < count && started < WORKERS_MAX &&
	       pthread_create(&threads[started], NULL, work, (char *)first + started * size) == 0)
		started++;
	if (started == 0)
		(void)work(first);
	for (unsigned i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL); /* cannot fail: joined once */
}
