/*
 * sink.c - where rows go: a store, or control/put of a live mount.
 */
#include "tools/cli/sink.h"
#include "tools/cli/live.h"
#include "tools/cli/say.h"
#include "tools/cli/vectors.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One commit into a stopped store. Large enough to make the cost of a commit
 * vanish, small enough to stay in a core's cache from the file to the store. */
#define STORE_BATCH_BYTES (1u << 20)
/* The same counted in vectors: it bounds the list of records. */
#define STORE_BATCH_ROWS_MAX 65536u
/* One write(2) to control/put. Every mount takes requests of this size. */
#define PUT_WRITE_BYTES_MAX (512u << 10)
#define ID_BYTES sizeof(uint64_t)

/* Say why a mount takes no vectors. One that is read-only has no control/put. */
static void say_open_failed(const char *path, int result)
{
	if (result == -EROFS || result == -ENOENT)
		say_error(path, "it is mounted read-only (-o ro), so nothing can be imported");
	else if (result == -EACCES || result == -EPERM)
		say_error(path, "this user may not write to its control/put; it belongs to the "
		                "user who mounted the store");
	else
		say_error(path, "control/put cannot be opened: %s", live_strerror(result));
}

int sink_open_put(struct session *session)
{
	int fd = live_open(session->mount_fd, "control/put", O_WRONLY);

	if (fd < 0)
		say_open_failed(session->target.path, fd);
	return fd;
}

/* How many rows are committed at once. Of a mounted collection a power of two, so that rows that count
 * up are whole objects of it, which then are written once. */
static size_t rows_at_once(const struct session *session, size_t room, size_t record_bytes)
{
	size_t rows = room / record_bytes;

	if (session->target.elsewhere)
		rows = vectors_at_once(session);
	else if (session->is_shared && rows > 0)
		rows = (SIZE_MAX / 2 + 1) >> __builtin_clzl(rows);
	if (rows == 0)
		rows = 1;
	return rows < STORE_BATCH_ROWS_MAX ? rows : STORE_BATCH_ROWS_MAX;
}

int sink_open(struct session *session, struct sink *sink)
{
	size_t vector_bytes = session->geometry.vector_bytes;
	size_t record_bytes = vector_bytes + (session->target.live ? ID_BYTES : 0);
	size_t room = session->target.live ? PUT_WRITE_BYTES_MAX : STORE_BATCH_BYTES;
	void *put = NULL;

	memset(sink, 0, sizeof(*sink));
	sink->session = session;
	sink->put_fd = -1;
	sink->batch_rows = rows_at_once(session, room, record_bytes);
	sink->vectors = malloc(sink->batch_rows * vector_bytes);
	sink->ids = calloc(sink->batch_rows, sizeof(*sink->ids));
	sink->records = calloc(sink->batch_rows, sizeof(*sink->records));
	/* The kernel splits a large write whose buffer does not begin on a page. */
	if (session->target.live && posix_memalign(&put, (size_t)sysconf(_SC_PAGESIZE),
	                                           sink->batch_rows * record_bytes) != 0)
		put = NULL;
	sink->put = put;
	if (sink->vectors == NULL || sink->ids == NULL || sink->records == NULL ||
	    (session->target.live && put == NULL)) {
		say_errno(session->target.path, -ENOMEM);
		return -ENOMEM;
	}
	if (!session->target.live)
		return 0;
	sink->put_fd = sink_open_put(session);
	return sink->put_fd < 0 ? sink->put_fd : 0;
}

int sink_close(struct sink *sink)
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
	return quiver_put_batch(sink->session->store, sink->records, count, sink->attr,
	                        QUIVER_ATTR_MTIME, QUIVER_WRITE_SOON, NULL);
}

/* Commit the first `count` rows of the buffers through a mount: one write of whole records, at
 * offset 0, since the kernel lets writes of two threads run beside each other only within what
 * it believes is the file. One that was interrupted is repeated: it commits all or nothing, and
 * the same again changes nothing. */
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
		written = pwrite(sink->put_fd, sink->put, count * record_bytes, 0);
	} while (written < 0 && errno == EINTR);
	if (written < 0)
		return live_error(sink->put_fd, errno);
	return (size_t)written == count * record_bytes ? 0 : -EIO;
}

int sink_put(struct sink *sink, size_t count)
{
	return sink->put_fd >= 0 ? put_mount(sink, count) : put_store(sink, count);
}

void sink_say_failed(const struct session *session, int result)
{
	const char *path = session->target.path;

	if (result == -ENOSPC)
		say_error(path, "no space left %s for more vectors",
		          session->target.elsewhere ? "in the pool" : "on the disk");
	else if (result == -ETIMEDOUT)
		say_error(path,
		          "the cluster did not answer in time (op_timeout); the last vectors may "
		          "or may not be stored; run the same import again, which does no harm");
	else if (result == -EROFS)
		say_error(path, "the store no longer accepts writes; 'quiverfs status %s' says why",
		          path);
	else if (session->target.live && !live_is_gone(result))
		say_error(path, "writing vectors failed: %s; control/errors there may say more",
		          live_strerror(result));
	else
		say_error(path, "writing vectors failed: %s", live_strerror(result));
}
