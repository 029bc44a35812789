/* stage.c - from the bytes of a writer to a commit, or to nothing. */
#include "fs/vector/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/charge.h"
#include "fs/base/clock.h"
#include "fs/base/invalidate.h"
#include "fs/base/refuse.h"
#include "fs/vector/change.h"
#include "fs/vector/copies.h"

static int charge_buffer(struct fs *fs, uid_t uid, uint64_t id)
{
	uint32_t n = fs->geometry.vector_bytes;
	enum charge_kind kind = CHARGE_STAGES;
	char name[32];
	int err;

	err = charge_take(fs, CHARGE_STAGES, uid, 1);
	if (err == 0) {
		kind = CHARGE_STAGE_BYTES;
		err = charge_take(fs, CHARGE_STAGE_BYTES, uid, n);
		if (err != 0)
			charge_give(fs, CHARGE_STAGES, uid, 1);
	}
	if (err != -EDQUOT && err != -ENOSPC)
		return err;
	(void)snprintf(name, sizeof(name), "vector %" PRIu64, id);
	return charge_refuse(fs, name, kind, uid, kind == CHARGE_STAGES ? 1 : n, err);
}

static void buffer_free(struct fs *fs, uid_t uid, unsigned char *data)
{
	free(data);
	charge_give(fs, CHARGE_STAGES, uid, 1);
	charge_give(fs, CHARGE_STAGE_BYTES, uid, fs->geometry.vector_bytes);
}

/* N zero bytes for a handle on `id`, or NULL with the reason in *err, which is told where it is a
 * bound. */
static unsigned char *buffer_new(struct fs *fs, const struct handle *h, uint64_t id, int *err)
{
	unsigned char *data;

	*err = charge_buffer(fs, h->uid, id);
	if (*err != 0)
		return NULL;
	data = calloc(1, fs->geometry.vector_bytes);
	if (data != NULL)
		return data;
	buffer_free(fs, h->uid, NULL);
	*err = -ENOMEM;
	return NULL;
}

void stage_drop(struct fs *fs, struct handle *h)
{
	if (h->stage.data != NULL)
		buffer_free(fs, h->uid, h->stage.data);
	h->stage.data = NULL;
	h->stage.active = false;
	h->stage.failed = 0;
	h->stage.reported = false;
	h->stage.size = 0;
	h->stage.filled = 0;
	h->stage.base_lsn = 0;
	h->stage.attr_mask = 0;
}

/* The line for a change that was refused; returns err. */
static int refuse_commit(struct fs *fs, uint64_t id, int err)
{
	if (err == -EEXIST)
		return refuse(fs, err, "vector %" PRIu64 ": another process made it first", id);
	if (err == -ETIMEDOUT || err == -EINTR)
		return refuse(fs, err, "vector %" PRIu64 ": it may or may not be stored: %s", id,
		              quiver_strerror(err));
	if (err != 0 && err != -EAGAIN)
		return refuse(fs, err, "vector %" PRIu64 ": not stored: %s", id,
		              quiver_strerror(err));
	return err;
}

/* The same for what did not come to a commit: which bound was met has been told. */
static int refuse_stage(struct fs *fs, uint64_t id, int err)
{
	return err == -EDQUOT || err == -ENOSPC ? err : refuse_commit(fs, id, err);
}

/* Whether a commit that drops set-ID bits changes the mode of `id`, of which the kernel must be told:
 * it knows of its own that a write changes the times, and no more. Where it cannot be told now, it
 * may. */
static bool has_setid(struct fs *fs, uint64_t id, bool may_wait)
{
	struct quiver_attr attr;

	if (quiver_stat(fs->store, id, attempt_flags(may_wait), &attr, NULL) != 0)
		return true;
	return (attr.mode & (S_ISUID | S_ISGID)) != 0;
}

/* Whether what is staged over the bytes of version `base_lsn` replaces another one, which somebody
 * else, perhaps on another machine, has stored since. Where that cannot be told now, it does not. */
