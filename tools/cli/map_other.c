/*
 * map_other.c - places of points by UMAP or t-SNE.
 */
#include "tools/cli/map_other.h"
#include "tools/cli/say.h"
#include "tools/formats/interrupt.h"
#include "tools/map/page.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "python3"
/* What the script exits with where there is no library (place.py), and a shell's where there is no program. */
#define EXIT_NO_LIBRARY 3

#define DIGITS 24

struct child {
	pid_t pid;
	int to, from; /* its standard input and output; -1: closed */
};

static const char *name_of(enum map_method method)
{
	return method == MAP_UMAP ? "umap" : "tsne";
}

static int say_missing(enum map_method method)
{
	say_error(name_of(method),
	          "the library for it is missing; %s installs it; --method pca needs no library",
	          method == MAP_UMAP
	                  ? "'pip install umap-learn'"
	                  : "'apt install python3-sklearn' or 'pip install scikit-learn'");
	return -ENOTSUP;
}

/* Start it with two pipes. */
static int spawn(char *const *words, int in[2], int out[2], struct child *child)
{
	posix_spawn_file_actions_t actions;
	int err = posix_spawn_file_actions_init(&actions);

	if (err != 0)
		return -err;
	err = posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	if (err == 0)
		err = posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	if (err == 0)
		err = posix_spawnp(&child->pid, words[0], &actions, NULL, words, environ);
	(void)posix_spawn_file_actions_destroy(&actions); /* always 0 */
	return -err;
}

static int start(enum map_method method, const struct map_points *points, struct child *child)
{
	char count[DIGITS], directions[DIGITS];
	union {
		const char *from[7];
		char *to[7]; /* posix_spawnp does not change them */
	} words = { { PROGRAM, "-c", page_place(), name_of(method), count, directions, NULL } };
	int in[2], out[2], result;

	(void)snprintf(count, sizeof(count), "%zu", points->count);
	(void)snprintf(directions, sizeof(directions), "%zu", points->directions);
	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) < 0) {
		result = -errno;
		(void)close(in[0]); /* nothing was written */
		(void)close(in[1]);
		return result;
	}
	result = spawn(words.to, in, out, child);
	(void)close(in[0]); /* the child has its own */
	(void)close(out[1]);
	child->to = in[1];
	child->from = out[0];
	return result;
}

static int write_all(int fd, const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length > 0) {
		ssize_t put = write(fd, at, length);

		if (put < 0 && errno != EINTR)
			return -errno;
		if (put < 0 && interrupted())
			return -EINTR;
		at += put > 0 ? put : 0;
		length -= put > 0 ? (size_t)put : 0;
	}
	return 0;
}

static int read_all(int fd, void *bytes, size_t length)
{
	char *at = bytes;

	while (length > 0) {
		ssize_t got = read(fd, at, length);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got < 0 && interrupted())
			return -EINTR;
		if (got == 0)
			return -EPIPE;
		at += got > 0 ? got : 0;
		length -= got > 0 ? (size_t)got : 0;
	}
	return 0;
}

/* Wait for its end: its status, or a negative errno. */
static int finish(struct child *child, bool stop)
{
	int status = 0;
	pid_t got;

	if (child->to >= 0)
		(void)close(child->to); /* a pipe */
	if (child->from >= 0)
		(void)close(child->from);
	child->to = child->from = -1;
	if (stop)
		(void)kill(child->pid, SIGTERM); /* it may be at its end */
	do {
		got = waitpid(child->pid, &status, 0);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static int exchange(struct child *child, const struct map_points *points, float *places)
{
	int result = write_all(child->to, points->reduced,
	                       points->count * points->directions * sizeof(float));

	(void)close(child->to); /* a pipe */
	child->to = -1;
	if (result == 0)
		result = read_all(child->from, places, points->count * 2 * sizeof(float));
	for (size_t i = 0; result == 0 && i < 2 * points->count; i++) {
		if (!isfinite(places[i]))
			result = -EDOM;
		else
			points->places[i] = (double)places[i];
	}
	return result;
}

int map_other(enum map_method method, struct map_points *points)
{
	struct child child = { .to = -1, .from = -1 };
	float *places = calloc(2 * points->count + 1, sizeof(*places));
	int result = places == NULL ? -ENOMEM : 0, status;

	(void)signal(SIGPIPE, SIG_IGN); /* fails for wrong numbers only */
	if (result == 0)
		result = start(method, points, &child);
	if (result == -ENOENT) {
		say_error(name_of(method), "%s is missing; 'apt install python3' installs it",
		          PROGRAM);
	} else if (result < 0) {
		say_errno(name_of(method), result);
	} else {
		result = exchange(&child, points, places);
		status = finish(&child, result < 0 && result != -EPIPE);
		if (status == EXIT_NO_LIBRARY)
			result = say_missing(method);
		else if (result == 0 && status != 0)
			result = -EPROTO;
		if (result < 0 && result != -ENOTSUP && result != -EINTR)
			say_error(name_of(method), "the library failed; its message is above");
	}
	if (child.to >= 0)
		(void)close(child.to); /* a pipe */
	if (child.from >= 0)
		(void)close(child.from);
	points->is_pca = result < 0;
	free(places);
	return result;
}
