/*
 * log.c - what the daemon has to say.
 */
#include "fs/daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <fuse_log.h>

#include "engine/codec/printable.h"

/* Lines of log_report in one second: faults; refusals, and how many of those one user gets; how many
 * users are counted, beyond whom only the bound for all holds. */
#define FAULTS_PER_SECOND_MAX 10u
#define REFUSALS_PER_SECOND_MAX 20u
#define REFUSALS_OF_USER_MAX 10u
#define USERS_COUNTED 16u

/* How long the end waits for a log that is slow, or stands still. */
#define LAST_LINES_TIMEOUT_MS 1000u
/* A few lines, and what syslog(3) takes; thread-local data are in it, too. */
#define STACK_BYTES (1u << 18)
/* How often the thread that waits for stderr looks whether it shall go on doing so. */
#define LOOK_AGAIN_MS 100

/* Whether the journal reads standard error; set before any thread starts. */
static bool journal_reads;

static struct {
	pthread_mutex_t lock;
	bool mounted; /* lock */
	char last_fuse[256]; /* lock */
	time_t second; /* lock; the one that is counted */
	unsigned faults, refusals; /* lock */
	struct {
		uid_t uid;
		unsigned refusals;
	} users[USERS_COUNTED]; /* lock; filled from the first on */
} log_state = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Who writes the lines. */
enum writer {
	WRITER_EVERYBODY,
	WRITER_THREAD,
	WRITER_NOBODY, /* at the end, of a log that stands still */
};

static struct log_queue queue; /* used from log_start on */
static pthread_t thread; /* log_start's and log_stop's */
static _Atomic enum writer writer;
static _Atomic bool to_syslog;

/* Wait until stderr takes something. False where the line shall go to syslog after all, or
 * nowhere. */
static bool stderr_is_ready(void)
{
	struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	while (!atomic_load(&to_syslog) && atomic_load(&writer) != WRITER_NOBODY) {
		if (poll(&fd, 1, LOOK_AGAIN_MS) > 0)
			return true; /* or it is gone, as write(2) will say */
	}
	return false;
}

/* One whole line in one write, so that lines of several threads do not mix. stdio is left alone:
 * exit(3) would wait for its lock. Whether it need not be tried elsewhere. */
static bool write_line(int priority, const char *line)
{
	char text[LOG_QUEUE_LINE_BYTES + 32];
	size_t length, done = 0;

	if (journal_reads)
		(void)snprintf(text, sizeof(text), "<%d>quiverfs: %s\n", priority, line);
	else
		(void)snprintf(text, sizeof(text), "quiverfs: %s\n", line);
	length = strlen(text);
	while (done < length) {
		ssize_t wrote;

		if (!stderr_is_ready())
			return done > 0;
		wrote = write(STDERR_FILENO, text + done, length - done);
		if (wrote >= 0)
			done += (size_t)wrote;
		else if (errno != EINTR && errno != EAGAIN)
			return true; /* stderr is gone: there is nobody left to tell */
	}
	return true;
}

static void put_line(int priority, const char *line)
{
	if (!atomic_load(&to_syslog) && write_line(priority, line))
		return;
	if (atomic_load(&to_syslog))
		syslog(priority, "%s", line);
}

static void say(int priority, bool refusal, const char *line)
{
	enum writer who = atomic_load(&writer);

	if (who == WRITER_THREAD)
		log_queue_add(&queue, priority, refusal, line);
	else if (who == WRITER_EVERYBODY)
		put_line(priority, line);
}

static void *write_lines(void *arg)
{
	struct log_queue_line line;

	(void)arg;
	(void)pthread_setname_np(pthread_self(), "quiverfs-log"); /* for people only */
	while (log_queue_peek(&queue, &line)) {
		put_line(line.priority, line.text);
		log_queue_pop(&queue);
	}
	return NULL;
}

/*
 * Have a pipe or a terminal refuse what it cannot take at once, also from libfuse, which writes some
 * of its messages there by itself, and from fusermount3. The flag belongs to the open file, which
 * others share, so it is opened again. Where that is not allowed, or has no meaning, it stays.
 */
