/*
 * change.h - vectors that are removed, replaced or renamed while somebody has them open.
 *
 * It is as on other filesystems. Who has a vector open that is removed, or replaced by a
 * rename, goes on with the one that is gone: what he commits is lost, and he is told nothing.
 * Who has one open that is renamed goes on with it under its new ID. So while the store makes
 * such a change, nobody commits to either ID through a handle, and when it is made, the handles
 * learn of it before anybody commits again.
 */
#ifndef CHANGE_H
#define CHANGE_H

#include "fs/vector/handle.h"

/*
 * Before the store is asked to remove `from` (`to` is the same then), to rename it to `to`, or
 * to put what was a scratch file as `to` (`from` is the same): waits until no commit to them is
 * under way, and holds off others until change_end. One change at a time. -EAGAIN where it would
 * wait and must not.
 */
int change_begin(struct fs *fs, uint64_t from, uint64_t to, bool may_wait);
void change_end(struct fs *fs);

/* Between them, and before the store does it: the vector as it is, for those who have it open; to
 * be given to version_drop. NULL: nobody has, or it cannot be read. -EAGAIN where that would wait
 * and must not. */
int change_last(struct fs *fs, uint64_t id, bool may_wait, struct version **last);

/* Between them, once the store has done it by commit `lsn`. `last` is from change_last. */
void change_removed(struct fs *fs, uint64_t id, uint64_t lsn, struct version *last);
/* The same of one that was replaced. Who has made it by O_EXCL and not committed hears of that
 * when he does. */
void change_replaced(struct fs *fs, uint64_t id, uint64_t lsn, struct version *last);
/* And of one that has another ID. */
void change_renamed(struct fs *fs, uint64_t from, uint64_t to, uint64_t lsn);

/* What is gone was written to by `h` now: so it shows to all that have it open. The caller holds the
 * lock. */
void change_touch_orphan(struct handle *h);

#endif
