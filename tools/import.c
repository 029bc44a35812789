/*
 * import.c - quiverfs import: .npy files into a store or a live mount.
 */
#include "command.h"
#include "ids.h"
#include "interrupt.h"
#include "live.h"
#include "progress.h"
#include "quiver.h"
#include "rows.h"
#include "say.h"
#include "session.h"

#include <argp.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* One commit into a stopped store. Large enough to make the cost of a commit
 * vanish, small enough to stop soon. */
#define STORE_BATCH_BYTES (4u << 20)
/* The same counted in vectors: it bounds the list of records. */
#define STORE_BATCH_ROWS_MAX 65536u
/* One write(2) to control/put. Every mount takes requests of this size. */
#define PUT_WRITE_BYTES_MAX (256u << 10)
/* The kernel splits a large write whose buffer does not begin on a page. */
#define PAGE_BYTES 4096u
#define ID_BYTES sizeof(uint64_t)

enum { KEY_IDS = 256, KEY_START_ID };

struct import_arguments {
	char *target;
	char **files;
	size_t files_count;
	const char *ids;
	uint64_t start_id;
	bool start_given;
};

/* Where rows go, and the buffers on their way. */
struct sink {
	struct session *session;
	size_t batch_rows;
	unsigned char *vectors; /* batch_rows of them */
	uint64_t *ids;
	struct quiver_record *records; /* store only */
	struct quiver_attr attr; /* store only: what new vectors get */
	unsigned char *put; /* mount only: whole records */
	int put_fd; /* mount only */
};

/* The attributes a new vector would get from open(2) by the caller. */
static void new_attr(struct quiver_attr *attr)
{
	struct timespec now = { 0 };
	mode_t mask = umask(0);

	(void)umask(mask);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	attr->mtime_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	attr->uid = geteuid();
	attr->gid = getegid();
	attr->mode = (uint16_t)(0666 & ~mask);
}

/* Make the buffers; sink_close gives them back also after a failure. Says errors. */
static int sink_open(struct session *session, struct sink *sink)
{
	size_t vector_bytes = session->geometry.vector_bytes;
	size_t record_bytes = vector_bytes + (session->target.live ? ID_BYTES : 0);
	size_t room = session->target.live ? PUT_WRITE_BYTES_MAX : STORE_BATCH_BYTES;
	void *put = NULL;

	memset(sink, 0, sizeof(*sink));
	sink->session = session;
	sink->put_fd = -1;
	sink->batch_rows = room / record_bytes;
	if (sink->batch_rows == 0)
		sink->batch_rows = 1;
	if (sink->batch_rows > STORE_BATCH_ROWS_MAX)
		sink->batch_rows = STORE_BATCH_ROWS_MAX;
	sink->vectors = malloc(sink->batch_rows * vector_bytes);
	sink->ids = calloc(sink->batch_rows, sizeof(*sink->ids));
	sink->records = calloc(sink->batch_rows, sizeof(*sink->records));
	if (session->target.live &&
	    posix_memalign(&put, PAGE_BYTES, sink->batch_rows * record_bytes) != 0)
		put = NULL;
	sink->put = put;
	if (sink->vectors == NULL || sink->ids == NULL || sink->records == NULL ||
	    (session->target.live && put == NULL)) {
		say_errno(session->target.path, -ENOMEM);
		return -ENOMEM;
	}
	if (!session->target.live)
		return 0;
	sink->put_fd = openat(session->mount_fd, "control/put", O_WRONLY | O_CLOEXEC);
	if (sink->put_fd < 0) {
		int result = -errno;

		say_error(session->target.path, "control/put cannot be opened: %s%s",
		          strerror(-result), result == -EROFS ? " (is the mount read-only?)" : "");
		return result;
	}
	return 0;
}

/* Give the buffers back. Says errors. */
static int sink_close(struct sink *sink)
{
	int result = 0;

	if (sink->put_fd >= 0 && close(sink->put_fd) < 0) {
		result = -errno;
		say_error(sink->session->target.path, "control/put: %s", live_strerror(result));
	}
	free(sink->vectors);
	free(sink->ids);
	free(sink->records);
	free(sink->put);
	return result;
}

/* Commit the first `count` rows of the buffers to a stopped store. */
static int put_store(struct sink *sink, size_t count)
{
	size_t vector_bytes = sink->session->geometry.vector_bytes;

	for (size_t i = 0; i < count; i++) {
		sink->records[i].id = sink->ids[i];
		sink->records[i].data = sink->vectors + i * vector_bytes;
	}
	return quiver_put_batch(sink->session->store, sink->records, count, &sink->attr,
	                        QUIVER_ATTR_MTIME, 0, NULL);
}

/* Commit the first `count` rows of the buffers through a mount: one write(2) of
 * whole records. One that was interrupted is repeated: it commits all or nothing,
 * and the same again changes nothing. */
static int put_mount(struct sink *sink, size_t count)
{
	size_t vector_bytes = sink->session->geometry.vector_bytes;
	size_t record_bytes = ID_BYTES + vector_bytes;
	ssize_t written;

	for (size_t i = 0; i < count; i++) {
		uint64_t id = htole64(sink->ids[i]);

		memcpy(sink->put + i * record_bytes, &id, ID_BYTES);
		memcpy(sink->put + i * record_bytes + ID_BYTES, sink->vectors + i * vector_bytes,
		       vector_bytes);
	}
	do {
		written = write(sink->put_fd, sink->put, count * record_bytes);
	} while (written < 0 && errno == EINTR);
	if (written < 0)
		return -errno;
	return (size_t)written == count * record_bytes ? 0 : -EIO;
}

