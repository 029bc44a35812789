/*
 * unit.h - what the unit tests share: cmocka with what it needs, and a private folder.
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/common/remove.h"

#define UNIT_PATH_BYTES 256

/* Where starting a process takes long, as with sanitizers and under an emulator (tests/arm64), tests
 * that start one for each of many cases take fewer of them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(QUIVER_SMALL_RESERVE)
#define UNIT_SLOW_FORK 1
#endif

struct unit_dir {
	char path[UNIT_PATH_BYTES];
	int fd;
};

static inline void unit_dir_make(struct unit_dir *dir)
{
	const char *base = getenv("TMPDIR");

	snprintf(dir->path, sizeof(dir->path), "%s/quiver-unit-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(dir->path));
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir->fd >= 0);
}

static inline void unit_dir_remove(struct unit_dir *dir)
{
	assert_int_equal(close(dir->fd), 0);
	assert_int_equal(test_remove(dir->path), 0);
}

/* Setup and teardown of one test, with the folder as its state. */
static inline int unit_setup_dir(void **state)
{
	struct unit_dir *dir = malloc(sizeof(*dir));

	assert_non_null(dir);
	unit_dir_make(dir);
	*state = dir;
	return 0;
}

static inline int unit_teardown_dir(void **state)
{
	unit_dir_remove(*state);
	free(*state);
	return 0;
}

static inline uint64_t unit_size(const struct unit_dir *dir, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(dir->fd, name, &st, 0), 0);
	return (uint64_t)st.st_size;
}

static inline void unit_read(const struct unit_dir *dir, const char *name, void *to, size_t length,
                             off_t offset)
{
	int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, to, length, offset), length);
	assert_int_equal(close(fd), 0);
}

static inline void unit_write(const struct unit_dir *dir, const char *name, const void *from,
                              size_t length, off_t offset)
{
	int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, from, length, offset), length);
	assert_int_equal(close(fd), 0);
}

static inline void unit_truncate(const struct unit_dir *dir, const char *name, off_t length)
{
	int fd = openat(dir->fd, name, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, length), 0);
	assert_int_equal(close(fd), 0);
}

/* Flip one bit of a file; twice is as before. */
static inline void unit_flip(const struct unit_dir *dir, const char *name, uint64_t bit)
{
	uint8_t byte;

	unit_read(dir, name, &byte, 1, (off_t)(bit / 8));
	byte = (uint8_t)(byte ^ 1u << bit % 8);
	unit_write(dir, name, &byte, 1, (off_t)(bit / 8));
}

/* How a child process ends that runs `body`: its exit status, or minus the signal.
 * There the handlers of cmocka, which it sets anew for each test, are out of the way; an
 * assertion that fails says so and ends the process: the tests that come next are the parent's. */
static inline int unit_in_child(int (*body)(void *arg), void *arg)
{
	static const int caught[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGSYS };
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
			if (signal(caught[i], SIG_DFL) == SIG_ERR)
				_exit(99);
		}
		if (setenv("CMOCKA_TEST_ABORT", "1", 1) != 0)
			_exit(98);
		_exit(body(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#endif
