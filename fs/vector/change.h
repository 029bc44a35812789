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

/* One change, between change_begin and change_end. */
struct change {
	uint64_t number;
	/* The vector that is to go, for those who have it open: change_last. NULL: nobody has, or it
	 * cannot be read. */
	struct version *last;
	uint64_t lsn; /* of the commit; set by the caller */
};

/*
 * Before the store is asked to remove `from` (`to` is the same then), to rename it to `to`, or
 * to put what was a scratch file as `to` (`from` is the same): waits until no commit to them is
 * under way, and holds off others until change_end. One change at a time. -EAGAIN where it would
 * wait and must not; then there is nothing to be ended.
 *
 * Of a store that others change as well (fs->shared) nothing is held off, and any number of changes
 * are under way: one may take long there, and who commits meanwhile could be on another machine. Such
 * a commit comes before the change, or makes the vector anew.
 */
int change_begin(struct fs *fs, uint64_t from, uint64_t to, bool may_wait, struct change *change);
void change_end(struct fs *fs, struct change *change);

/* Between them, and before the store does it: have the vector as it is, for those who have it open.
 * -EAGAIN where that would wait and must not. */
int change_last(struct fs *fs, uint64_t id, bool may_wait, struct change *change);

/* Between them, once the store has done it. */
void change_removed(struct fs *fs, uint64_t id, const struct change *change);
/* The same of one that was replaced. Who has made it by O_EXCL and not committed hears of that
 * when he does. */
void change_replaced(struct fs *fs, uint64_t id, const struct change *change);
/* And of one that has another ID. */
void change_renamed(struct fs *fs, uint64_t from, uint64_t to, const struct change *change);

/* What is gone was written to by `h` now: so it shows to all that have it open. The caller holds the
 * lock. */
void change_touch_orphan(struct handle *h);

#endif