static void open_stderr_again(void)
{
	struct stat st;
	int fd;

	if (fstat(STDERR_FILENO, &st) < 0 || !(S_ISFIFO(st.st_mode) || isatty(STDERR_FILENO)))
		return;
	fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)dup2(fd, STDERR_FILENO); /* it cannot fail, and if it did stderr would be as it was */
	(void)close(fd); /* nothing was written */
}

static int start_thread(void)
{
	pthread_attr_t attr;
	int err = pthread_attr_init(&attr);

	if (err != 0)
		return -err;
	err = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (err == 0)
		err = pthread_create(&thread, &attr, write_lines, NULL);
	(void)pthread_attr_destroy(&attr); /* always 0 */
	return -err;
}

int log_start(struct log_queue **lines)
{
	int err = log_queue_init(&queue);

	if (err == 0)
		err = start_thread();
	if (err != 0)
		return err;
	open_stderr_again();
	atomic_store(&writer, WRITER_THREAD);
	*lines = &queue;
	return 0;
}

void log_stop(void)
{
	if (atomic_load(&writer) != WRITER_THREAD)
		return;
	log_queue_end(&queue);
	if (log_queue_wait(&queue, LAST_LINES_TIMEOUT_MS)) {
		(void)pthread_join(thread, NULL); /* it ends by itself */
		atomic_store(&writer, WRITER_EVERYBODY);
	} else {
		atomic_store(&writer, WRITER_NOBODY);
		(void)pthread_detach(thread); /* it waits still; this cannot fail */
	}
}

void log_line(int priority, const char *format, ...)
{
	char line[LOG_QUEUE_LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	printable_clean(line);
	say(priority, false, line);
}

/* How many refusals this user has had in this second, with the one that comes. The lock is held. */
static unsigned count_of_user(uid_t uid)
{
	for (unsigned i = 0; i < USERS_COUNTED; i++) {
		if (log_state.users[i].refusals == 0)
			log_state.users[i].uid = uid;
		if (log_state.users[i].uid == uid)
			return ++log_state.users[i].refusals;
	}
	return 1;
}

/* Whether there is room for one more in this second: 1, 0, or -1 where there was the last time. */
static int room_for(bool fault, uid_t uid)
{
	unsigned count, max, count_user = 0;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	pthread_mutex_lock(&log_state.lock);
	if (now.tv_sec != log_state.second) {
		log_state.second = now.tv_sec;
		log_state.faults = log_state.refusals = 0;
		memset(log_state.users, 0, sizeof(log_state.users));
	}
	max = fault ? FAULTS_PER_SECOND_MAX : REFUSALS_PER_SECOND_MAX;
	if (!fault)
		count_user = count_of_user(uid);
	/* What a user has too many of takes nothing of what there is for all. */
	if (count_user <= REFUSALS_OF_USER_MAX)
		count = fault ? ++log_state.faults : ++log_state.refusals;
	else
		count = max + (count_user > REFUSALS_OF_USER_MAX + 1 ? 2 : 1);
	pthread_mutex_unlock(&log_state.lock);
	return count <= max ? 1 : count == max + 1 ? -1 : 0;
}

void log_report(const char *line, bool fault, uid_t uid)
{
	int room = room_for(fault, uid);

	if (room > 0)
		say(fault ? LOG_ERR : LOG_WARNING, !fault, line);
	else if (room < 0)
		say(LOG_WARNING, !fault, "more of these within a second: see control/errors");
}

/* libfuse's hook. */
static void fuse_line(enum fuse_log_level level, const char *format, va_list args)
{
	char line[sizeof(log_state.last_fuse)];
	bool show;
	size_t length;

	vsnprintf(line, sizeof(line), format, args);
	length = strlen(line);
	while (length > 0 && line[length - 1] == '\n')
		line[--length] = '\0';
	printable_clean(line);
	length = strlen(line);
	pthread_mutex_lock(&log_state.lock);
	if (level <= FUSE_LOG_INFO)
		memcpy(log_state.last_fuse, line, length + 1);
	show = log_state.mounted;
	pthread_mutex_unlock(&log_state.lock);
	if (show)
		say((int)level, false, line);
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
	if (atomic_load(&writer) == WRITER_THREAD)
		(void)log_queue_wait(&queue, LAST_LINES_TIMEOUT_MS); /* then syslog has the rest */
	openlog("quiverfs", LOG_PID, LOG_DAEMON);
	atomic_store(&to_syslog, true);
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