static bool is_replaced(struct fs *fs, uint64_t id, uint64_t base_lsn, bool may_wait)
{
	uint64_t lsn;

	return quiver_stat(fs->store, id, attempt_flags(may_wait), NULL, &lsn) == 0 &&
	       lsn != base_lsn;
}

/* The last close wins; but who has changed a part has not seen what he replaces. */
static void tell_replaced(struct fs *fs, uint64_t id)
{
	(void)refuse(fs, 0,
	             "vector %" PRIu64 ": two processes changed it at the same time; the last "
	             "close wins, and replaces the whole vector",
	             id);
}

/*
 * Commit `data` (N bytes; the stage's own or a request's) for an idle handle. The
 * caller holds the lock; it is released on return.
 */
static int commit_bytes(struct fs *fs, struct handle *h, const void *data, bool durable,
                        bool may_wait)
{
	struct quiver_attr attr = h->stage.attr;
	unsigned mask = h->stage.attr_mask | QUIVER_ATTR_MTIME;
	unsigned flags = (durable ? QUIVER_SYNC : 0u) | (may_wait ? 0u : QUIVER_NOWAIT) |
	                 (h->exclusive ? QUIVER_NOREPLACE : 0u);
	struct version *old = NULL;
	uint64_t id = h->id, base_lsn = data == h->stage.data ? h->stage.base_lsn : 0;
	bool created = h->created;
	bool drops = false, replaced = false;
	int err;

	if (!(h->stage.attr_mask & QUIVER_ATTR_MTIME))
		attr.mtime_ns = clock_now_ns();
	h->busy = true;
	handle_unlock(h);
	if ((mask & QUIVER_ATTR_DROP_SETID) && !created && !fs->shared)
		drops = has_setid(fs, id, may_wait);
	if (fs->shared && base_lsn != 0)
		replaced = is_replaced(fs, id, base_lsn, may_wait);
	err = quiver_put(fs->store, id, data, &attr, mask, flags, NULL);
	copies_changed(fs, id);
	handle_lock(h);
	handle_leave(h);
	if (err == 0) {
		h->stage.attr = attr;
		h->created = false;
		h->exclusive = false;
		stage_drop(fs, h);
		old = handle_unpin(h);
	} else if (err != -EAGAIN) {
		h->stage.failed = err;
	}
	handle_unlock(h);
	version_drop(fs, old);
	/* The kernel has forgotten the directory's mtime since the CREATE, unless
	 * someone asked for it meanwhile. */
	if (err == 0 && created && atomic_load(&fs->dir_attr_given) != h->dir_seen)
		invalidate_vectors(fs, NULL, 0);
	if (err == 0 && drops)
		invalidate_vectors(fs, &id, 1);
	if (err == 0 && replaced)
		tell_replaced(fs, id);
	return refuse_commit(fs, id, err);
}

/* The committed bytes of a busy handle, to patch on, in *data, and their version. The caller does not
 * hold the lock. */
static int load_base(struct fs *fs, struct handle *h, uint64_t id, bool may_wait,
                     unsigned char **data, uint64_t *lsn)
{
	struct version *version;
	unsigned char *buffer = NULL;
	int err;

	err = handle_version(fs, h, attempt_flags(may_wait), &version);
	if (err != 0)
		return err == -ENOENT ? -ESTALE : err;
	err = quiver_ref_verify(fs->store, &version->ref, attempt_flags(may_wait));
	if (err == 0)
		buffer = buffer_new(fs, h, id, &err);
	if (err == 0)
		err = quiver_ref_read(fs->store, &version->ref, 0, fs->geometry.vector_bytes,
		                      attempt_flags(may_wait), buffer);
	if (err != 0 && buffer != NULL) {
		buffer_free(fs, h->uid, buffer);
		buffer = NULL;
	}
	*lsn = version->ref.lsn;
	version_drop(fs, version);
	*data = buffer;
	return err;
}

/* Have an idle handle hold a stage with a buffer: of what is staged, else of the
 * committed bytes. The caller holds the lock and has it again on return. */
