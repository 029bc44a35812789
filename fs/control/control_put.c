/*
 * control_put.c - control/put: many vectors in one write(2).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs/base/attr.h"
#include "fs/base/invalidate.h"
#include "fs/base/refuse.h"
#include "fs/base/transport.h"
#include "fs/control/control_store.h"
#include "fs/control/put_records.h"
#include "fs/vector/copies.h"
#include "fs/vector/node.h"

/* Whether a write(2) may be more than this part of it. The kernel cuts what is
 * longer than a request; each part but the last is longer than a batch may be. */
static bool may_be_cut(const struct control_write *write)
{
	return write->attempt.data_bytes >
	       transport_put_bytes(write->attempt.fs->geometry.vector_bytes);
}

/* So many handlers do what a worker would, and wait for what that takes: half of the fewest threads
 * that read /dev/fuse (serve.c). Any of the others answers whoever comes meanwhile. */
#define HANDLERS_MAX 2u

/* Whether a handler may: nothing is copied then, and what it has read is still in its core's cache. A
 * ring's thread may not, being the only one of its core. */
static bool is_for_handler(const struct control_write *write)
{
	return !write->sync && !write->attempt.fs->shared && !fuse_req_is_uring(write->attempt.req);
}

/* Which of them the kernel may know, as they are there already or are just being made, to the
 * front of `ids`; how many. A damaged one counts. -ENOMEM. */
static int find_known(struct fs *fs, const struct quiver_record *records, size_t count,
                      uint64_t *ids, size_t *known)
{
	int *results = calloc(count, sizeof(*results));
	int err;

	*known = 0;
	if (!results)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		ids[i] = records[i].id;
	err = quiver_get_many(fs->store, ids, count, NULL, NULL, results);
	for (size_t i = 0; i < count; i++)
		if (err != 0 || results[i] != -ENOENT || node_is_written(fs, ids[i]))
			ids[(*known)++] = ids[i];
	free(results);
	return 0;
}

/*
 * Commit them, and have the kernel forget what it has cached of them. Of vectors that were
 * not there it has nothing, unless someone else made them, and it was told of them, in the
 * time between the look at them and the commit: then all are forgotten.
 */
static int commit_records(struct control_write *write, const struct quiver_record *records,
                          size_t count)
{
	struct fs *fs = write->attempt.fs;
	const struct fuse_ctx creator = { .uid = write->uid,
		                          .gid = write->gid,
		                          .umask = write->umask };
	struct quiver_attr attr = attr_new(fs, &creator, 0666);
	uint64_t *ids = calloc(count, sizeof(*ids));
	uint64_t given = atomic_load(&fs->attr_given);
	unsigned mask = QUIVER_ATTR_MTIME | (write->uid != 0 ? QUIVER_ATTR_DROP_SETID : 0u);
	size_t known = 0;
	int err = 0;

	if (!ids)
		return -ENOMEM;
	/* Where others change the store it keeps nothing. */
	if (!fs->shared)
		err = find_known(fs, records, count, ids, &known);
	if (err != 0)
		goto out;
	err = quiver_put_batch(fs->store, records, count, &attr, mask,
	                       QUIVER_WRITE_SOON | (write->sync ? QUIVER_SYNC : 0u), NULL);
	for (size_t i = 0; fs->shared && i < count; i++)
		copies_changed(fs, records[i].id);
	if (err == 0 && atomic_load(&fs->attr_given) != given) {
		for (size_t i = 0; i < count; i++)
			ids[i] = records[i].id;
		known = count;
	}
	if (err == 0)
		invalidate_vectors(fs, ids, known);
out:
	free(ids);
	return err;
}

/* Commit what was written. */
static int put(struct control_write *write)
{
	struct fs *fs = write->attempt.fs;
	struct quiver_record *records = NULL;
	struct quiver_error error;
	size_t count;
	int err;

	if (may_be_cut(write))
		return refuse(fs, -EINVAL,
		              "control/put: got more than %" PRIu32 " bytes in one write",
		              transport_put_bytes(fs->geometry.vector_bytes));
	err = put_records(write->attempt.data, write->attempt.data_bytes, fs->geometry.vector_bytes,
	                  &records, &count, &error);
	if (err == -EINVAL)
		return refuse(fs, err, "control/put: %s", error.text);
	if (err != 0)
		return err;
	err = commit_records(write, records, count);
	free(records);
	return err;
}

int store_put(struct control_write *write)
{
	struct fs *fs = write->attempt.fs;
	int err = -EAGAIN;

	if (write->by_worker)
		return put(write);
	if (!is_for_handler(write))
		return -EAGAIN;
	if (atomic_fetch_add(&fs->putting, 1) < HANDLERS_MAX)
		err = put(write);
	atomic_fetch_sub(&fs->putting, 1);
	return err;
}
