/*
 * folder_carry.c - vectors become the files of a folder, by several threads.
 */
#include "tools/cli/folder_carry.h"
#include "tools/cli/folder_write.h"
#include "tools/cli/live.h"
#include "tools/cli/say.h"
#include "tools/cli/vectors.h"
#include "tools/cli/vectors_attr.h"
#include "tools/cli/workers.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Making files in one folder is done one after the other in the kernel; reading and filling them is
 * not. */
#define WORKERS 2
/* Vectors that a worker takes at a time. */
#define TAKEN_AT_ONCE 16u

struct worker {
	struct carry *carry;
	size_t room;
	uint64_t *ids; /* of those taken last the ones to be written; room, as in the next three */
	unsigned char *vectors;
	struct quiver_attr *attrs;
	int *results;
	struct carry_counts counts; /* of those taken last */
};

/* The first failure ends all. Says it of the file or folder `path`. */
static void fail(struct carry *carry, const char *path, int result, const char *what)
{
	pthread_mutex_lock(&carry->lock);
	if (carry->result == 0) {
		carry->result = result;
		progress_end(&carry->progress);
		say_error(path, "%s: %s", what, live_strerror(result));
	}
	pthread_mutex_unlock(&carry->lock);
}

static void name_of(uint64_t id, char name[FOLDER_NAME_BYTES])
{
	(void)snprintf(name, FOLDER_NAME_BYTES, "%" PRIu64, id);
}

/* A vector could not be read. */
static void tell_unread(struct worker *worker, uint64_t id, int result)
{
	struct carry *carry = worker->carry;
	char name[FOLDER_NAME_BYTES];

	name_of(id, name);
	if (result == -ENOENT)
		worker->counts.gone++;
	else if (result == -EIO)
		folder_trouble_say(&carry->trouble, name,
		                   "is not written: the vector does not match its checksum, or the "
		                   "disk failed; 'quiverfs verify' counts the damaged vectors");
	else if (result == -EACCES)
		folder_trouble_say(&carry->trouble, name,
		                   "is not written: the vector may not be read");
	else
		fail(carry, carry->session->target.path, result, "reading vectors failed");
}

