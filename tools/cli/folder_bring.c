/*
 * folder_bring.c - the files of a folder become vectors, by several threads.
 */
#include "tools/cli/folder_bring.h"
#include "tools/cli/folder_batch.h"
#include "tools/cli/folder_file.h"
#include "tools/cli/live.h"
#include "tools/cli/say.h"
#include "tools/cli/sink.h"
#include "tools/cli/vectors_attr.h"
#include "tools/cli/workers.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Files are small, and most of the time of a cold one is a wait for the disk: so many of them are
 * waited for at once. */
#define WORKERS 8
/* Files that a worker takes at a time: neighbours on the disk are read at about the same time, and
 * the lock is seldom taken. */
#define TAKEN_AT_ONCE 16u
/* For a cluster, sorted by their IDs: as many as one object of it can hold, which then is written once
 * and not by each worker in turn. */
#define TAKEN_AT_ONCE_ELSEWHERE 1024u

struct worker {
	struct bring *bring;
	/* What is there of the files taken last, where that counts: taken_at_once of each. */
	uint64_t *ids;
	struct quiver_attr *attrs;
	int *results;
	struct folder_reader reader;
	struct folder_batch batch;
	struct bring_counts counts; /* since the last commit */
};

/* The first failure ends all. Whether this is it: then the caller says why. */
static bool fail(struct bring *bring, int result)
{
	bool first;

	pthread_mutex_lock(&bring->lock);
	first = bring->result == 0;
	if (first) {
		bring->result = result;
		progress_end(&bring->progress);
	}
	pthread_mutex_unlock(&bring->lock);
	return first;
}

/* Commit what was gathered, and count it. */
static void commit(struct worker *worker)
{
	struct bring *bring = worker->bring;
	size_t count = worker->batch.count;
	int result = bring->wanted->options->dry_run ? 0 : folder_batch_commit(&worker->batch);

	worker->batch.count = 0;
	if (result < 0) {
		/* a signal is no failure, and ends all the same */
		if (!(result == -EINTR && interrupted()) && fail(bring, result))
			sink_say_failed(bring->session, result);
		return;
	}
	pthread_mutex_lock(&bring->lock);
	bring->counts.imported += count;
	bring->counts.same += worker->counts.same;
	bring->counts.skipped += worker->counts.skipped;
	bring->counts.gone += worker->counts.gone;
	pthread_mutex_unlock(&bring->lock);
	memset(&worker->counts, 0, sizeof(worker->counts));
	if (!bring->wanted->options->dry_run)
		flusher_add(&bring->flusher, count * bring->session->geometry.vector_bytes);
}

/* A file has come to nothing. */
static void tell(struct worker *worker, struct folder_entry *entry, int result)
{
	struct folder_trouble *trouble = &worker->bring->trouble;
	char name[FOLDER_NAME_BYTES];

	entry->is_missed = 1;
	folder_entry_name(entry, name);
	if (result == -ENOENT)
		worker->counts.gone++;
	else if (result == -EINVAL)
		folder_trouble_say(trouble, name, "%s", worker->reader.reason);
	else if (result == -ELOOP)
		folder_trouble_say(trouble, name, "is a symbolic link, which is not followed");
	else
		folder_trouble_unread(trouble, name, result);
}

/* Whether the vector is as its file, of these attributes, already. */
static bool is_same(const struct bring *bring, const struct quiver_attr *there,
                    const struct stat *status)
{
	struct quiver_attr attr;

	file_attr_of(status, &attr);
	return file_attr_same(there, &attr, file_attr_kept(&bring->rights, &attr));
}

/* A file's vector exists: whether the file is to be read all the same. Else it is counted. */
static bool is_wanted_again(struct worker *worker, const struct folder_entry *entry,
                            const struct quiver_attr *there, const struct stat *status)
{
	struct bring *bring = worker->bring;
	char name[FOLDER_NAME_BYTES];

	switch (bring->wanted->on_duplicate) {
	case EXISTING_SKIP:
		worker->counts.skipped++;
		return false;
	case EXISTING_FAIL:
		folder_entry_name(entry, name);
		if (fail(bring, -EEXIST))
			folder_trouble_say(
				&bring->trouble, name,
				"its vector exists already (--on-duplicate=skip skips the file)");
		return false;
	case EXISTING_REPLACE:
		break;
	}
	if (!is_same(bring, there, status))
		return true;
	worker->counts.same++;
	return false;
}

/* Whether a file that has been looked at, but not been read, can be a vector; says it. */
static bool can_be_vector(struct worker *worker, struct folder_entry *entry, struct stat *status)
{
	char name[FOLDER_NAME_BYTES];
	int result;

	folder_entry_name(entry, name);
	result = fstatat(worker->bring->folder_fd, name, status, AT_SYMLINK_NOFOLLOW) < 0 ? -errno
	                                                                                  : 0;
	if (result == 0)
		result = folder_reader_check(&worker->reader, entry, status);
	if (result < 0)
		tell(worker, entry, result);
	return result == 0;
}

/* Whether what is there counts. */
static bool looks(const struct folder_import *wanted)
{
	return wanted->options->update || wanted->on_duplicate != EXISTING_REPLACE;
}

/* Look which of `count` files have a vector. False where that has failed, which is said. */
static bool look(struct worker *worker, size_t first, size_t count)
{
	struct bring *bring = worker->bring;
	int result;

	if (!looks(bring->wanted))
		return true;
	for (size_t i = 0; i < count; i++)
		worker->ids[i] = bring->list.entries[first + i].id;
	result = vectors_stat_many(bring->session, bring->vectors_fd, worker->ids, count,
	                           worker->attrs, worker->results);
	if (result < 0 && !(result == -EINTR && interrupted()) && fail(bring, result))
		say_error(bring->session->target.path, "looking for vectors failed: %s",
		          live_strerror(result));
	return result == 0;
}