static int stage_open(struct fs *fs, struct handle *h, bool may_wait)
{
	unsigned char *data = NULL;
	uint64_t id, lsn = 0;
	int err;

	if (h->orphan && h->version == NULL)
		h->stage.active = true; /* nothing to patch on */
	if (h->stage.active) {
		if (h->stage.data == NULL)
			h->stage.data = buffer_new(fs, h, h->id, &err);
		return h->stage.data != NULL ? 0 : err;
	}
	id = h->id;
	h->busy = true;
	handle_unlock(h);
	err = load_base(fs, h, id, may_wait, &data, &lsn);
	handle_lock(h);
	handle_leave(h);
	if (err != 0)
		return err;
	h->stage.data = data;
	h->stage.base_lsn = lsn;
	h->stage.active = true;
	h->stage.size = fs->geometry.vector_bytes;
	h->stage.filled = fs->geometry.vector_bytes;
	return 0;
}

/* The stage was changed: what was said about it, and its times, are past. */
static void stage_changed(struct stage *stage)
{
	stage->failed = 0;
	stage->reported = false;
	stage->attr_mask &= ~(unsigned)QUIVER_ATTR_MTIME;
}

/* The same, and it is not committed at once: a file that is not there yet shows when. */
static void stage_kept(struct handle *h)
{
	stage_changed(&h->stage);
	h->stage.attr.ctime_ns = clock_now_ns();
	if (h->orphan)
		change_touch_orphan(h);
}

static int past_end(struct fs *fs, uint64_t id, uint64_t offset, uint64_t size)
{
	return refuse(fs, -EFBIG,
	              "vector %" PRIu64 ": got %" PRIu64 " bytes at offset %" PRIu64
	              ", past the end of its %" PRIu32 " bytes",
	              id, size, offset, fs->geometry.vector_bytes);
}

int stage_write(struct fs *fs, struct handle *h, const void *data, size_t size, uint64_t offset,
                bool append, bool durable, bool may_wait)
{
	uint32_t limit = fs->geometry.vector_bytes;
	struct stage *stage = &h->stage;
	uint64_t id;
	int err;

	if (durable && !may_wait)
		return -EAGAIN;
	handle_lock(h);
	h->touched = true;
	id = h->id;
	err = handle_enter(h, may_wait);
	if (err != 0 || size == 0)
		goto out;
	if (append)
		offset = stage->active ? stage->size : limit;
	if (offset > limit || size > limit - offset) {
		handle_unlock(h);
		return past_end(fs, id, offset, size);
	}
	if (size == limit && !h->orphan) {
		stage_changed(stage);
		return commit_bytes(fs, h, data, durable, may_wait);
	}
	err = stage_open(fs, h, may_wait);
	if (err != 0)
		goto out;
	memcpy(stage->data + offset, data, size);
	if (offset + size > stage->size)
		stage->size = (uint32_t)(offset + size);
	if (offset <= stage->filled && offset + size > stage->filled)
		stage->filled = (uint32_t)(offset + size);
	stage_kept(h);
	if (durable && stage->filled == limit && !h->orphan)
		return commit_bytes(fs, h, stage->data, true, may_wait);

out:
	handle_unlock(h);
	return refuse_stage(fs, id, err);
}

int stage_truncate(struct fs *fs, struct handle *h, uint64_t size, bool *same, bool may_wait)
{
	uint32_t limit = fs->geometry.vector_bytes;
	struct stage *stage = &h->stage;
	uint64_t id;
	int err;

	handle_lock(h);
	h->touched = true;
	id = h->id;
	err = handle_enter(h, may_wait);
	if (err != 0)
		goto out;
	if (size > limit) {
		handle_unlock(h);
		return past_end(fs, id, 0, size);
	}
	*same = !stage->active && size == limit;
	if (*same)
		goto out;
	if (size == 0)
		stage->active = true;
	else
		err = stage_open(fs, h, may_wait);
	if (err != 0)
		goto out;
	if (size < stage->size && stage->data != NULL)
		memset(stage->data + size, 0, stage->size - size);
	if (size < stage->filled || stage->filled == stage->size)
		stage->filled = (uint32_t)size;
	stage->size = (uint32_t)size;
	stage_kept(h);

out:
	handle_unlock(h);
	return refuse_stage(fs, id, err);
}

