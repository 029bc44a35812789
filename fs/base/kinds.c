/* kinds.c - what is done of all kinds of files: what they keep, and attributes. */
#include "fs/base/node_ops.h"

#include <errno.h>

#include "fs/base/attempt.h"
#include "fs/base/reply.h"
#include "fs/base/worker.h"

int kinds_init(struct fs *fs)
{
	int err = 0;

	for (unsigned i = 0; err == 0 && i < TREE_CLASSES; i++) {
		if (fs->kinds[i]->init != NULL)
			err = fs->kinds[i]->init(fs);
	}
	return err;
}

void kinds_fini(struct fs *fs)
{
	for (unsigned i = TREE_CLASSES; i-- > 0;) {
		if (fs->kinds[i]->fini != NULL)
			fs->kinds[i]->fini(fs);
	}
}

struct getattr_op {
	struct attempt attempt;
	fuse_ino_t ino;
};

static int getattr_answer(struct attempt *attempt, bool may_wait)
{
	fuse_ino_t ino = ((const struct getattr_op *)attempt)->ino;
	const struct node_ops *ops = node_ops_of(attempt->fs, ino);
	double timeout = 0;
	struct stat st;
	int err = -ENOENT;

	if (ops->attr != NULL)
		err = ops->attr(attempt->fs, ino, attempt_flags(may_wait), &st, &timeout);
	if (err == -EAGAIN && !may_wait)
		return err;
	reply_attr(attempt->req, err == -ENOENT ? -ESTALE : err, &st, timeout);
	return 0;
}

void node_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct node_ops *ops = node_ops_of(fs_of(req), ino);
	struct getattr_op op = {
		.attempt = attempt_for(req, getattr_answer),
		.ino = ino,
	};

	if (ops->getattr != NULL)
		ops->getattr(req, ino, fi);
	else
		attempt_start(&op.attempt, sizeof(op),
		              tree_class(ino) == TREE_IS_CONTROL ? WORKER_CONTROL : WORKER_READ);
}
