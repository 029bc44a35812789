/*
 * bare_recover.c - what the disk takes for an open after a kill, the least that there is: bare calls that
 * read the log and sync it and the vectors that it names, write and sync the rows that were superseded,
 * then the superblock, and make a new log. They know what is to be done, look at nothing, and keep no
 * index.
 *
 * usage: bare_recover recover PATH --count N --ops N --seed N
 *
 * On a store that `engine dirty` has left, with the same numbers. All bytes are written as they are, so
 * it is as good as before for the engine.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define HEADER_BYTES 4096u /* of each column */
#define ID_BYTES 8u
#define META_BYTES 56u
#define SUPERBLOCK_BYTES 4096u /* one of its two copies */
#define LOG_BYTES ((size_t)1 << 20) /* of a new segment, and of one read */

static int open_in(const char *folder, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		bench_die("%s: %s", path, strerror(errno));
	return fd;
}

static void sync_fd(int fd)
{
	if (fdatasync(fd) != 0)
		bench_die("fdatasync: %s", strerror(errno));
}

static void close_fd(int fd)
{
	if (close(fd) != 0)
		bench_die("close: %s", strerror(errno));
}

/* The same bytes once more. */
static void write_again(int fd, size_t bytes, off_t at)
{
	char row[SUPERBLOCK_BYTES];

	if (pread(fd, row, bytes, at) != (ssize_t)bytes ||
	    pwrite(fd, row, bytes, at) != (ssize_t)bytes)
		bench_die("a row: %s", strerror(errno));
}

static void read_all(int fd, char *buffer)
{
	ssize_t got;

	for (off_t at = 0; (got = pread(fd, buffer, LOG_BYTES, at)) > 0; at += got) {
	}
	if (got < 0)
		bench_die("the log: %s", strerror(errno));
}

static void read_log(const char *folder, char *buffer)
{
	int wal = open_in(folder, "wal", O_RDONLY | O_DIRECTORY);
	DIR *names = fdopendir(wal);
	const struct dirent *name;

	if (!names)
		bench_die("%s/wal: %s", folder, strerror(errno));
	while ((name = readdir(names))) {
		int fd;

		if (name->d_name[0] == '.')
			continue;
		fd = openat(wal, name->d_name, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			bench_die("%s/wal/%s: %s", folder, name->d_name, strerror(errno));
		read_all(fd, buffer);
		sync_fd(fd);
		close_fd(fd);
	}
	if (closedir(names) != 0)
		bench_die("%s/wal: %s", folder, strerror(errno));
}

/* A new segment, whose bytes are there before it is used. */
static void make_log(const char *folder, const char *zeros)
{
	int wal = open_in(folder, "wal", O_RDONLY | O_DIRECTORY);
	int fd = openat(wal, "bare", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || pwrite(fd, zeros, LOG_BYTES, 0) != (ssize_t)LOG_BYTES || fsync(fd) != 0 ||
	    fsync(wal) != 0)
		bench_die("%s/wal/bare: %s", folder, strerror(errno));
	close_fd(fd);
	if (unlinkat(wal, "bare", 0) != 0)
		bench_die("%s/wal/bare: %s", folder, strerror(errno));
	close_fd(wal);
}

static void recover(const struct bench_args *args, const uint64_t *slots, char *buffer)
{
	int vectors = open_in(args->path, "vectors.npy", O_RDWR);
	int ids = open_in(args->path, "ids.npy", O_RDWR);
	int meta = open_in(args->path, "meta.npy", O_RDWR);
	int superblock = open_in(args->path, "superblock", O_RDWR);

	read_log(args->path, buffer);
	/* The new vectors with their rows, ahead of what they supersede. */
	sync_fd(vectors);
	sync_fd(ids);
	sync_fd(meta);
	for (uint64_t i = 0; i < args->ops; i++) {
		off_t slot = (off_t)slots[i % args->count];

		write_again(ids, ID_BYTES, (off_t)HEADER_BYTES + slot * (off_t)ID_BYTES);
		write_again(meta, META_BYTES, (off_t)HEADER_BYTES + slot * (off_t)META_BYTES);
	}
	sync_fd(ids);
	sync_fd(meta);
	write_again(superblock, SUPERBLOCK_BYTES, 0);
	sync_fd(superblock);
	memset(buffer, 0, LOG_BYTES);
	make_log(args->path, buffer);
	close_fd(vectors);
	close_fd(ids);
	close_fd(meta);
	close_fd(superblock);
}

int main(int argc, char **argv)
{
	struct bench_result result = { 0 };
	struct bench_args args;
	uint64_t *slots;
	uint64_t before;
	char *buffer;

	bench_args_parse(argc, argv, &args);
	if (strcmp(args.row, "recover") != 0)
		bench_die("no row %s", args.row);
	slots = bench_shuffled(args.count, args.seed);
	buffer = bench_alloc(LOG_BYTES);
	before = bench_now_ns();
	recover(&args, slots, buffer);
	result.ns = bench_now_ns() - before;
	result.ops = args.ops;
	bench_print(&result);
	free(buffer);
	free(slots);
	return 0;
}
