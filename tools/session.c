/*
 * session.c - a store to work on: opened directly, or through its live mount.
 */
#include "session.h"
#include "live.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room for the value of a small control file. */
#define VALUE_BYTES_MAX 64

/* The engine tells of refusals and repairs while it opens: pass them on. */
static void report_line(void *arg, const char *line)
{
	say_note(arg, "%s", line);
}

static int open_store(bool read_only, struct session *session)
{
	struct quiver_options options = {
		.read_only = read_only,
		.durability = QUIVER_FSYNC,
		.lock_wait_ms = TARGET_WAIT_MS,
		.on_report = report_line,
		.on_report_arg = session->target.path,
	};
	struct quiver_error error = { "" };
	int result = quiver_open(session->target.path, &options, &session->store, &error);

	if (result < 0) {
		say_engine(session->target.path, error.text, result);
		return result;
	}
	session->geometry = *quiver_geometry(session->store);
	return 0;
}

/* Read one value of the geometry from control/NAME. Says errors. */
static int read_value(struct session *session, const char *name, char value[VALUE_BYTES_MAX])
{
	int result = live_read(session->mount_fd, name, value, VALUE_BYTES_MAX);

	if (result < 0)
		say_error(session->target.path, "control/%s cannot be read: %s", name,
		          strerror(-result));
	return result;
}

static int open_mount(struct session *session)
{
	const char *path = session->target.path;
	struct quiver_geometry *geometry = &session->geometry;
	char dim[VALUE_BYTES_MAX], dtype[VALUE_BYTES_MAX];
	unsigned long number;
	char *end;
	int result;

	session->mount_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (session->mount_fd < 0) {
		result = -errno;
		say_errno(path, result);
		return result;
	}
	result = read_value(session, "dim", dim);
	if (result == 0)
		result = read_value(session, "dtype", dtype);
	if (result < 0)
		return result;
	errno = 0;
	number = strtoul(dim, &end, 10);
	if (errno != 0 || end == dim || *end != '\0' || number < 1 || number > QUIVER_DIM_MAX ||
	    quiver_dtype_parse(dtype, &geometry->dtype) < 0) {
		say_error(path,
		          "its control files tell of dim '%s' and dtype '%s', which this "
		          "program does not know; is the daemon a newer one?",
		          dim, dtype);
		return -EPROTO;
	}
	geometry->dim = (uint32_t)number;
	geometry->vector_bytes = geometry->dim * quiver_dtype_bytes(geometry->dtype);
	return 0;
}

int session_open(const char *given, bool read_only, struct session *session)
{
	int result;

	memset(session, 0, sizeof(*session));
	session->mount_fd = -1;
	result = target_resolve(given, &session->target);
	if (result < 0)
		return result;
	if (!session->target.live)
		return open_store(read_only, session);
	result = open_mount(session);
	if (result < 0)
		(void)session_close(session);
	return result;
}

int session_close(struct session *session)
{
	int result = 0;

	if (session->store != NULL) {
		result = quiver_close(session->store);
		if (result < 0)
			say_error(session->target.path,
			          "closing the store failed: %s; the next command that opens it "
			          "recovers it from its log",
			          strerror(-result));
	}
	if (session->mount_fd >= 0 && close(session->mount_fd) < 0) {
		result = -errno;
		say_errno(session->target.path, result);
	}
	session->store = NULL;
	session->mount_fd = -1;
	return result;
}
