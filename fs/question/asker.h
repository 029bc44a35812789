/*
 * asker.h - who asks for many vectors at once, or for the nearest, and which of them he may read.
 *
 * One who may read a vector as a file may have it otherwise, and nobody else: the kernel looks at the
 * mode of a file that is opened, but not at those of the vectors that an answer is made of. As with any
 * file, who opened it counts, whoever it is passed on to. Whoever mounted, root, and whom matrix.npy is
 * for (matrix_mode=) may read all.
 */
#ifndef ASKER_H
#define ASKER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "fs/base/fs.h"

struct asker {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* the others that he is in; malloc'd */
	size_t group_count;
	bool reads_all;
};

/* Who sent the request. `flags`: 0 or QUIVER_NOWAIT. -EACCES: he may not pass through vectors/; -ENOMEM,
 * -EAGAIN, errors of the store. Nothing is to be freed then. */
int asker_of(fuse_req_t req, unsigned flags, struct asker *asker);
void asker_free(struct asker *asker);

/* Whether he may read a vector with these attributes. Any thread. */
bool asker_may_read(const struct fs *fs, const struct asker *asker, const struct quiver_attr *attr);

#endif
