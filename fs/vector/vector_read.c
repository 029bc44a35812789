/* vector_read.c - reading vectors. */
#include "fs/vector/vector_read.h"

#include <errno.h>

#include "fs/base/attempt.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/vector/node.h"
#include "fs/vector/stage.h"

struct vector_read_op {
	struct attempt attempt;
	struct handle *h; /* NULL on a mount without handles */
	uint64_t id; /* used where h is NULL */
	uint64_t offset;
	size_t size;
	bool for_cache; /* fills the page cache, which all handles share */
};

/* Bytes there are from `offset`, at most `size`. */
static size_t clip(const struct fs *fs, uint64_t offset, size_t size)
{
	uint64_t n = fs->geometry.vector_bytes;

	if (offset >= n)
		return 0;
	return size < n - offset ? size : (size_t)(n - offset);
}

/* Answer with bytes of `ref`, whose checksum is compared first unless `verified`; or return
 * -EAGAIN where that would wait. */
static int reply_from(const struct vector_read_op *op, const struct quiver_ref *ref, bool verified,
                      bool may_wait)
{
	struct fs *fs = op->attempt.fs;
	size_t length = clip(fs, op->offset, op->size);
	struct reply reply;
	int err;

	err = reply_begin(&reply, op->attempt.req, length);
	if (err == 0 && !verified)
		err = quiver_ref_verify(fs->store, ref, attempt_flags(may_wait));
	if (err == 0 && length > 0)
		err = quiver_ref_read(fs->store, ref, op->offset, length, attempt_flags(may_wait),
		                      reply.data);
	if (err == -EAGAIN && !may_wait) {
		reply_cancel(&reply);
		return err;
	}
	reply_end(&reply, err, length);
	return 0;
}

/* No handle (a read-only mount): get, compare, reply. */
static int vector_read_stateless(const struct vector_read_op *op, bool may_wait)
{
	struct quiver_ref ref;
	int err;

	err = quiver_get(op->attempt.fs->store, op->id, attempt_flags(may_wait), &ref);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		reply_error(op->attempt.req, err == -ENOENT ? -ESTALE : err);
		return 0;
	}
	if (may_wait)
		quiver_ref_prefetch(op->attempt.fs->store, &ref);
	err = reply_from(op, &ref, false, may_wait);
	quiver_unref(op->attempt.fs->store, &ref);
	return err;
}

/* Where the flag is that tells whether `version` was verified for this handle. The
 * caller holds the lock. */
static bool *verified_flag(struct handle *h, const struct version *version)
{
	return version == h->version ? &h->verified : &h->cache_verified;
}

/* Through a handle that has nothing staged, or for the page cache. */
static int vector_read_version(const struct vector_read_op *op, bool may_wait)
{
	struct fs *fs = op->attempt.fs;
	struct handle *h = op->h;
	struct version *version = NULL;
	bool verified;
	int err;

	err = op->for_cache ? node_cache_version(fs, h, attempt_flags(may_wait), &version)
	                    : handle_version(fs, h, attempt_flags(may_wait), &version);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		handoff_give(&h->handoff);
		reply_error(op->attempt.req, err == -ENOENT ? -ESTALE : err);
		return 0;
	}
	handle_lock(h);
	verified = *verified_flag(h, version);
	handle_unlock(h);
	if (may_wait)
		quiver_ref_prefetch(fs->store, &version->ref);
	if (!verified)
		err = quiver_ref_verify(fs->store, &version->ref, attempt_flags(may_wait));
	else if (!may_wait && !quiver_ref_resident(fs->store, &version->ref))
		err = -EAGAIN; /* it was read long ago */
	if (err == -EAGAIN && !may_wait)
		goto out;
	if (!verified && err == 0) {
		handle_lock(h);
		*verified_flag(h, version) = true;
		handle_unlock(h);
	}
	handoff_give(&h->handoff);
	if (err == 0) {
		err = reply_from(op, &version->ref, true, may_wait);
	} else {
		reply_error(op->attempt.req, err);
		err = 0;
	}
out:
	version_drop(fs, version);
	return err;
}

/* Answer from the handle's stage. False where nothing is staged. */
static bool vector_read_staged(const struct vector_read_op *op)
{
	struct reply reply;
	bool active = false;
	size_t length = 0;
	int err;

	handle_lock(op->h);
	op->h->touched = true;
	active = op->h->stage.active;
	handle_unlock(op->h);
	if (!active)
		return false;
	err = reply_begin(&reply, op->attempt.req, clip(op->attempt.fs, op->offset, op->size));
	if (err == 0)
		length = stage_read(op->h, op->offset, clip(op->attempt.fs, op->offset, op->size),
		                    reply.data, &active);
	if (err == 0 && !active) {
		reply_cancel(&reply); /* committed this moment */
		return false;
	}
	handoff_give(&op->h->handoff);
	reply_end(&reply, err, length);
	return true;
}

static int vector_read_answer(struct attempt *attempt, bool may_wait)
{
	const struct vector_read_op *op = (const struct vector_read_op *)attempt;

	if (op->h == NULL)
		return vector_read_stateless(op, may_wait);
	if (op->h->writable && !op->for_cache && vector_read_staged(op))
		return 0;
	return vector_read_version(op, may_wait);
}

void vector_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct vector_read_op op = {
		.attempt = attempt_for(req, vector_read_answer),
		.h = fi->fh != 0 ? handle_of(fi) : NULL,
		.id = tree_id_of_node(ino),
		.offset = (uint64_t)off,
		.size = size,
		.for_cache = fi->lock_owner == 0,
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}
