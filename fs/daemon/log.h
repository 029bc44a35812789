/*
 * log.h - what the daemon has to say: to stderr, or to syslog once it is in the
 * background. Any thread.
 *
 * From log_start to log_stop a thread of its own writes the lines, and nobody waits for it
 * (fs/base/log_queue.h): a pipe that nobody reads, a terminal that was stopped, or a journal that
 * stands still costs lines, which are counted, and nothing else. Before and after, each line is
 * written by who has it.
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <syslog.h>

#include "fs/base/log_queue.h"

/* Route libfuse's messages here. Until log_mounted they are not shown but the
 * last one is kept as a reason. Where standard error goes to the journal of systemd,
 * each line begins with its priority, as sd-daemon(3) has it. Call it before any
 * thread starts. */
void log_init(void);

/* From now on a thread writes. Call it once, in the process that serves, when signals are blocked
 * and privileges are given up, which the thread takes over. *lines tells how many lines were
 * dropped, and stays. A negative errno. */
int log_start(struct log_queue **lines);

/* The end of that: the lines so far are written, but not waited for longer than a second. Those
 * that come later are written only where these were. Allowed without log_start. */
void log_stop(void);

/* From now on libfuse's messages are shown like all others. */
void log_mounted(void);

/* From now on everything goes to syslog. First waits for what was said so far, at most a
 * second. */
void log_to_syslog(void);

/* One line, printf-like, without the newline; `priority` as in syslog(3). */
void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For errors_new: the refusals and faults that go to control/errors
 * too. A flood of them is cut short, of refusals and of faults by itself, and of refusals that of
 * each user; control/errors has the rest. */
void log_report(const char *line, bool fault, uid_t uid);

/* The last thing libfuse complained about, "" where it did not, without its
 * newline. */
void log_last_fuse(char *to, size_t room);

#endif
