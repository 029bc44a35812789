/*
 * gather.c - group commit with nothing behind it, the limit of what any can do: writers that
 * put their bytes beside each other until all have come, of whom the last writes them, syncs and
 * wakes the others.
 *
 * Row: gather (PATH is made; `ops` writes of `bytes` bytes over `workers` threads, each of which
 * does as many as the others, or they would wait for ever).
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILL_BYTES ((size_t)1 << 20)

struct writer {
	struct group *group;
	sem_t written;
	char *bytes;
};

struct group {
	int fd;
	size_t bytes; /* of one writer */
	unsigned size;
	pthread_mutex_t lock;
	unsigned come; /* lock */
	/* lock; who came before the last, of this group and of the one that is being woken */
	struct writer **waiting[2];
	unsigned turn; /* lock */
	char *gathered; /* each writer's part is its own; all are the last's */
	uint64_t end; /* the last's; of the file */
};

static void *begin(void *arg, unsigned index)
{
	struct writer *writer = bench_alloc(sizeof(*writer));

	writer->group = arg;
	writer->bytes = bench_alloc(writer->group->bytes);
	bench_fill(writer->bytes, writer->group->bytes, index);
	if (sem_init(&writer->written, 0, 0) != 0)
		bench_die("sem_init: %s", strerror(errno));
	return writer;
}

static void end(void *arg, void *session)
{
	struct writer *writer = session;

	(void)arg;
	(void)sem_destroy(&writer->written);
	free(writer->bytes);
	free(writer);
}

/* All have come, and nobody else does before they are woken. */
static void write_group(struct group *group)
{
	size_t bytes = group->bytes * group->size;

	if (pwrite(group->fd, group->gathered, bytes, (off_t)group->end) != (ssize_t)bytes ||
	    fdatasync(group->fd) != 0)
		bench_die("write: %s", strerror(errno));
	group->end += bytes;
}

static void op_gather(void *arg, void *session, uint64_t i)
{
	struct group *group = arg;
	struct writer *writer = session;
	struct writer **waiting;
	unsigned place;

	memcpy(writer->bytes, &i, sizeof(i));
	pthread_mutex_lock(&group->lock);
	place = group->come++;
	waiting = group->waiting[group->turn];
	waiting[place] = writer;
	memcpy(group->gathered + place * group->bytes, writer->bytes, group->bytes);
	pthread_mutex_unlock(&group->lock);
	if (place + 1 < group->size) {
		while (sem_wait(&writer->written) != 0)
			if (errno != EINTR)
				bench_die("sem_wait: %s", strerror(errno));
		return;
	}
	write_group(group);
	/* Whoever is woken comes again and takes a place. */
	pthread_mutex_lock(&group->lock);
	group->come = 0;
	group->turn = 1 - group->turn;
	pthread_mutex_unlock(&group->lock);
	for (unsigned k = 0; k + 1 < group->size; k++)
		if (sem_post(&waiting[k]->written) != 0)
			bench_die("sem_post: %s", strerror(errno));
}

/* As the engine does: what the file needs of metadata is there before. */
static int filled_file(const char *path, uint64_t bytes)
{
	char *zeros = bench_alloc(FILL_BYTES);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		bench_die("%s: %s", path, strerror(errno));
	memset(zeros, 0, FILL_BYTES);
	for (uint64_t at = 0; at < bytes; at += FILL_BYTES)
		if (pwrite(fd, zeros, FILL_BYTES, (off_t)at) != (ssize_t)FILL_BYTES)
			bench_die("%s: %s", path, strerror(errno));
	if (fsync(fd) != 0)
		bench_die("%s: %s", path, strerror(errno));
	free(zeros);
	return fd;
}

int main(int argc, char **argv)
{
	struct bench_args args;
	struct bench_result result = { 0 };
	struct group group = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct bench_job job = {
		.stride = 1, .arg = &group, .begin = begin, .op = op_gather, .end = end
	};

	bench_args_parse(argc, argv, &args);
	if (strcmp(args.row, "gather") != 0 || args.workers == 0 || args.ops % args.workers != 0)
		bench_die("row gather, and as many operations for each worker");
	group.fd = filled_file(args.path, args.ops * args.bytes);
	group.bytes = args.bytes;
	group.size = args.workers;
	for (unsigned i = 0; i < 2; i++)
		group.waiting[i] = bench_alloc(args.workers * sizeof(struct writer *));
	group.gathered = bench_alloc((size_t)args.workers * args.bytes);
	job.ops = args.ops;
	job.workers = args.workers;
	bench_run(&job, &result);
	result.bytes = args.ops * args.bytes;
	if (close(group.fd) != 0)
		bench_die("%s: %s", args.path, strerror(errno));
	free(group.gathered);
	for (unsigned i = 0; i < 2; i++)
		free((void *)group.waiting[i]);
	bench_print(&result);
	return 0;
}
