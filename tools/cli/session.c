/*
 * session.c - a store to work on: opened directly, or through its live mount.
 */
#include "tools/cli/session.h"
#include "tools/cli/live.h"
#include "tools/cli/mounts.h"
#include "tools/cli/say.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room for the value of a small control file. */
#define VALUE_BYTES_MAX 64
/* As much of a line as two of them are compared by. */
#define LINE_BYTES_MAX 512

/* Whether what the engine reports is told as it comes: not while it opens, since
 * the reason of a failure is among it and is told anyway. */
static atomic_bool telling;

/* What was told last, without its time: what fails again and again is told once. */
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_text[LINE_BYTES_MAX]; /* last_lock */

static bool is_told(const char *line)
{
	const char *space = strchr(line, ' ');
	const char *text = space != NULL ? space + 1 : line;
	bool told;

	pthread_mutex_lock(&last_lock);
	told = strncmp(last_text, text, sizeof(last_text) - 1) == 0;
	(void)snprintf(last_text, sizeof(last_text), "%s", text);
	pthread_mutex_unlock(&last_lock);
	return told;
}

/* Any thread. */
static void report_line(void *arg, const char *line)
{
	if (atomic_load(&telling) && !is_told(line))
		say_note(arg, "%s", line);
}

/* An upgrade, which is said while the store is being opened. */
static void note_line(void *arg, const char *line)
{
	say_note(arg, "%s", line);
}

/* Tell what was reported while the store was opened, and from now on the rest. */
static void start_telling(const struct session *session)
{
	char *text = NULL, *rest, *line;
	size_t length;

	atomic_store(&telling, true);
	if (quiver_errors(session->store, &text, &length) < 0)
		return;
	rest = text;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] != '\0' && !is_told(line))
			say_note(session->target.path, "%s", line);
	}
	free(text);
}

/* Who only reads looks again who has it if it is in use, for which *error tells why. */
static int open_store(const struct reach *reach, unsigned flags, struct session *session,
                      struct quiver_error *error)
{
	struct quiver_options options = {
		.size = sizeof(struct quiver_options),
		.read_only = (flags & SESSION_READ_ONLY) != 0,
		.durability = QUIVER_FSYNC,
		.lock_wait_ms = (flags & SESSION_READ_ONLY) != 0 ? 0 : TARGET_WAIT_MS,
		.on_report = report_line,
		.on_report_arg = session->target.path,
		.on_note = note_line,
		.access = reach_access(reach),
	};
	int result = quiver_open(session->target.path, &options, &session->store, error);

	if (result < 0)
		return result;
	session->geometry = *quiver_geometry(session->store);
	session->capabilities = quiver_capabilities(session->store);
	session->is_shared = session->target.elsewhere;
	if ((flags & SESSION_QUIET) == 0)
		start_telling(session);
	return 0;
}

/* Read one value of the geometry from control/NAME. Says errors. */
static int read_value(struct session *session, const char *name, char value[VALUE_BYTES_MAX])
{
	int result = live_read(session->mount_fd, name, value, VALUE_BYTES_MAX);

	if (result < 0)
		say_error(session->target.path, "control/%s cannot be read: %s", name,
		          live_strerror(result));
	return result;
}

/* Whether what is mounted is no folder of this machine. */
static bool is_mount_of_cluster(const char *path)
{
	struct mount_found mount;

	return mounts_find(path, &mount) == 0 && mount.found && !quiver_is_folder(mount.source);
}