/* Say why a batch could not be committed. */
static void say_put_failed(const struct sink *sink, int result)
{
	const char *path = sink->session->target.path;

	if (result == -ENOSPC)
		say_error(path, "no space left on the disk for more vectors");
	else if (result == -EROFS)
		say_error(path,
		          "the store does not accept writes any more; 'quiverfs status %s' says "
		          "why",
		          path);
	else
		say_error(path, "writing vectors failed: %s", live_strerror(result));
}

/* Move all rows, until the end, an error or a signal. *done counts them. Says errors. */
static int copy_rows(struct rows *rows, struct sink *sink, uint64_t *done)
{
	struct progress progress;
	int64_t count;
	int result = 0;

	progress_start(&progress, "import", "vectors", 0, rows->total);
	while (result == 0 && !interrupted()) {
		count = rows_read(rows, sink->vectors, sink->ids, sink->batch_rows);
		if (count <= 0) {
			result = (int)count;
			break;
		}
		result = sink->put_fd >= 0 ? put_mount(sink, (size_t)count)
		                           : put_store(sink, (size_t)count);
		if (result < 0) {
			progress_end(&progress);
			say_put_failed(sink, result);
			break;
		}
		*done += (uint64_t)count;
		progress_update(&progress, *done);
	}
	progress_end(&progress);
	return result;
}

/* Make what was imported through a mount durable; closing a store does so by
 * itself. Says errors. */
static int make_durable(struct session *session)
{
	int result;

	if (!session->target.live)
		return 0;
	result = live_write(session->mount_fd, "flush", "1");
	if (result < 0)
		say_error(session->target.path,
		          "the vectors are written, but control/flush failed, so "
		          "a power cut may lose them: %s",
		          strerror(-result));
	return result;
}

/* Import into an open session. Says errors. */
static int import_rows(const struct import_arguments *arguments, struct session *session,
                       uint64_t *done, uint64_t *total)
{
	struct rows rows;
	struct sink sink;
	int result, closed;

	result = rows_open(arguments->files, arguments->files_count, arguments->ids,
	                   arguments->start_id, &session->geometry, session->target.path, &rows);
	if (result < 0)
		return result;
	*total = rows.total;
	result = sink_open(session, &sink);
	if (result == 0) {
		new_attr(&sink.attr);
		result = copy_rows(&rows, &sink, done);
	}
	closed = sink_close(&sink);
	if (result == 0)
		result = closed;
	closed = *done > 0 ? make_durable(session) : 0;
	if (result == 0)
		result = closed;
	rows_close(&rows);
	return result;
}

static const struct argp_option options[] = {
	{ "ids", KEY_IDS, "FILE", 0, "The ID of each row: a .npy of type <u8, <i8, <u4 or <i4", 0 },
	{ "start-id", KEY_START_ID, "N", 0, "The first row's ID, the others count up (default 0)",
	  0 },
	{ 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct import_arguments *arguments = state->input;

	switch (key) {
	case KEY_IDS:
		arguments->ids = text;
		return 0;
	case KEY_START_ID:
		if (!id_parse(text, &arguments->start_id))
			argp_error(state, "--start-id: '%s' is no ID (0 to %" PRIu64 ")", text,
			           QUIVER_ID_MAX);
		arguments->start_given = true;
		return 0;
	case ARGP_KEY_ARGS:
		arguments->target = state->argv[state->next];
		arguments->files = state->argv + state->next + 1;
		arguments->files_count = (size_t)(state->argc - state->next - 1);
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (arguments->target == NULL || arguments->files_count == 0)
			argp_error(state, "STORE or MNT and at least one FILE are needed");
		if (arguments->ids != NULL && arguments->start_given)
			argp_error(state, "--ids and --start-id exclude each other");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	options,
	parse,
	"STORE|MNT FILE.npy...",
	"Import the rows of .npy files as vectors, into a store that is not mounted or through a "
	"mount that is live.\v"
	"FILE is a .npy of two dimensions, little-endian, in C order, with the store's own dim and "
	"dtype. Row r (from 0, counted on through all files) becomes vector N + r, or what --ids "
	"says. "
	"A vector that exists is replaced; of rows with one ID the last counts. Everything is "
	"checked "
	"before the first vector is written. When the command succeeds all vectors are on stable "
	"storage; Ctrl-C stops after the vectors in hand and says how many rows are in.",
	NULL,
	NULL,
	NULL,
};

int import_command(int argc, char **argv)
{
	struct import_arguments arguments = { 0 };
	struct session session;
	uint64_t done = 0, total = 0;
	int result, closed;

	if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
		return STATUS_USAGE;
	result = interrupt_catch();
	if (result < 0) {
		say_errno("signals", result);
		return STATUS_FAILED;
	}
	if (session_open(arguments.target, 0, &session) < 0)
		return STATUS_FAILED;
	result = import_rows(&arguments, &session, &done, &total);
	closed = session_close(&session);
	if (result == 0)
		result = closed;
	if (result == 0 && done == total) {
		(void)printf("%" PRIu64 " vectors imported into %s\n", done, session.target.path);
		return STATUS_OK;
	}
	if (result == 0)
		say_error(session.target.path,
		          "stopped: the first %" PRIu64 " of %" PRIu64 " rows are in", done, total);
	else if (done > 0)
		say_error(session.target.path,
		          "the first %" PRIu64 " of %" PRIu64 " rows were written "
		          "before that",
		          done, total);
	return STATUS_FAILED;
}
