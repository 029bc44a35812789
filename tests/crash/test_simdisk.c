/*
 * test_simdisk.c - crashes of a store on a simulated disk, by seeds.
 *
 * usage: test_simdisk [--faults] [--seed N [--crash-at EVENT] [--talk]] [--from N] [--count N]
 *
 * Without arguments 500 seeds, or 20,000 where QUIVERFS_TEST_LONG is set. Prints TAP, a case
 * for each block of seeds, and the totals. A seed gives the same run again, and one that fails
 * prints how. With --faults syncs fail, too, and commits come in groups.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"
#include "tests/common/limit.h"

#define SEEDS_DEFAULT 500
#define SEEDS_LONG 20000
#define SEEDS_MANY 100 /* what is true of many is asked of so many */
#define BLOCKS 10
#define WORKERS_MAX 64
#define SEED_LIMIT_S 60u /* of the processor, for one seed, which takes a fraction of one */

/* What a worker tells, in memory that both see. */
struct worker {
	pid_t pid; /* 0 = idle */
	uint64_t seed;
	uint64_t event;
	uint64_t crashes;
	uint64_t syncs_failed;
	uint64_t compared;
	uint64_t took_index;
};

struct arguments {
	bool faults;
	uint64_t from;
	uint64_t count;
	uint64_t crash_at;
	bool talks;
};

static char folder[RUN_PATH_BYTES];

/* In memory if there is a place for that: nothing here depends on the disk below. */
static void make_folder(void)
{
	const char *base = getenv("TMPDIR");

	if (!base)
		base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(folder, sizeof(folder), "%s/quiver-crash-XXXXXX", base);
	if (!mkdtemp(folder)) {
		fprintf(stderr, "%s: %s\n", folder, strerror(errno));
		exit(2);
	}
}

static void run_seed(const struct arguments *arguments, struct worker *worker)
{
	struct run *run = calloc(1, sizeof(*run));
	char path[RUN_PATH_BYTES];

	if (!run)
		abort();
	(void)snprintf(path, sizeof(path), "%.200s/%" PRIu64, folder, worker->seed);
	if (mkdir(path, 0700) != 0)
		abort();
	test_limit(SEED_LIMIT_S);
	run->seed = worker->seed;
	run->crash_at = arguments->crash_at;
	run->talks = arguments->talks;
	run->faults = arguments->faults;
	run->folder = path;
	run->progress = &worker->event;
	run_all(run);
	worker->crashes = run->crashes_done;
	worker->syncs_failed = run->syncs_failed;
	worker->compared = run->compared;
	worker->took_index = run->took_index;
	run_remove(path);
	free(run);
}

static void start(const struct arguments *arguments, struct worker *worker, uint64_t seed)
{
	pid_t pid;

	worker->seed = seed;
	worker->event = worker->crashes = worker->syncs_failed = 0;
	worker->compared = worker->took_index = 0;
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		run_seed(arguments, worker);
		_exit(0);
	}
	worker->pid = pid;
}

struct totals {
	uint64_t crashes;
	uint64_t syncs_failed;
	uint64_t compared;
	uint64_t took_index;
	uint64_t seeds_failed;
};

/* Wait for a worker; whether its seed went well. */
static bool reap(struct worker *workers, size_t count, struct totals *totals)
{
	char path[RUN_PATH_BYTES];
	int status;
	pid_t pid = wait(&status);

	for (size_t i = 0; i < count; i++) {
		if (workers[i].pid != pid)
			continue;
		workers[i].pid = 0;
		totals->crashes += workers[i].crashes;
		totals->syncs_failed += workers[i].syncs_failed;
		totals->compared += workers[i].compared;
		totals->took_index += workers[i].took_index;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return true;
		if (WIFSIGNALED(status))
			fprintf(stderr, "# seed %" PRIu64 " event %" PRIu64 ": killed by %s\n",
			        workers[i].seed, workers[i].event, strsignal(WTERMSIG(status)));
		(void)snprintf(path, sizeof(path), "%.200s/%" PRIu64, folder, workers[i].seed);
		run_remove(path);
		return false;
	}
	abort();
}

