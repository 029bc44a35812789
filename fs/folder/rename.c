/*
 * rename.c - a scratch file becomes a vector, or a vector gets another ID.
 */
#include "fs/folder/rename.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/invalidate.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/base/view_bytes.h"
#include "fs/scratch/scratch.h"
#include "fs/scratch/scratch_names.h"
#include "fs/vector/gone.h"
#include "fs/vector/node.h"

struct rename_op {
	struct attempt attempt;
	uint64_t from; /* an ID; not used where data is set */
	uint64_t to;
	unsigned flags; /* QUIVER_NOREPLACE */
	/* Of a scratch file: */
	unsigned char *data; /* N bytes, freed with the op; NULL: ID to ID */
	struct quiver_attr attr;
	uint64_t ino;
	bool changed; /* the kernel knows the vector by another name */
	char name[SCRATCH_NAME_MAX + 1];
};

/*
 * The store's part and what follows from it. -EAGAIN where it would wait.
 *
 * A file of the new name that is open for writing, and was perhaps made a moment ago, is
 * another node to the kernel, which does not learn by the rename that it changes.
 */
static int rename_store(const struct rename_op *op, bool may_wait)
{
	struct fs *fs = op->attempt.fs;
	unsigned flags = op->flags | (may_wait ? 0u : QUIVER_NOWAIT);
	int err;

	if (op->data != NULL) {
		err = quiver_put(fs->store, op->to, op->data, &op->attr, QUIVER_ATTR_ALL, flags,
		                 NULL);
		if (err == 0)
			scratch_committed(fs, op->name, op->ino);
		if (err == 0 && (op->changed || node_is_written(fs, op->to)))
			invalidate_vectors(fs, &op->to, 1);
		return err;
	}
	gone_begin(fs, op->from);
	err = quiver_rename(fs->store, op->from, op->to, flags, NULL);
	if (err != 0)
		return err;
	node_renamed(fs, op->from, op->to);
	if (node_is_written(fs, op->to))
		invalidate_vectors(fs, &op->to, 1);
	/* The kernel would go on with the old node number under the new name. The
	 * epoch is there: it was asked for at INIT. A failure means that the mount
	 * is coming to its end. */
	(void)fuse_lowlevel_notify_increment_epoch(fs->session);
	return 0;
}

static int rename_answer(struct attempt *attempt, bool may_wait)
{
	const struct rename_op *op = (const struct rename_op *)attempt;
	int err = rename_store(op, may_wait);

	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0 && err != -ENOENT && err != -EEXIST)
		(void)refuse(attempt->fs, err, "vector %" PRIu64 ": not renamed to: %s", op->to,
		             quiver_strerror(err));
	reply_error(attempt->req, err);
	return 0;
}

static void rename_end(struct attempt *attempt)
{
	free(((struct rename_op *)attempt)->data);
}

static struct rename_op rename_begin(fuse_req_t req, uint64_t to, unsigned flags)
{
	return (struct rename_op){
		.attempt = { .req = req,
		             .fs = fs_of(req),
		             .answer = rename_answer,
		             .end = rename_end },
		.to = to,
		.flags = flags,
	};
}

/* Do it now or have a worker do it; op->data is taken over. */
static void start(struct rename_op *op)
{
	attempt_start(&op->attempt, sizeof(*op), WORKER_COMMIT);
}

static void scratch_to_vector(fuse_req_t req, const char *name, uint64_t to, unsigned flags)
{
	struct fs *fs = fs_of(req);
	struct rename_op op = rename_begin(req, to, flags);
	char shown[REFUSE_NAME_BYTES];
	uint32_t size = 0;
	int err;

	err = scratch_copy(fs, name, fs->geometry.vector_bytes, &op.data, &op.attr, &op.ino, &size);
	if (err == -ENODATA) {
		refuse_show(name, shown);
		(void)refuse(fs, err,
		             "vector %" PRIu64 ": %s holds %" PRIu32 " of %" PRIu32 " bytes", to,
		             shown, size, fs->geometry.vector_bytes);
	}
	if (err != 0) {
		reply_error(req, err);
		return;
	}
	(void)snprintf(op.name, sizeof(op.name), "%s", name);
	start(&op);
}

