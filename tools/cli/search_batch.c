/*
 * search_batch.c - some questions of a search, from files or by the IDs of vectors, one batch after
 * another.
 */
#include "tools/cli/search_batch.h"
#include "tools/cli/live.h"
#include "tools/cli/live_ask.h"
#include "tools/cli/say.h"
#include "tools/cli/vectors.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char unknown_fault[] = "it has no distances";

int search_batch_make(const struct session *session, size_t room, struct search_batch *batch)
{
	memset(batch, 0, sizeof(*batch));
	batch->room = room;
	batch->vectors = calloc(room, session->geometry.vector_bytes);
	batch->numbers = calloc(room, sizeof(*batch->numbers));
	batch->unanswered = calloc(room, sizeof(*batch->unanswered));
	if (batch->vectors != NULL && batch->numbers != NULL && batch->unanswered != NULL)
		return 0;
	say_errno(session->target.path, -ENOMEM);
	return -ENOMEM;
}

void search_batch_free(struct search_batch *batch)
{
	free(batch->vectors);
	free(batch->numbers);
	free(batch->unanswered);
	memset(batch, 0, sizeof(*batch));
}

int search_source_open(struct search_source *source, size_t room)
{
	struct session *session = source->asker->session;
	int result;

	source->folder_fd = source->get_fd = -1;
	if (source->rows_options != NULL) {
		result = rows_open(source->rows_options, &source->rows);
		source->has_rows = result == 0;
		source->total = source->rows.total;
		return result;
	}
	source->total = source->id_count;
	source->results = calloc(room, sizeof(*source->results));
	if (source->results == NULL) {
		say_errno(session->target.path, -ENOMEM);
		return -ENOMEM;
	}
	if (session->target.live)
		source->get_fd = live_get_open(session->mount_fd);
	return source->get_fd >= 0 ? 0 : vectors_open_folder(session, &source->folder_fd);
}

void search_source_close(struct search_source *source)
{
	if (source->has_rows)
		rows_close(&source->rows);
	if (source->folder_fd >= 0)
		(void)close(source->folder_fd); /* it was only read */
	if (source->get_fd >= 0)
		(void)close(source->get_fd); /* what was asked is here */
	free(source->results);
	source->has_rows = false;
	source->folder_fd = source->get_fd = -1;
	source->results = NULL;
}

void search_source_refuse(struct search_source *source, struct search_batch *batch, size_t index,
                          const char *why)
{
	batch->unanswered[index] = true;
	if (why == NULL)
		why = unknown_fault;
	if (source->is_all) {
		source->passed++;
		return;
	}
	source->failed++;
	if (source->has_rows)
		rows_say(&source->rows, index, why);
	else
		say_error(source->asker->session->target.path, "vector %" PRIu64 ": %s",
		          batch->numbers[index], why);
}

/* Vector `index` of the batch could not be read. One of all that has been removed since is none. */
static void refuse_unread(struct search_source *source, struct search_batch *batch, size_t index)
{
	const char *path = source->asker->session->target.path;
	uint64_t id = batch->numbers[index];
	int result = source->results[index];

	batch->unanswered[index] = true;
	if (source->is_all && result == -ENOENT)
		return;
	source->failed++;
	if (source->is_all && result == -EACCES)
		source->denied++;
	else if (result == -ENOENT)
		say_error(path, "there is no vector %" PRIu64, id);
	else
		say_error(path, "vector %" PRIu64 " cannot be read: %s", id,
		          result == -EIO ? "it does not match its checksum, or the disk failed"
		                         : live_strerror(result));
}

/* Read the vectors of the next IDs. */
static int64_t read_ids(struct search_source *source, struct search_batch *batch)
{
	struct session *session = source->asker->session;
	size_t left = source->id_count - source->next;
	size_t count = left < batch->room ? left : batch->room;
	int result;

	if (count == 0)
		return 0;
	memcpy(batch->numbers, source->ids + source->next, count * sizeof(*batch->numbers));
	if (source->get_fd >= 0)
		result = live_get(source->get_fd, batch->numbers, count,
		                  session->geometry.vector_bytes, batch->vectors, source->results);
	else
		result = vectors_read(session, source->folder_fd, batch->numbers, count,
		                      batch->vectors, NULL, source->results);
	if (result < 0) {
		if (result != -EINTR)
			say_error(session->target.path, "reading vectors failed: %s",
			          live_strerror(result));
		return result;
	}
	source->next += count;
	for (size_t i = 0; i < count; i++) {
		if (source->results[i] < 0)
			refuse_unread(source, batch, i);
	}
	return (int64_t)count;
}

int64_t search_source_read(struct search_source *source, struct search_batch *batch)
{
	size_t vector_bytes = source->asker->session->geometry.vector_bytes;
	char why[SEARCH_FAULT_BYTES];
	int64_t got;

	if (interrupted())
		return -EINTR;
	memset(batch->unanswered, 0, batch->room * sizeof(*batch->unanswered));
	batch->is_by_id = !source->has_rows;
	got = source->has_rows
	              ? rows_read(&source->rows, batch->vectors, batch->numbers, batch->room)
	              : read_ids(source, batch);
	batch->count = got > 0 ? (size_t)got : 0;
	for (size_t i = 0; i < batch->count; i++) {
		if (!batch->unanswered[i] &&
		    search_has_fault(source->asker, batch->vectors + i * vector_bytes, why))
			search_source_refuse(source, batch, i, why);
	}
	return got;
}

int search_source_finish(struct search_source *source)
{
	return source->has_rows ? rows_finish(&source->rows) : 0;
}