/* --update: whether the file is as its vector, of these attributes, already. */
static bool is_same(const struct carry *carry, uint64_t id, const struct quiver_attr *attr)
{
	char name[FOLDER_NAME_BYTES];
	struct quiver_attr there;
	struct stat status;

	name_of(id, name);
	if (fstatat(carry->folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(status.st_mode) ||
	    status.st_size != (off_t)carry->session->geometry.vector_bytes)
		return false;
	file_attr_of(&status, &there);
	return file_attr_same(&there, attr, file_attr_kept(&carry->rights, attr));
}

/* Those of `count` vectors that differ from their file, to worker->ids; the others are counted, or
 * told of. How many, or a negative errno. */
static int64_t choose_changed(struct worker *worker, const uint64_t *ids, size_t count)
{
	struct carry *carry = worker->carry;
	int64_t wanted = 0;
	int result = vectors_stat_many(carry->session, carry->vectors_fd, ids, count, worker->attrs,
	                               worker->results);

	for (size_t i = 0; i < count && result == 0; i++) {
		if (worker->results[i] < 0)
			tell_unread(worker, ids[i], worker->results[i]);
		else if (is_same(carry, ids[i], &worker->attrs[i]))
			worker->counts.same++;
		else
			worker->ids[wanted++] = ids[i];
	}
	return result < 0 ? result : wanted;
}

/* Those that are to be written, to worker->ids. How many, or a negative errno. */
static int64_t choose(struct worker *worker, const uint64_t *ids, size_t count)
{
	const struct carry *carry = worker->carry;
	int64_t wanted = (int64_t)count;

	if (carry->wanted->options->update && carry->folder_fd >= 0)
		wanted = choose_changed(worker, ids, count);
	else
		memcpy(worker->ids, ids, count * sizeof(*ids));
	if (wanted > 0 && carry->wanted->options->dry_run) {
		worker->counts.exported += (uint64_t)wanted;
		return 0;
	}
	return wanted;
}

/* Write one vector that has been read. */
static void carry_vector(struct worker *worker, size_t index)
{
	struct carry *carry = worker->carry;
	size_t vector_bytes = carry->session->geometry.vector_bytes;
	const struct quiver_attr *attr = &worker->attrs[index];
	uint64_t id = worker->ids[index];
	char name[FOLDER_NAME_BYTES];
	int result = worker->results[index];

	if (result < 0) {
		tell_unread(worker, id, result);
		return;
	}
	result = folder_write(carry->folder_fd, id, worker->vectors + index * vector_bytes,
	                      vector_bytes, attr, file_attr_kept(&carry->rights, attr));
	name_of(id, name);
	if (result == 0)
		worker->counts.exported++;
	else if (result == -EEXIST)
		folder_trouble_say(&carry->trouble, name,
		                   "it exists and is not a regular file; it is not replaced");
	else
		fail(carry, carry->wanted->path, result, "writing files failed");
}

/* Write those of `count` vectors that are to be. */
static void carry_some(struct worker *worker, const uint64_t *ids, size_t count)
{
	struct carry *carry = worker->carry;
	int64_t wanted = choose(worker, ids, count);
	int result = wanted < 0 ? (int)wanted : 0;

	if (wanted > 0)
		result = vectors_read(carry->session, carry->vectors_fd, worker->ids,
		                      (size_t)wanted, worker->vectors, worker->attrs,
		                      worker->results);
	if (result < 0 && !interrupted())
		fail(carry, carry->session->target.path, result, "reading vectors failed");
	for (int64_t i = 0; i < wanted && result == 0; i++)
		carry_vector(worker, (size_t)i);
}

/* The next vectors; how many, 0 at the end, an error or a signal. */
static size_t take(struct worker *worker, size_t *first)
{
	struct carry *carry = worker->carry;
	struct carry_counts *counts = &carry->counts;
	size_t count;

	pthread_mutex_lock(&carry->lock);
	counts->exported += worker->counts.exported;
	counts->same += worker->counts.same;
	counts->gone += worker->counts.gone;
	memset(&worker->counts, 0, sizeof(worker->counts));
	if (carry->result == 0)
		progress_update(&carry->progress, counts->exported + counts->same);
	count = carry->list.count - carry->next;
	if (count > worker->room)
		count = worker->room;
	if (carry->result < 0 || interrupted())
		count = 0;
	*first = carry->next;
	carry->next += count;
	pthread_mutex_unlock(&carry->lock);
	return count;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	size_t first, count;

	while ((count = take(worker, &first)) > 0)
		carry_some(worker, worker->carry->list.ids + first, count);
	return NULL;
}

/* -ENOMEM. */
static int worker_open(struct carry *carry, struct worker *worker)
{
	size_t room = TAKEN_AT_ONCE;

	if (carry->session->target.elsewhere)
		room = vectors_at_once(carry->session);
	worker->carry = carry;
	worker->room = room;
	worker->ids = calloc(room, sizeof(*worker->ids));
	worker->vectors = malloc(room * carry->session->geometry.vector_bytes);
	worker->attrs = calloc(room, sizeof(*worker->attrs));
	worker->results = calloc(room, sizeof(*worker->results));
	return worker->ids == NULL || worker->vectors == NULL || worker->attrs == NULL ||
	                       worker->results == NULL
	               ? -ENOMEM
	               : 0;
}

static void worker_close(struct worker *worker)
{
	free(worker->ids);
	free(worker->vectors);
	free(worker->attrs);
	free(worker->results);
}

int carry_vectors(struct carry *carry)
{
	struct worker workers[WORKERS];
	int result = 0;

	memset(workers, 0, sizeof(workers));
	for (unsigned i = 0; i < WORKERS; i++)
		result = result ? result : worker_open(carry, &workers[i]);
	if (result < 0) {
		say_errno(carry->wanted->path, result);
	} else {
		(void)pthread_mutex_init(&carry->lock,
		                         NULL); /* with default attributes cannot fail */
		progress_start(&carry->progress, "export", "vectors", 0, carry->list.count);
		workers_run(work, workers, sizeof(workers[0]), WORKERS);
		progress_end(&carry->progress);
		pthread_mutex_destroy(&carry->lock);
		result = carry->result;
	}
	for (unsigned i = 0; i < WORKERS; i++)
		worker_close(&workers[i]);
	return result;
}