/* Whether a file is to be read, the one at `index` of those that were looked at; else it is counted, or
 * told of. */
static bool is_wanted(struct worker *worker, struct folder_entry *entry, size_t index)
{
	struct bring *bring = worker->bring;
	const struct folder_import *wanted = bring->wanted;
	struct stat status;
	int result;

	if ((wanted->options->update || wanted->options->dry_run) &&
	    !can_be_vector(worker, entry, &status))
		return false;
	if (!looks(wanted))
		return true;
	result = worker->results[index];
	if (result == 0)
		return is_wanted_again(worker, entry, &worker->attrs[index], &status);
	/* a damaged vector is made anew */
	if (result == -ENOENT || result == -EIO)
		return true;
	if (fail(bring, result))
		say_error(bring->session->target.path, "looking for vector %" PRIu64 " failed: %s",
		          entry->id, live_strerror(result));
	return false;
}

/* Whether there is no NaN and no infinity, where that was asked for; says it. */
static bool is_finite(struct worker *worker, struct folder_entry *entry, const void *vector)
{
	struct bring *bring = worker->bring;
	char name[FOLDER_NAME_BYTES];
	size_t bad;

	if (!bring->wanted->reject_nonfinite ||
	    element_all_finite(bring->type, vector, bring->session->geometry.dim, &bad))
		return true;
	entry->is_missed = 1;
	folder_entry_name(entry, name);
	folder_trouble_say(&bring->trouble, name, "element %zu is NaN or infinite", bad);
	return false;
}

/* Bring one file into the batch. */
static void bring_file(struct worker *worker, struct folder_entry *entry, size_t index)
{
	struct folder_batch *batch = &worker->batch;
	void *place = folder_batch_place(batch);
	struct quiver_attr attr;
	struct stat status;
	int result;

	if (!is_wanted(worker, entry, index))
		return;
	if (worker->bring->wanted->options->dry_run) {
		batch->count++;
	} else {
		result = folder_reader_read(&worker->reader, entry, place, &status);
		if (result < 0) {
			tell(worker, entry, result);
			return;
		}
		if (!is_finite(worker, entry, place))
			return;
		file_attr_of(&status, &attr);
		folder_batch_add(batch, entry->id, &attr,
		                 file_attr_kept(&worker->bring->rights, &attr));
	}
	if (batch->count == batch->room)
		commit(worker);
}

/* The next files; how many, 0 at the end, an error or a signal. `done` have been dealt with. */
static size_t take(struct bring *bring, size_t done, size_t *first)
{
	size_t count;

	pthread_mutex_lock(&bring->lock);
	bring->ended += done;
	if (bring->result == 0)
		progress_update(&bring->progress, bring->ended);
	count = bring->list.count - bring->next;
	if (count > bring->taken_at_once)
		count = bring->taken_at_once;
	if (bring->result < 0 || interrupted())
		count = 0;
	*first = bring->next;
	bring->next += count;
	pthread_mutex_unlock(&bring->lock);
	return count;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct bring *bring = worker->bring;
	size_t first, count = 0;

	while ((count = take(bring, count, &first)) > 0) {
		if (!look(worker, first, count))
			break;
		for (size_t i = 0; i < count; i++)
			bring_file(worker, &bring->list.entries[first + i], i);
	}
	commit(worker);
	return NULL;
}

/* To be given back with worker_close also after an error. Says errors. */
static int worker_open(struct bring *bring, struct worker *worker)
{
	size_t count = bring->taken_at_once;

	worker->bring = bring;
	worker->reader.folder_fd = bring->folder_fd;
	worker->reader.geometry = &bring->session->geometry;
	worker->ids = calloc(count, sizeof(*worker->ids));
	worker->attrs = calloc(count, sizeof(*worker->attrs));
	worker->results = calloc(count, sizeof(*worker->results));
	if (worker->ids == NULL || worker->attrs == NULL || worker->results == NULL) {
		say_errno(bring->session->target.path, -ENOMEM);
		return -ENOMEM;
	}
	return folder_batch_open(bring->session, !bring->wanted->options->dry_run, &worker->batch);
}

/* 0, or a negative errno after having said it. */
static int worker_close(struct worker *worker)
{
	int result = 0;

	if (worker->batch.session != NULL)
		result = folder_batch_close(&worker->batch);
	folder_reader_free(&worker->reader);
	free(worker->ids);
	free(worker->attrs);
	free(worker->results);
	return result;
}

int bring_files(struct bring *bring)
{
	struct worker workers[WORKERS];
	unsigned opened = 0;
	int result = 0;

	memset(workers, 0, sizeof(workers));
	bring->taken_at_once = TAKEN_AT_ONCE;
	if (bring->session->target.elsewhere) {
		bring->taken_at_once = TAKEN_AT_ONCE_ELSEWHERE;
		folder_list_sort(&bring->list);
	}
	while (result == 0 && opened < WORKERS)
		result = worker_open(bring, &workers[opened++]);
	if (result == 0) {
		(void)pthread_mutex_init(&bring->lock,
		                         NULL); /* with default attributes cannot fail */
		progress_start(&bring->progress, "import", "vectors", 0, bring->list.count);
		flusher_start(&bring->flusher, session_flush, bring->session);
		workers_run(work, workers, sizeof(workers[0]), WORKERS);
		flusher_stop(&bring->flusher);
		progress_end(&bring->progress);
		pthread_mutex_destroy(&bring->lock);
		result = bring->result;
	}
	while (opened > 0) {
		int closed = worker_close(&workers[--opened]);

		result = result ? result : closed;
	}
	return result;
}