/* Zeros in a stage that is open, as far as it reaches. */
static void zero_range(struct stage *stage, uint64_t offset, uint64_t length)
{
	if (offset >= stage->size)
		return;
	if (length > stage->size - offset)
		length = stage->size - offset;
	memset(stage->data + offset, 0, length);
}

int stage_allocate(struct fs *fs, struct handle *h, int mode, uint64_t offset, uint64_t length,
                   bool may_wait)
{
	bool zeroes = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
	bool longer, past = false;
	uint32_t limit = fs->geometry.vector_bytes;
	struct stage *stage = &h->stage;
	uint64_t id;
	int err;

	handle_lock(h);
	h->touched = true;
	id = h->id;
	err = handle_enter(h, may_wait);
	if (err != 0)
		goto out;
	past = offset > limit || length > limit - offset;
	if (past && !(mode & FALLOC_FL_PUNCH_HOLE)) {
		handle_unlock(h);
		return past_end(fs, id, offset, length);
	}
	longer = !(mode & FALLOC_FL_KEEP_SIZE) && stage->active && offset + length > stage->size;
	if (!longer && !zeroes)
		goto out;
	err = stage_open(fs, h, may_wait);
	if (err != 0)
		goto out;
	if (zeroes)
		zero_range(stage, offset, length);
	if (longer)
		stage->size = (uint32_t)(offset + length);
	stage_kept(h);

out:
	handle_unlock(h);
	return refuse_stage(fs, id, err);
}

int stage_commit(struct fs *fs, struct handle *h, enum stage_when when, bool may_wait)
{
	struct stage *stage = &h->stage;
	uint32_t size;
	uint64_t id;
	bool say;
	int err;

	handle_lock(h);
	h->touched = true;
	err = handle_enter(h, may_wait);
	if (err != 0 || !stage->active || h->orphan ||
	    (when == STAGE_RELEASE && stage->failed != 0)) {
		handle_unlock(h);
		return err;
	}
	if (stage->size == fs->geometry.vector_bytes)
		return commit_bytes(fs, h, stage->data, h->durable, may_wait);
	if (stage->failed != 0) {
		/* All of it was there, in a write that was refused: close(2) says why, too. */
		err = stage->failed;
		handle_unlock(h);
		return err;
	}
	id = h->id;
	size = stage->size;
	say = when != STAGE_FLUSH && !stage->reported;
	stage->reported |= say;
	handle_unlock(h);
	if (!say)
		return -EINVAL;
	return refuse(fs, -EINVAL, "vector %" PRIu64 ": got %" PRIu32 " of %" PRIu32 " bytes", id,
	              size, fs->geometry.vector_bytes);
}

void stage_drops_setid(struct handle *h)
{
	handle_lock(h);
	h->stage.attr_mask |= QUIVER_ATTR_DROP_SETID;
	if (h->created || h->orphan)
		h->stage.attr.mode = attr_without_setid(h->stage.attr.mode);
	handle_unlock(h);
}

void stage_keep(struct handle *h)
{
	handle_lock(h);
	h->touched = true;
	h->elsewhere = true;
	handle_unlock(h);
}

void stage_touch(struct handle *h)
{
	handle_lock(h);
	h->touched = true;
	h->stage.active = true;
	stage_kept(h);
	handle_unlock(h);
}

int stage_put(struct fs *fs, struct handle *h, const void *data, uint64_t *id)
{
	handle_lock(h);
	(void)handle_enter(h, true); /* waits, so does not fail */
	*id = h->id;
	if (!h->orphan)
		return commit_bytes(fs, h, data, h->durable, true);
	handle_unlock(h);
	return 0;
}

size_t stage_read(struct handle *h, uint64_t offset, size_t size, void *to, bool *active)
{
	size_t length = 0;

	handle_lock(h);
	*active = h->stage.active;
	if (*active && offset < h->stage.size) {
		length = h->stage.size - offset;
		if (length > size)
			length = size;
		memcpy(to, h->stage.data + offset, length);
	}
	handle_unlock(h);
	return length;
}
