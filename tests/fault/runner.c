#include "runner.h"
#include "tests/common/limit.h"
#include "tests/common/random.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>

/* The quarantine of freed memory keeps a few cases only: it is what costs most time. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=4:thread_local_quarantine_size_kb=64";
}
#endif

#define WORKERS 2 /* the disk is memory, so each keeps a core busy */
#define CASES_OF_A_CHILD 256u /* then it looks for leaks and ends */
#define CASE_SECONDS 20u /* of the processor; one that takes as many hangs */
#define FAILURES_SHOWN 20u
#define NS_PER_S UINT64_C(1000000000)

/* What the children share. */
struct board {
	_Atomic uint64_t next; /* place in the order */
	uint64_t cases; /* to run; those from here on in the order are left out */
	_Atomic uint64_t used_ns; /* of the processors, by cases that have ended */
	uint64_t limit_ns; /* no case begins when so much is used */
	_Atomic uint64_t failures;
	_Atomic uint64_t running[WORKERS]; /* case + 1; 0 = none */
};

uint64_t runner_seed(void)
{
	return test_seed();
}

bool runner_long(void)
{
	const char *text = getenv("QUIVERFS_TEST_LONG");

	return text && strcmp(text, "0") != 0 && *text;
}

bool runner_only(uint64_t *number)
{
	const char *text = getenv("QUIVERFS_TEST_CASE");

	*number = text ? strtoull(text, NULL, 10) : 0;
	return text != NULL;
}

/* Numbers of all cases, shuffled. Not on the board: leaks are not looked for there. */
static uint64_t *order;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) != 0)
		abort();
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static bool has_time(struct board *board)
{
	return atomic_load(&board->used_ns) <= board->limit_ns;
}

static void tell(const struct runner *runner, struct board *board, uint64_t number, const char *why)
{
	char what[RUNNER_WHY_BYTES];

	if (atomic_fetch_add(&board->failures, 1) >= FAILURES_SHOWN)
		return;
	runner->describe(runner->arg, number, what, sizeof(what));
	printf("FAILED %s case %" PRIu64 " (QUIVERFS_TEST_CASE=%" PRIu64 "): %s: %s\n",
	       runner->name, number, number, what, why);
	fflush(stdout);
}

static void child(const struct runner *runner, struct board *board, unsigned worker)
{
	char why[RUNNER_WHY_BYTES];

	for (unsigned done = 0; done < CASES_OF_A_CHILD; done++) {
		uint64_t place;
		uint64_t number;
		uint64_t began;

		if (!has_time(board))
			break;
		began = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		place = atomic_fetch_add(&board->next, 1);
		if (place >= board->cases)
			break;
		number = order[place];
		atomic_store(&board->running[worker], number + 1);
		test_limit(CASE_SECONDS);
		why[0] = '\0';
		if (!runner->run(runner->arg, number, why))
			tell(runner, board, number, why);
		test_limit(0);
		atomic_store(&board->running[worker], 0);
		atomic_fetch_add(&board->used_ns, clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began);
	}
#if defined(__SANITIZE_ADDRESS__)
	if (__lsan_do_recoverable_leak_check())
		tell(runner, board, 0, "one of the last cases of a child leaked");
#endif
	fflush(stdout);
	_exit(0);
}

static pid_t spawn(const struct runner *runner, struct board *board, unsigned worker)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		child(runner, board, worker);
	if (pid < 0) {
		perror("fork");
		exit(99);
	}
	return pid;
}

/* A child has ended: what it was in the middle of has failed. */
static void reap(const struct runner *runner, struct board *board, unsigned worker, int status)
{
	uint64_t running = atomic_exchange(&board->running[worker], 0);
	char why[128];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && running == 0)
		return;
	snprintf(why, sizeof(why), WIFSIGNALED(status) ? "%s (signal %d)" : "%s with status %d",
	         WIFSIGNALED(status) && test_limit_is(WTERMSIG(status)) ? "hung" : "ended",
	         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	tell(runner, board, running ? running - 1 : 0, why);
}

static void run_all(const struct runner *runner, struct board *board)
{
	pid_t pids[WORKERS];
	unsigned alive = 0;

	for (unsigned i = 0; i < WORKERS; i++, alive++)
		pids[i] = spawn(runner, board, i);
	while (alive > 0) {
		int status;
		pid_t pid = wait(&status);
		unsigned i = 0;

		while (i < WORKERS && pids[i] != pid)
			i++;
		if (i == WORKERS)
			continue;
		reap(runner, board, i, status);
		if (atomic_load(&board->next) < board->cases && has_time(board)) {
			pids[i] = spawn(runner, board, i);
		} else {
			pids[i] = -1;
			alive--;
		}
	}
}

/* All numbers in an order that follows from the seed (Fisher and Yates), or the one asked for. */
static void choose(const struct runner *runner, struct board *board)
{
	uint64_t state = runner_seed();
	uint64_t only;

	order = calloc(runner->cases + 1, sizeof(*order));
	if (!order)
		abort();
	for (uint64_t i = 0; i < runner->cases; i++) {
		uint64_t at = test_random(&state) % (i + 1);

		order[i] = order[at];
		order[at] = i;
	}
	board->cases = runner->cases;
	board->limit_ns = UINT64_MAX;
	if (runner_only(&only)) {
		order[0] = only;
		board->cases = 1;
	} else if (!runner_long()) {
		if (board->cases > runner->short_cases)
			board->cases = runner->short_cases;
		board->limit_ns = runner->short_seconds * NS_PER_S;
	}
}

uint64_t runner_run(const struct runner *runner)
{
	struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
	                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t began = clock_ns(CLOCK_MONOTONIC);
	uint64_t failures;
	uint64_t done;

	if (board == MAP_FAILED)
		abort();
	choose(runner, board);
	run_all(runner, board);
	failures = atomic_load(&board->failures);
	done = atomic_load(&board->next);
	if (done > board->cases)
		done = board->cases;
	printf("# %s: %" PRIu64 " of %" PRIu64 " cases, %" PRIu64 " failed, %.1f s\n", runner->name,
	       done, runner->cases, failures,
	       (double)(clock_ns(CLOCK_MONOTONIC) - began) / NS_PER_S);
	fflush(stdout);
	free(order);
	if (munmap(board, sizeof(*board)) != 0)
		abort();
	return done == 0 ? 1 : failures;
}
