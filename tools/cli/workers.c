/*
 * workers.c - threads of a command that share its work.
 */
#include "tools/cli/workers.h"

#include "tools/cli/session.h"

#include <pthread.h>

/* One reads while the other writes; no command has more. */
#define WORKERS_MAX 8u

struct start {
	void *(*work)(void *worker);
	void *worker;
};

static void *run(void *arg)
{
	const struct start *start = arg;

	session_enter_thread();
	return start->work(start->worker);
}

void workers_run(void *(*work)(void *worker), void *first, size_t size, unsigned count)
{
	struct start starts[WORKERS_MAX];
	pthread_t threads[WORKERS_MAX];
	unsigned started = 0;

	while (started < count && started < WORKERS_MAX) {
		starts[started].work = work;
		starts[started].worker = (char *)first + started * size;
		if (pthread_create(&threads[started], NULL, run, &starts[started]) != 0)
			break;
		started++;
	}
	if (started == 0)
		(void)work(first);
	for (unsigned i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL); /* cannot fail: joined once */
}
