/*
 * gone.h - vectors that are gone between a lookup and what follows it.
 *
 * The kernel looks a name up and asks about the node afterwards. Is the vector gone by
 * then, the answer is -ESTALE, and the kernel looks up once more; a second -ESTALE it
 * hands on to the program. So where the second lookup found a vector (it was made anew)
 * and that is gone as well, the thread is answered as by a file that was there when its
 * name was looked up and was removed since.
 *
 * And one made anew has the node of the one before, which others may have in hand: to them it
 * must not look like a file just made, so it is remembered which were removed.
 *
 * Any thread may call these.
 */
#ifndef GONE_H
#define GONE_H

#include "fs/base/fs.h"

int gone_new(struct gone **gone); /* -ENOMEM */
void gone_free(struct gone *gone); /* NULL is allowed */

/* A lookup by thread `tid` has found `id` with `attr`. */
void gone_found(struct fs *fs, uint64_t id, pid_t tid, const struct quiver_attr *attr);

/* Thread `tid` has opened a vector: its second try, if it was one, is over. */
void gone_over(struct fs *fs, pid_t tid);

/* Thread `tid` asks about `id`, which is gone. -ESTALE for the first time; 0 where it has
 * looked up again since, with what that lookup has found in *attr. */
int gone_answer(struct fs *fs, uint64_t id, pid_t tid, struct quiver_attr *attr);

/*
 * A second node. The kernel keeps one set of pages for a node, so what is opened while an older
 * version is open and cached cannot be: reads of it come here (direct_io), but a private map would
 * show the older version, and there is no shared one. Such an open is told -ESTALE as well, unless
 * its thread was already: the lookup that follows gives it another node of the same vector, a view
 * (view.h) of the bytes as they are, which has pages of its own. Who comes back to the first node
 * all the same (by way of /proc/self/fd) has none, nor has a thread of the kernel (an NFS server),
 * which does not look again.
 */

/* Thread `tid` opens `id`, of which another version is cached. Whether it is to be told -ESTALE. */
bool gone_ask_alias(struct fs *fs, uint64_t id, pid_t tid);
/* Thread `tid` looks up `id`: whether after that. It may be by a later call, where the one that was
 * told has come to nothing. */
bool gone_wants_alias(struct fs *fs, uint64_t id, pid_t tid);
/* Such a later call wants to write, by the second node: whether it is to be told -ESTALE, after
 * which it gets the first. */
bool gone_takes_back(struct fs *fs, uint64_t id, pid_t tid);

/* `id` is about to be removed, or renamed to another. Before that is committed. */
void gone_begin(struct fs *fs, uint64_t id);

/* Whether `id` may have been there and gone since the mount began: false only if it was not. Of
 * use where it is not there now. */
bool gone_before(struct fs *fs, uint64_t id);

#endif
