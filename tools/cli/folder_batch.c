/*
 * folder_batch.c - vectors with attributes of their own, gathered for one commit.
 */
#include "tools/cli/folder_batch.h"
#include "fs/control/put_records.h"
#include "tools/cli/file_attr.h"
#include "tools/cli/live.h"
#include "tools/cli/say.h"
#include "tools/cli/sink.h"
#include "tools/cli/vectors.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One commit into a store: the cost of a commit vanishes in it, and a core's cache still holds it. */
#define STORE_BYTES (1u << 20)
/* One write(2) to control/put, which every mount takes. */
#define PUT_BYTES (512u << 10)
/* So many gather at once what one alone would for a store elsewhere, a power of two as that is. */
#define SHARE 8u
/* Bounds the lists of records. */
#define RECORDS_MAX 16384u

int folder_batch_open(struct session *session, bool writes, struct folder_batch *batch)
{
	size_t wanted = (session->target.live ? PUT_BYTES : STORE_BYTES) - PUT_HEAD_BYTES;
	void *bytes = NULL;

	memset(batch, 0, sizeof(*batch));
	batch->session = session;
	batch->put_fd = -1;
	batch->record_bytes = PUT_RECORD_BYTES + (size_t)session->geometry.vector_bytes;
	batch->room = session->target.elsewhere ? vectors_at_once(session) / SHARE
	                                        : wanted / batch->record_bytes;
	if (batch->room == 0)
		batch->room = 1;
	if (batch->room > RECORDS_MAX)
		batch->room = RECORDS_MAX;
	/* The kernel splits a large write whose buffer does not begin on a page. */
	if (posix_memalign(&bytes, (size_t)sysconf(_SC_PAGESIZE),
	                   PUT_HEAD_BYTES + batch->room * batch->record_bytes) != 0)
		bytes = NULL;
	batch->bytes = bytes;
	batch->records = calloc(batch->room, sizeof(*batch->records));
	batch->attrs = calloc(batch->room, sizeof(*batch->attrs));
	if (bytes == NULL || batch->records == NULL || batch->attrs == NULL) {
		say_errno(session->target.path, -ENOMEM);
		return -ENOMEM;
	}
	file_attr_new(&batch->attr);
	if (!writes || !session->target.live)
		return 0;
	batch->put_fd = sink_open_put(session);
	return batch->put_fd < 0 ? batch->put_fd : 0;
}

int folder_batch_close(struct folder_batch *batch)
{
	int result = 0;

	if (batch->put_fd >= 0 && close(batch->put_fd) < 0) {
		result = -errno;
		say_error(batch->session->target.path, "control/put: %s", live_strerror(result));
	}
	free(batch->bytes);
	free(batch->records);
	free(batch->attrs);
	return result;
}

static unsigned char *record_at(const struct folder_batch *batch, size_t index)
{
	return batch->bytes + PUT_HEAD_BYTES + index * batch->record_bytes;
}

void *folder_batch_place(const struct folder_batch *batch)
{
	return record_at(batch, batch->count) + PUT_RECORD_BYTES;
}

static unsigned char *append32(unsigned char *to, uint32_t value)
{
	value = htole32(value);
	memcpy(to, &value, sizeof(value));
	return to + sizeof(value);
}

static unsigned char *append64(unsigned char *to, uint64_t value)
{
	value = htole64(value);
	memcpy(to, &value, sizeof(value));
	return to + sizeof(value);
}

void folder_batch_add(struct folder_batch *batch, uint64_t id, const struct quiver_attr *attr,
                      unsigned mask)
{
	size_t index = batch->count++;
	unsigned char *to = record_at(batch, index);

	batch->attrs[index] = *attr;
	batch->records[index] = (struct quiver_record){ .id = id,
		                                        .data = to + PUT_RECORD_BYTES,
		                                        .attr = &batch->attrs[index],
		                                        .attr_mask = mask };
	to = append64(to, id);
	to = append64(to, (uint64_t)attr->mtime_ns);
	to = append32(to, attr->uid);
	to = append32(to, attr->gid);
	to = append32(to, attr->mode);
	(void)append32(to, mask);
}

/* At offset 0, since the kernel lets writes of two threads run beside each other only within what
 * it believes is the file. One that was interrupted is repeated: the same again changes nothing. */
static int commit_mount(struct folder_batch *batch)
{
	size_t length = PUT_HEAD_BYTES + batch->count * batch->record_bytes;
	unsigned char *to = append64(batch->bytes, PUT_MARK);
	ssize_t written;

	to = append32(to, PUT_RECORD_BYTES);
	(void)append32(to, 0);
	do {
		written = pwrite(batch->put_fd, batch->bytes, length, 0);
	} while (written < 0 && errno == EINTR);
	if (written < 0)
		return live_error(batch->put_fd, errno);
	return (size_t)written == length ? 0 : -EIO;
}

int folder_batch_commit(struct folder_batch *batch)
{
	int result = 0;

	if (batch->count > 0)
		result = batch->put_fd >= 0
		                 ? commit_mount(batch)
		                 : quiver_put_batch(batch->session->store, batch->records,
		                                    batch->count, &batch->attr, QUIVER_ATTR_MTIME,
		                                    QUIVER_WRITE_SOON, NULL);
	batch->count = 0;
	return result;
}
