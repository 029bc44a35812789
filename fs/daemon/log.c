/*
 * log.c - what the daemon has to say.
 */
#include "fs/daemon/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <fuse_log.h>

/* Lines of log_report in one second. */
#define REPORTS_PER_SECOND_MAX 10u

/* Whether the journal reads standard error; set before any thread starts. */
static bool journal_reads;

static struct {
	pthread_mutex_t lock;
	bool syslog; /* lock */
	bool mounted; /* lock */
	char last_fuse[256]; /* lock */
	time_t second; /* lock; the one that `reports` counts */
	unsigned reports; /* lock */
} log_state = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* One whole line in one write, so that lines of several threads do not mix. */
static void put_line(bool to_syslog, int priority, const char *line)
{
	if (to_syslog) {
		syslog(priority, "%s", line);
		return;
	}
	if (journal_reads ? fprintf(stderr, "<%d>quiverfs: %s\n", priority, line) < 0
	                  : fprintf(stderr, "quiverfs: %s\n", line) < 0)
		return; /* stderr is gone: there is nobody left to tell */
}

static bool uses_syslog(void)
{
	bool result;

	pthread_mutex_lock(&log_state.lock);
	result = log_state.syslog;
	pthread_mutex_unlock(&log_state.lock);
	return result;
}

void log_line(int priority, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	put_line(uses_syslog(), priority, line);
}

void log_report(const char *line)
{
	bool show, last, to_syslog;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	pthread_mutex_lock(&log_state.lock);
	if (now.tv_sec != log_state.second) {
		log_state.second = now.tv_sec;
		log_state.reports = 0;
	}
	log_state.reports++;
	show = log_state.reports <= REPORTS_PER_SECOND_MAX;
	last = log_state.reports == REPORTS_PER_SECOND_MAX;
	to_syslog = log_state.syslog;
	pthread_mutex_unlock(&log_state.lock);
	if (show)
		put_line(to_syslog, LOG_WARNING, line);
	if (last)
		put_line(to_syslog, LOG_WARNING,
		         "more of these within a second: see control/errors");
}

/* libfuse's hook. */
static void fuse_line(enum fuse_log_level level, const char *format, va_list args)
{
	char line[sizeof(log_state.last_fuse)];
	bool show, to_syslog;
	size_t length;

	vsnprintf(line, sizeof(line), format, args);
	length = strlen(line);
	while (length > 0 && line[length - 1] == '\n')
		line[--length] = '\0';
	pthread_mutex_lock(&log_state.lock);
	if (level <= FUSE_LOG_INFO)
		memcpy(log_state.last_fuse, line, length + 1);
	show = log_state.mounted;
	to_syslog = log_state.syslog;
	pthread_mutex_unlock(&log_state.lock);
	if (show)
		put_line(to_syslog, (int)level, line);
}

/* Whether standard error is the stream to the journal that the environment names by
 * device and inode; one that was redirected since is not. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char mine[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(mine, sizeof(mine), "%" PRIuMAX ":%" PRIuMAX, (uintmax_t)st.st_dev,
	         (uintmax_t)st.st_ino);
	return strcmp(stream, mine) == 0;
}

void log_init(void)
{
	journal_reads = stderr_is_journal();
	fuse_set_log_func(fuse_line);
}

void log_mounted(void)
{
	pthread_mutex_lock(&log_state.lock);
	log_state.mounted = true;
	pthread_mutex_unlock(&log_state.lock);
}

void log_to_syslog(void)
{
	openlog("quiverfs", LOG_PID, LOG_DAEMON);
	pthread_mutex_lock(&log_state.lock);
	log_state.syslog = true;
	pthread_mutex_unlock(&log_state.lock);
}

void log_last_fuse(char *to, size_t room)
{
	const char *from = log_state.last_fuse;

	pthread_mutex_lock(&log_state.lock);
	if (strncmp(from, "fuse: ", 6) == 0)
		from += 6;
	snprintf(to, room, "%s", from);
	pthread_mutex_unlock(&log_state.lock);
}
