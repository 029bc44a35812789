/*
 * stream.c - a whole file from beginning to end: the rows of matrix.npy, and the bare
 * limits of memory and disk beside which the engine is measured.
 *
 * Rows: read, mmap (of the file PATH; read, with ops, so many times `bytes` bytes at most); pwrite (PATH is made; ops writes of `bytes` bytes),
 * pwrite-sync (the same, each with fdatasync), memcpy (of vectors at random in memory).
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)1 << 20)

static uint64_t sink; /* so that no read is optimized away */

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		bench_die("%s: %s", path, strerror(errno));
	return fd;
}

static void row_read(const struct bench_args *args, struct bench_result *result)
{
	const uint64_t most = args->ops > 0 ? args->ops * args->bytes : UINT64_MAX;
	char *buffer = bench_alloc(CHUNK_BYTES);
	int fd = open_file(args->path, O_RDONLY);
	uint64_t before = bench_now_ns();
	ssize_t got = 0;

	memset(buffer, 0, CHUNK_BYTES);
	while (result->bytes < most && (got = read(fd, buffer, CHUNK_BYTES)) > 0)
		result->bytes += (uint64_t)got;
	if (got < 0 || close(fd) != 0)
		bench_die("%s: %s", args->path, strerror(errno));
	result->ns = bench_now_ns() - before;
	free(buffer);
}

static void row_mmap(const struct bench_args *args, struct bench_result *result)
{
	uint64_t before = bench_now_ns();
	int fd = open_file(args->path, O_RDONLY);
	struct stat st;
	const uint64_t *words;

	if (fstat(fd, &st) != 0)
		bench_die("%s: %s", args->path, strerror(errno));
	words = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (words == MAP_FAILED)
		bench_die("%s: mmap: %s", args->path, strerror(errno));
	for (size_t i = 0; i < (size_t)st.st_size / sizeof(*words); i++)
		sink += words[i];
	result->bytes = (uint64_t)st.st_size;
	result->ns = bench_now_ns() - before;
	if (close(fd) != 0)
		bench_die("%s: %s", args->path, strerror(errno));
}

/* ---- limits -------------------------------------------------------------- */

struct target {
	int fd;
	bool sync;
	size_t bytes;
	char *data;
	const char *memory;
	const uint64_t *order;
	uint64_t count;
};

static void op_pwrite(void *arg, void *session, uint64_t i)
{
	const struct target *target = arg;

	(void)session;
	if (pwrite(target->fd, target->data, target->bytes, (off_t)(i * target->bytes)) !=
	            (ssize_t)target->bytes ||
	    (target->sync && fdatasync(target->fd) != 0))
		bench_die("write: %s", strerror(errno));
}

static void row_pwrite(const struct bench_args *args, struct bench_result *result)
{
	struct target target = { .bytes = args->bytes, .data = bench_alloc(args->bytes) };
	struct bench_job job = {
		.ops = args->ops, .workers = 1, .stride = 1, .arg = &target, .op = op_pwrite
	};

	bench_fill(target.data, args->bytes, args->seed);
	target.fd = open_file(args->path, O_RDWR | O_CREAT | O_TRUNC);
	target.sync = strcmp(args->row, "pwrite-sync") == 0;
	/* As the engine does: what the file needs of metadata is there before. */
	if (target.sync) {
		for (uint64_t i = 0; i < args->ops; i++)
			op_pwrite(&(struct target){ .fd = target.fd,
			                            .bytes = target.bytes,
			                            .data = target.data },
			          NULL, i);
		if (fsync(target.fd) != 0)
			bench_die("%s: %s", args->path, strerror(errno));
	}
	bench_run(&job, result);
	result->bytes = args->ops * args->bytes;
	if (close(target.fd) != 0)
		bench_die("%s: %s", args->path, strerror(errno));
	free(target.data);
}

static void *copy_buffer(void *arg, unsigned worker)
{
	const struct target *target = arg;

	(void)worker;
	return bench_alloc(target->bytes);
}

static void op_copy(void *arg, void *session, uint64_t i)
{
	const struct target *target = arg;

	memcpy(session, target->memory + target->order[i % target->count] * target->bytes,
	       target->bytes);
	/* The compiler must believe that somebody looks. */
	__asm__ volatile("" : : "r"(session) : "memory");
}

static void drop_copy(void *arg, void *session)
{
	(void)arg;
	free(session);
}

static void row_memcpy(const struct bench_args *args, struct bench_result *result)
{
	char *memory = bench_alloc(args->count * args->bytes);
	uint64_t *order = bench_shuffled(args->count, args->seed);
	struct target target = {
		.bytes = args->bytes, .memory = memory, .order = order, .count = args->count
	};
	struct bench_job job = { .ops = args->ops,
		                 .workers = args->workers,
		                 .stride = 64,
		                 .arg = &target,
		                 .begin = copy_buffer,
		                 .op = op_copy,
		                 .end = drop_copy };

	bench_fill(memory, args->count * args->bytes, args->seed);
	bench_run(&job, result);
	result->bytes = args->ops * args->bytes;
	free(memory);
	free(order);
}

int main(int argc, char **argv)
{
	struct bench_args args;
	struct bench_result result = { 0 };

	bench_args_parse(argc, argv, &args);
	if (strcmp(args.row, "read") == 0)
		row_read(&args, &result);
	else if (strcmp(args.row, "mmap") == 0)
		row_mmap(&args, &result);
	else if (strcmp(args.row, "memcpy") == 0)
		row_memcpy(&args, &result);
	else if (strcmp(args.row, "pwrite") == 0 || strcmp(args.row, "pwrite-sync") == 0)
		row_pwrite(&args, &result);
	else
		bench_die("no row %s", args.row);
	bench_print(&result);
	return sink == 1 ? 2 : 0;
}