static bool run_block(const struct arguments *arguments, uint64_t from, uint64_t to,
                      struct worker *workers, size_t count, struct totals *totals)
{
	uint64_t failed = 0;
	size_t running = 0;

	while (from < to || running > 0) {
		for (size_t i = 0; i < count && from < to; i++) {
			if (workers[i].pid != 0)
				continue;
			start(arguments, &workers[i], from++);
			running++;
		}
		failed += !reap(workers, count, totals);
		running--;
	}
	if (failed)
		fprintf(stderr, "# %" PRIu64 " seeds failed\n", failed);
	totals->seeds_failed += failed;
	return failed == 0;
}

static int run_blocks(const struct arguments *arguments)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t count = cpus < 1 ? 1 : cpus > WORKERS_MAX ? WORKERS_MAX : (size_t)cpus;
	uint64_t blocks = arguments->count < BLOCKS ? arguments->count : BLOCKS;
	struct worker *workers = mmap(NULL, sizeof(*workers) * count, PROT_READ | PROT_WRITE,
	                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct totals totals = { 0 };

	if (workers == MAP_FAILED)
		abort();
	printf("1..%" PRIu64 "\n", blocks);
	for (uint64_t b = 0; b < blocks; b++) {
		uint64_t from = arguments->from + arguments->count * b / blocks;
		uint64_t to = arguments->from + arguments->count * (b + 1) / blocks;
		uint64_t before = totals.crashes;
		bool ok = run_block(arguments, from, to, workers, count, &totals);

		printf("%s %" PRIu64 " - seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " crashes\n",
		       ok ? "ok" : "not ok", b + 1, from, to - 1, totals.crashes - before);
		(void)fflush(stdout);
	}
	printf("# in all %" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " crashes, %" PRIu64
	       " failed syncs; %" PRIu64 " recovered in both ways, %" PRIu64 " with an index\n",
	       arguments->count, totals.seeds_failed, totals.crashes, totals.syncs_failed,
	       totals.compared, totals.took_index);
	if (arguments->count >= SEEDS_MANY && totals.took_index * 4 < totals.compared) {
		printf("# indexes are kept too rarely to be tested\n");
		return 1;
	}
	return totals.seeds_failed == 0 ? 0 : 1;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = text ? strtoull(text, &end, 10) : 0;
	if (!text || errno || *end || end == text) {
		fprintf(stderr,
		        "usage: test_simdisk [--faults] [--seed N [--crash-at EVENT] [--talk]] "
		        "[--from N] [--count N]\n");
		exit(2);
	}
	return n;
}

static bool wants_long(void)
{
	const char *text = getenv("QUIVERFS_TEST_LONG");

	return text && *text && strcmp(text, "0") != 0;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {
		.from = 1,
		.count = wants_long() ? SEEDS_LONG : SEEDS_DEFAULT,
		.crash_at = RUN_NEVER,
	};
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--talk") == 0) {
			arguments.talks = true;
		} else if (strcmp(argv[i], "--faults") == 0) {
			arguments.faults = true;
		} else if (strcmp(argv[i], "--seed") == 0) {
			arguments.from = number(argv[++i]);
			arguments.count = 1;
		} else if (strcmp(argv[i], "--crash-at") == 0) {
			arguments.crash_at = number(argv[++i]);
		} else if (strcmp(argv[i], "--from") == 0) {
			arguments.from = number(argv[++i]);
		} else if (strcmp(argv[i], "--count") == 0) {
			arguments.count = number(argv[++i]);
		} else {
			(void)number(NULL);
		}
	}
	make_folder();
	r = run_blocks(&arguments);
	run_remove(folder);
	return r;
}
