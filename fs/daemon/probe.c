/*
 * probe.c - whoever mounts learns from a first request whether the mount works.
 */
#include "fs/daemon/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A message is one write, which a pipe keeps in one piece. */
struct message {
	char word;
	char text[1023];
};

int probe_pipes(struct probe_pipe *server, struct probe_pipe *prober)
{
	int to_prober[2], to_server[2];

	if (pipe2(to_prober, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(to_server, O_CLOEXEC) < 0) {
		int err = -errno;

		close(to_prober[0]);
		close(to_prober[1]);
		return err;
	}
	*server = (struct probe_pipe){ .in = to_server[0], .out = to_prober[1] };
	*prober = (struct probe_pipe){ .in = to_prober[0], .out = to_server[1] };
	return 0;
}

void probe_close(struct probe_pipe *pipe)
{
	close(pipe->in);
	close(pipe->out);
	pipe->in = pipe->out = -1;
}

int probe_say(const struct probe_pipe *pipe, char word, const char *text)
{
	struct message message = { .word = word };
	ssize_t wrote;

	snprintf(message.text, sizeof(message.text), "%s", text);
	do {
		wrote = write(pipe->out, &message, sizeof(message));
	} while (wrote < 0 && errno == EINTR);
	return wrote == (ssize_t)sizeof(message) ? 0 : -EPIPE;
}

int probe_hear(const struct probe_pipe *pipe, char *text, size_t room)
{
	struct message message;
	size_t have = 0;

	while (have < sizeof(message)) {
		ssize_t got = read(pipe->in, (char *)&message + have, sizeof(message) - have);

		if (got == 0)
			return -EPIPE;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0)
			have += (size_t)got;
	}
	message.text[sizeof(message.text) - 1] = '\0';
	snprintf(text, room, "%s", message.text);
	return (unsigned char)message.word;
}

/* Read a file that is always there. 0 or a negative errno. */
static int ask_first_request(const char *mount_point)
{
	char path[4096], byte;
	ssize_t got;
	int fd, length;

	length = snprintf(path, sizeof(path), "%s/control/version", mount_point);
	if (length < 0 || (size_t)length >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = read(fd, &byte, 1);
	if (got != 1) {
		int err = got < 0 ? -errno : -EIO;

		close(fd);
		return err;
	}
	close(fd);
	return 0;
}

int probe_run(const struct probe_pipe *pipe, const char *mount_point, char *reason, size_t room)
{
	for (;;) {
		int word = probe_hear(pipe, reason, room);
		int err;

		switch (word) {
		case 'M':
			err = ask_first_request(reason[0] != '\0' ? reason : mount_point);
			/* A server that is gone shows in the next word. */
			(void)probe_say(pipe, err ? 'N' : 'Y', err ? strerror(-err) : "");
			break;
		case 'K':
			return 0;
		case 'E':
			return -EIO;
		default:
			snprintf(reason, room, "the daemon ended before the mount was ready");
			return -EIO;
		}
	}
}