static int open_mount(struct session *session)
{
	const char *path = session->target.path;
	struct quiver_geometry *geometry = &session->geometry;
	char dim[VALUE_BYTES_MAX], dtype[VALUE_BYTES_MAX];
	unsigned long number;
	char *end;
	int result;

	session->is_shared = is_mount_of_cluster(path);
	session->mount_fd = live_open_mount(path, O_RDONLY);
	if (session->mount_fd < 0) {
		say_error(path, "%s", live_strerror(session->mount_fd));
		return session->mount_fd;
	}
	result = read_value(session, "dim", dim);
	if (result == 0)
		result = read_value(session, "dtype", dtype);
	if (result < 0)
		return result;
	errno = 0;
	number = strtoul(dim, &end, 10);
	if (errno == 0 && end != dim && *end == '\0' && number <= QUIVER_DIM_MAX &&
	    quiver_dtype_parse(dtype, &geometry->dtype) == 0) {
		geometry->dim = (uint32_t)number;
		geometry->vector_bytes = quiver_vector_bytes(geometry->dim, geometry->dtype);
	}
	if (geometry->vector_bytes == 0) {
		say_error(path,
		          "its control files say dim '%s' and dtype '%s', which this program does "
		          "not know; is the daemon newer than this program?",
		          dim, dtype);
		return -EPROTO;
	}
	return 0;
}

static enum target_wish wish_of(unsigned flags)
{
	if ((flags & SESSION_READ_ONLY) == 0)
		return TARGET_CHANGE;
	return flags & SESSION_MOUNT ? TARGET_MOUNT : TARGET_READ;
}

static bool is_interrupted(void *arg)
{
	(void)arg;
	return interrupted();
}

void session_enter_thread(void)
{
	quiver_set_interrupt(is_interrupted, NULL);
}

int session_open(const char *given, const struct reach *reach, unsigned flags,
                 struct session *session)
{
	enum target_wish wish = wish_of(flags);
	struct quiver_error error = { "" };
	int result;

	memset(session, 0, sizeof(*session));
	session->mount_fd = -1;
	session_enter_thread();
	result = reach_check(reach, given);
	if (result < 0)
		return result;
	do {
		result = target_resolve(given, wish, &session->target);
		if (result < 0)
			return result;
		if (session->target.live)
			break;
		result = open_store(reach, flags, session, &error);
	} while (result == -EBUSY && wish != TARGET_CHANGE && target_wait(&session->target));
	if (session->target.live)
		result = open_mount(session);
	else if (result < 0)
		say_engine(session->target.path, error.text, result);
	if (result < 0)
		(void)session_close(session);
	return result;
}

int session_begin(const char *given, const struct reach *reach, unsigned flags,
                  struct session *session)
{
	int result = interrupt_catch();

	if (result < 0) {
		say_errno("signals", result);
		return result;
	}
	return session_open(given, reach, flags, session);
}

int session_describe(struct session *session, struct quiver_description *description)
{
	char label[QUIVER_LABEL_BYTES_MAX + 2]; /* with the newline */
	char metric[VALUE_BYTES_MAX];
	int result;

	if (!session->target.live) {
		quiver_describe(session->store, description);
		return 0;
	}
	memset(description, 0, sizeof(*description));
	result = live_read(session->mount_fd, "label", label, sizeof(label));
	if (result == -ENOENT)
		return result;
	if (result == 0)
		result = live_read(session->mount_fd, "metric", metric, sizeof(metric));
	if (result == 0)
		result = strlen(label) <= QUIVER_LABEL_BYTES_MAX
		                 ? quiver_metric_parse(metric, &description->metric)
		                 : -EPROTO;
	if (result < 0)
		say_error(session->target.path, "its label and metric cannot be read: %s",
		          live_strerror(result));
	else
		memcpy(description->label, label, strlen(label) + 1);
	return result;
}

int session_flush(void *of)
{
	struct session *session = of;

	return session->target.live ? live_write(session->mount_fd, "flush", "1")
	                            : quiver_flush(session->store);
}

int session_close(struct session *session)
{
	int result = 0;

	if (session->store != NULL) {
		result = quiver_close(session->store);
		if (result < 0)
			say_error(session->target.path, "closing the store failed: %s%s",
			          strerror(-result),
			          session->target.elsewhere ? ""
			                                    : "; the next command that opens it "
			                                      "recovers it from its log");
	}
	if (session->mount_fd >= 0 && close(session->mount_fd) < 0) {
		result = -errno;
		say_errno(session->target.path, result);
	}
	session->store = NULL;
	session->mount_fd = -1;
	return result;
}
