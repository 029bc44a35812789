/*
 * stage.h - the bytes a writer has handed over that have not committed yet.
 *
 * A stage belongs to one open handle. Only the handle sees it; it becomes a commit
 * or nothing. All fields are guarded by the lock of the handle's shard; while the
 * handle is busy, `data` stays as it is and may be read without the lock.
 */
#ifndef STAGE_H
#define STAGE_H

#include "fs/vector/handle.h"

/* When a stage is asked to commit. */
enum stage_when {
	STAGE_FLUSH, /* close(2) of one descriptor, perhaps not the last */
	STAGE_FSYNC,
	STAGE_RELEASE, /* the last close; what does not commit now never will */
};

/*
 * The calls below change the handle and may have to wait. Where `may_wait` is
 * false they return -EAGAIN instead and nothing has changed. They are called
 * without any lock, report refusals themselves, and do not reply.
 */

/* Take `size` bytes for `offset` (for the end, where `append`). All N bytes at once
 * commit at once. -EFBIG past N, -EDQUOT and -ENOSPC too many stages (charge.h), -ENOMEM, and errors
 * of quiver_put. `durable`: commit to stable storage as soon as it is complete. */
int stage_write(struct fs *fs, struct handle *h, const void *data, size_t size, uint64_t offset,
                bool append, bool durable, bool may_wait);

/* Cut or zero-fill what is staged to `size`. *same: nothing is staged, and it is that long.
 * -EFBIG past N. */
int stage_truncate(struct fs *fs, struct handle *h, uint64_t size, bool *same, bool may_wait);

/* fallocate(2) of `length` bytes from `offset`: what is staged reaches to their end, unless `mode`
 * says to keep the size, and is zero there, where it says so. What it becomes longer by does not
 * count as written. -EFBIG past N, as stage_write. */
int stage_allocate(struct fs *fs, struct handle *h, int mode, uint64_t offset, uint64_t length,
                   bool may_wait);

/* Commit what is staged. -EINVAL where it is incomplete (it is kept; reported
 * unless this is a FLUSH), errors of quiver_put. 0 where nothing is staged. */
int stage_commit(struct fs *fs, struct handle *h, enum stage_when when, bool may_wait);

/* For who has the handle by another node than the vector's: from now on no request is taken to mean
 * it that means the vector's own file. */
void stage_keep(struct handle *h);
/* There is something to commit; what was said about it before, and its times, are past. */
void stage_touch(struct handle *h);

/* Commit `data`, N bytes, as what the handle has staged; waits. *id is the vector's.
 * Errors of quiver_put, reported. */
int stage_put(struct fs *fs, struct handle *h, const void *data, uint64_t *id);

/* Copy what the writer sees of its stage. *active false: nothing is staged, read
 * the committed version. Returns the bytes copied. */
size_t stage_read(struct handle *h, uint64_t offset, size_t size, void *to, bool *active);

/* Who changes it has no right to the set-ID bits of the vector: they go with the commit, and those
 * of one that is yet to come at once. */
void stage_drops_setid(struct handle *h);

/* Give the stage's buffer back. The caller holds the lock or the only use. */
void stage_drop(struct fs *fs, struct handle *h);

#endif
