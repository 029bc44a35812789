/*
 * run.c - workers that start together, and how long their operations took.
 */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS_MAX 64u

/* Shared by all workers, whether threads or processes. */
struct race {
	pthread_barrier_t start;
	uint64_t started_ns[WORKERS_MAX];
	uint64_t ended_ns[WORKERS_MAX];
	uint64_t samples[]; /* one for each stride */
};

struct runner {
	const struct bench_job *job;
	struct race *race;
	unsigned worker;
};

/* Runs begin at multiples of the stride, so that samples belong to one worker. */
static uint64_t first_of(const struct bench_job *job, unsigned worker)
{
	uint64_t strides = (job->ops + job->stride - 1) / job->stride;
	uint64_t first = strides * worker / job->workers * job->stride;

	return first < job->ops ? first : job->ops;
}

static void *run_worker(void *arg)
{
	struct runner *runner = arg;
	const struct bench_job *job = runner->job;
	struct race *race = runner->race;
	uint64_t i = first_of(job, runner->worker);
	uint64_t end = first_of(job, runner->worker + 1);
	void *session = job->begin ? job->begin(job->arg, runner->worker) : NULL;
	uint64_t before;
	int err = pthread_barrier_wait(&race->start);

	if (err != 0 && err != PTHREAD_BARRIER_SERIAL_THREAD)
		bench_die("barrier: %s", strerror(err));
	before = bench_now_ns();
	race->started_ns[runner->worker] = before;
	while (i < end) {
		uint64_t stop = i + job->stride < end ? i + job->stride : end;
		uint64_t *sample = &race->samples[i / job->stride];
		uint64_t steps = stop - i;
		uint64_t now;

		for (; i < stop; i++)
			job->op(job->arg, session, i);
		now = bench_now_ns();
		*sample = (now - before) / steps;
		before = now;
	}
	race->ended_ns[runner->worker] = before;
	if (job->end)
		job->end(job->arg, session);
	return NULL;
}

static void run_threads(struct runner *runners, unsigned count)
{
	pthread_t threads[WORKERS_MAX];

	for (unsigned i = 0; i < count; i++) {
		int err = pthread_create(&threads[i], NULL, run_worker, &runners[i]);

		if (err != 0)
			bench_die("thread: %s", strerror(err));
	}
	for (unsigned i = 0; i < count; i++) {
		int err = pthread_join(threads[i], NULL);

		if (err != 0)
			bench_die("thread: %s", strerror(err));
	}
}

/* Each client stays on a core of its own where there are enough. Where the scheduler moves a client
 * at every answer of a daemon depends on what else runs, and on a virtual machine each move costs
 * more than all else together. */
static void bind_client(unsigned client, unsigned clients)
{
	cpu_set_t allowed, own;
	unsigned cpu = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		bench_die("sched_getaffinity: %s", strerror(errno));
	if (clients > (unsigned)CPU_COUNT(&allowed))
		return;
	for (unsigned left = client; !CPU_ISSET(cpu, &allowed) || left-- > 0;)
		cpu++;
	CPU_ZERO(&own);
	CPU_SET(cpu, &own);
	if (sched_setaffinity(0, sizeof(own), &own) != 0)
		bench_die("sched_setaffinity: %s", strerror(errno));
}

static void run_processes(struct runner *runners, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		pid_t child = fork();

		if (child < 0)
			bench_die("fork: %s", strerror(errno));
		if (child == 0) {
			/* One that waits for a sibling which died ends with the parent. */
			if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
				bench_die("prctl: %s", strerror(errno));
			bind_client(i, count);
			(void)run_worker(&runners[i]);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < count; i++) {
		int status;

		if (wait(&status) < 0)
			bench_die("wait: %s", strerror(errno));
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			bench_die("a client failed");
	}
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void bench_percentiles(uint64_t *samples, size_t count, struct bench_result *result)
{
	if (count == 0)
		return;
	qsort(samples, count, sizeof(*samples), by_value);
	result->p50_ns = samples[count / 2];
	result->p99_ns = samples[count - 1 - count / 100];
	result->p999_ns = samples[count - 1 - count / 1000];
	result->max_ns = samples[count - 1];
}

static struct race *make_race(size_t bytes, unsigned workers)
{
	struct race *race = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                         MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	pthread_barrierattr_t attr;

	if (race == MAP_FAILED)
		bench_die("mmap: %s", strerror(errno));
	if (pthread_barrierattr_init(&attr) != 0 ||
	    pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) != 0 ||
	    pthread_barrier_init(&race->start, &attr, workers) != 0)
		bench_die("no barrier");
	return race;
}

void bench_run(const struct bench_job *job, struct bench_result *result)
{
	const uint64_t samples = (job->ops + job->stride - 1) / job->stride;
	const size_t bytes = sizeof(struct race) + samples * sizeof(uint64_t);
	struct runner runners[WORKERS_MAX];
	struct race *race;
	uint64_t first = UINT64_MAX, last = 0;

	if (job->workers > WORKERS_MAX)
		bench_die("at most %u workers", WORKERS_MAX);
	race = make_race(bytes, job->workers);
	for (unsigned i = 0; i < job->workers; i++)
		runners[i] = (struct runner){ .job = job, .race = race, .worker = i };
	if (job->processes)
		run_processes(runners, job->workers);
	else
		run_threads(runners, job->workers);

	for (unsigned i = 0; i < job->workers; i++) {
		first = race->started_ns[i] < first ? race->started_ns[i] : first;
		last = race->ended_ns[i] > last ? race->ended_ns[i] : last;
	}
	result->ops = job->ops;
	result->ns = last - first;
	bench_percentiles(race->samples, samples, result);
	if (munmap(race, bytes) != 0)
		bench_die("munmap: %s", strerror(errno));
}
