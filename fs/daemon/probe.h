/*
 * probe.h - whoever mounts learns from a first request whether the mount works.
 *
 * Two processes: the server mounts, the prober makes the first request. With a
 * daemon the prober is the process that was started, and its exit status the answer;
 * in the foreground it is a short-lived child. It has to be another process: a
 * thread of the server that waits for the server could not be killed with it.
 *
 *   server -> prober   'M' mounted (where, if   prober -> server   'Y' it works
 *                      not where it was), try it                   'N' and why not
 *                      'K' all is well
 *                      'E' and why not
 *
 * The server that ends without a word counts as a failure.
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>

/* The two ends that one side has. */
struct probe_pipe {
	int in;
	int out;
};

/* Make the pipes, close-on-exec. 0 or a negative errno; nothing is left then. */
int probe_pipes(struct probe_pipe *server, struct probe_pipe *prober);
void probe_close(struct probe_pipe *pipe);

/* Send one word and a text to the other side. 0, or -EPIPE where it is gone. SIGPIPE
 * must be ignored. */
int probe_say(const struct probe_pipe *pipe, char word, const char *text);

/* The prober: do the above for the mount at `mount_point`. 0 where all is well, else
 * -EIO, and `reason` is what the server said. */
int probe_run(const struct probe_pipe *pipe, const char *mount_point, char *reason, size_t room);

/* Read one word of the other side with its text, which may be "". The word, or a
 * negative errno: -EPIPE it is gone. Waits. */
int probe_hear(const struct probe_pipe *pipe, char *text, size_t room);

#endif