/* A scratch file becomes a vector by the name of one of its views. */
static void scratch_to_view(fuse_req_t req, const char *name, const char *to_name, unsigned flags)
{
	struct fs *fs = fs_of(req);
	struct rename_op op = rename_begin(req, 0, flags);
	struct view_reason reason = { "" };
	unsigned char *bytes = NULL;
	enum tree_form form;
	uint32_t size = 0;
	int err;

	(void)tree_parse_view(to_name, &op.to, &form); /* it is one */
	err = scratch_copy(fs, name, 0, &bytes, &op.attr, &op.ino, &size);
	if (err == 0)
		op.data = malloc(fs->geometry.vector_bytes);
	if (err == 0 && op.data == NULL)
		err = -ENOMEM;
	if (err == 0 &&
	    view_decode(&fs->geometry, form, (const char *)bytes, size, op.data, &reason) < 0) {
		/* EINVAL would make mv say something else. */
		err = refuse(fs, -ENODATA, "%s: %s", to_name, reason.text);
	}
	free(bytes);
	if (err != 0) {
		free(op.data);
		reply_error(req, err);
		return;
	}
	(void)snprintf(op.name, sizeof(op.name), "%s", name);
	op.changed = true;
	start(&op);
}

static void vector_to_vector(fuse_req_t req, uint64_t from, uint64_t to, unsigned flags)
{
	struct rename_op op = rename_begin(req, to, flags);
	const char *lacks = NULL;

	op.from = from;
	if (!(quiver_capabilities(fs_of(req)->store) & QUIVER_HAS_RENAME))
		lacks = "this kind of store cannot";
	else if (!fs_of(req)->can_rename)
		lacks = "Linux can from 6.16 on";
	/* mv copies instead. */
	if (lacks != NULL)
		reply_error(req, refuse(fs_of(req), -EXDEV,
		                        "vector %" PRIu64 ": not renamed to %" PRIu64
		                        ", %s; copy and remove it, as mv does",
		                        from, to, lacks));
	else
		start(&op);
}

void rename_name(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                 const char *newname, unsigned flags)
{
	struct fs *fs = fs_of(req);
	bool noreplace = (flags & RENAME_NOREPLACE) != 0;
	bool from_scratch = scratch_is_name(name);
	bool to_scratch = scratch_is_name(newname);
	uint64_t from = 0, to = 0;
	enum tree_form form;

	if (fs->read_only)
		reply_error(req, -EROFS);
	else if (flags & ~(unsigned)RENAME_NOREPLACE)
		reply_error(req, -EINVAL);
	else if (parent != TREE_VECTORS || newparent != TREE_VECTORS)
		refuse_name(req, name, "cannot be moved there", -EPERM);
	else if (tree_parse_view(name, &from, &form))
		refuse_name(req, name, "a view of a vector, which is renamed by its ID", -EPERM);
	else if (!from_scratch && !tree_parse_id(name, &from))
		reply_error(req, -ENOENT);
	else if (from_scratch && tree_parse_view(newname, &to, &form))
		scratch_to_view(req, name, newname, noreplace ? QUIVER_NOREPLACE : 0u);
	else if (tree_parse_view(newname, &to, &form))
		refuse_name(req, newname, "a vector cannot be renamed to a view's name", -EPERM);
	else if (to_scratch && from_scratch)
		reply_error(req, scratch_rename(fs, name, newname, noreplace));
	else if (to_scratch)
		refuse_name(req, name, "a vector cannot be renamed to a scratch name", -EPERM);
	else if (!tree_parse_id(newname, &to))
		refuse_name(req, newname,
		            "not the ID of a vector (a decimal number, no leading zero)", -EINVAL);
	else if (from_scratch)
		scratch_to_vector(req, name, to, noreplace ? QUIVER_NOREPLACE : 0u);
	else
		vector_to_vector(req, from, to, noreplace ? QUIVER_NOREPLACE : 0u);
}
