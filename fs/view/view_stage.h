/*
 * view_stage.h - what a writer of a view has handed over, until it is a vector. On workers;
 * without any lock. They report refusals themselves.
 */
#ifndef VIEW_STAGE_H
#define VIEW_STAGE_H

#include "fs/vector/stage.h"
#include "fs/view/view.h"

/* Take `more` bytes for an open file; -EDQUOT and -ENOSPC are told. Any thread. */
int view_charge(struct fs *fs, const struct view_handle *h, size_t more);
/* Have `bytes` hold what the file holds. -ESTALE, -EIO, -EDQUOT, -ENOSPC, -ENOMEM. The caller
 * holds h->lock. */
int view_load_stage(struct fs *fs, struct view_handle *h);
/* -EFBIG past what any such file can need, -EDQUOT, -ENOSPC, -ENOMEM; as view_load_stage. */
int view_stage_write(struct fs *fs, struct view_handle *h, const void *data, size_t size,
                     uint64_t offset, bool append);
/* *same: it is that long as it is. */
int view_stage_truncate(struct fs *fs, struct view_handle *h, uint64_t size, bool *same);
/* fallocate(2): the file reaches to `end`. The same errors. */
int view_stage_allocate(struct fs *fs, struct view_handle *h, uint64_t end);
/* Commit what is staged. -EINVAL it is no vector (it is kept; reported unless this is a
 * FLUSH); errors of quiver_put. */
int view_stage_commit(struct fs *fs, struct view_handle *h, enum stage_when when);
/* O_TRUNC: empty the writer of the node that handle_may_be_cut says was opened just now by
 * `tid`. False where there is none. Any thread. */
bool view_stage_cut(struct fs *fs, struct view *view, pid_t tid, bool cuts);

#endif
