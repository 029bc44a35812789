/*
 * rename.c - a scratch file becomes a vector, or a vector gets another ID.
 */
#include "fs/folder/rename.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/base/attempt.h"
#include "fs/base/invalidate.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/base/view_bytes.h"
#include "fs/folder/names.h"
#include "fs/scratch/scratch.h"
#include "fs/scratch/scratch_become.h"
#include "fs/vector/change.h"
#include "fs/vector/gone.h"
#include "fs/vector/node.h"
#include "fs/vector/vector_file.h"
#include "fs/view/view_file.h"

struct rename_op {
	struct attempt attempt;
	uint64_t from; /* an ID; not used where a scratch file is renamed */
	uint64_t to;
	unsigned flags; /* QUIVER_NOREPLACE */
	bool scratch; /* the file `name` in `parent`, */
	bool view; /* whose new name is that of a view: */
	enum tree_form form;
	uint64_t parent;
	char name[SCRATCH_NAME_MAX + 1];
};

/* The file of those who have the scratch file open: a scratch_open_fn. */
static struct scratch_heir open_heir(struct fs *fs, const void *arg)
{
	const struct rename_op *op = arg;
	struct scratch_heir heir = { .ops = NULL };

	if (op->view)
		heir.err = view_open_heir(fs, op->to, op->form, &heir.ino, &heir.fh);
	else
		heir.err = vector_open_heir(fs, op->to, &heir.fh);
	if (!op->view)
		heir.ino = tree_node_of_id(op->to);
	if (heir.err == 0)
		heir.ops = op->view ? &view_ops : &vector_ops;
	return heir;
}

/* Commit `data` as what the file becomes. */
static int put_scratch(const struct rename_op *op, const void *data,
                       const struct scratch_bytes *bytes, bool may_wait)
{
	struct scratch_heir unused = { .ops = NULL };
	struct fs *fs = op->attempt.fs;
	struct change change;
	int err = change_begin(fs, op->to, op->to, may_wait, &change);

	if (err != 0)
		return err;
	err = change_last(fs, op->to, may_wait, &change);
	if (err == 0)
		err = quiver_put(fs->store, op->to, data, &bytes->attr, QUIVER_ATTR_ALL,
		                 op->flags | attempt_flags(may_wait), &change.lsn);
	if (err == 0)
		change_replaced(fs, op->to, &change);
	if (err == 0)
		unused = scratch_become(fs, bytes->ino, open_heir, op);
	change_end(fs, &change);
	scratch_close_heir(fs, unused);
	return err;
}

/* The bytes of the vector that is written in the file's form, in *data, to be freed. */
static int decode(const struct rename_op *op, const struct scratch_bytes *bytes,
                  unsigned char **data)
{
	const char *text = bytes->data != NULL ? (const char *)bytes->data : "";
	struct view_reason reason = { "" };
	struct fs *fs = op->attempt.fs;
	char shown[TREE_VIEW_NAME_BYTES];

	*data = malloc(fs->geometry.vector_bytes);
	if (*data == NULL)
		return -ENOMEM;
	if (view_decode(&fs->geometry, op->form, text, bytes->size, *data, &reason) == 0)
		return 0;
	/* EINVAL would make mv say something else. */
	tree_format_view(op->to, op->form, shown);
	return refuse(fs, -ENODATA, "%s: %s", shown, reason.text);
}

/* -EAGAIN where it would wait. */
static int rename_scratch(const struct rename_op *op, bool may_wait)
{
	struct fs *fs = op->attempt.fs;
	uint32_t wanted = op->view ? 0 : fs->geometry.vector_bytes;
	char shown[REFUSE_NAME_BYTES];
	struct scratch_bytes bytes;
	unsigned char *decoded = NULL;
	struct scratch_place place = { op->parent, op->name };
	int err = scratch_begin(fs, place, wanted, &bytes);

	if (err == -ENODATA) {
		refuse_show(op->name, shown);
		return refuse(fs, err,
		              "vector %" PRIu64 ": %s holds %" PRIu32 " of %" PRIu32 " bytes",
		              op->to, shown, bytes.size, wanted);
	}
	if (err != 0)
		return err;
	if (op->view)
		err = decode(op, &bytes, &decoded);
	if (err == 0)
		err = put_scratch(op, op->view ? decoded : bytes.data, &bytes, may_wait);
	if (err != 0)
		scratch_stay(fs, bytes.ino);
	free(decoded);
	/* A file of the new name that is open for writing, and was perhaps made a moment ago,
	 * is another node to the kernel, which does not learn by the rename that it changes. */
	if (err == 0 && (op->view || node_is_written(fs, op->to)))
		invalidate_vectors(fs, &op->to, 1);
	return err;
}

static int rename_vector(const struct rename_op *op, bool may_wait)
{
	struct fs *fs = op->attempt.fs;
	struct change change;
	int err;

	gone_begin(fs, op->from);
	err = change_begin(fs, op->from, op->to, may_wait, &change);
	if (err != 0)
		return err;
	err = change_last(fs, op->to, may_wait, &change);
	if (err == 0)
		err = quiver_rename(fs->store, op->from, op->to,
		                    op->flags | attempt_flags(may_wait), &change.lsn);
	if (err == 0) {
		change_replaced(fs, op->to, &change);
		change_renamed(fs, op->from, op->to, &change);
	}
	change_end(fs, &change);
	if (err != 0)
		return err;
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
	int err = op->scratch ? rename_scratch(op, may_wait) : rename_vector(op, may_wait);

	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0 && err != -ENOENT && err != -EEXIST && err != -ENODATA)
		(void)refuse(attempt->fs, err, "vector %" PRIu64 ": not renamed to: %s", op->to,
		             quiver_strerror(err));
	reply_error(attempt->req, err);
	return 0;
}

static struct rename_op rename_begin(fuse_req_t req, uint64_t to, unsigned flags)
{
	return (struct rename_op){
		.attempt = attempt_for(req, rename_answer),
		.to = to,
		.flags = flags,
	};
}

/* What a name in a folder stands for. */
enum name_kind { NAME_ELSEWHERE, NAME_SCRATCH, NAME_VIEW, NAME_VECTOR, NAME_NOTHING };
struct name {
	struct scratch_place place;
	enum name_kind kind;
	uint64_t id; /* NAME_VECTOR, NAME_VIEW: */
	enum tree_form form;
};

static struct name name_in(fuse_ino_t parent, const char *text)
{
	struct name name = { .place = { parent, text }, .kind = NAME_NOTHING };

	if (names_scratch(parent, text))
		name.kind = NAME_SCRATCH;
	else if (parent != TREE_VECTORS)
		name.kind = NAME_ELSEWHERE;
	else if (tree_parse_view(text, &name.id, &name.form))
		name.kind = NAME_VIEW;
	else if (tree_parse_id(text, &name.id))
		name.kind = NAME_VECTOR;
	return name;
}

/* A scratch file becomes a vector, by its ID or the name of one of its views. */
static void scratch_to_vector(fuse_req_t req, const struct name *from, const struct name *to,
                              unsigned flags)
{
	struct rename_op op = rename_begin(req, to->id, flags);

	op.scratch = true;
	op.view = to->kind == NAME_VIEW;
	op.form = to->form;
	op.parent = from->place.parent;
	(void)snprintf(op.name, sizeof(op.name), "%s", from->place.name);
	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

static void vector_to_vector(fuse_req_t req, uint64_t from, uint64_t to, unsigned flags)
{
	struct rename_op op = rename_begin(req, to, flags);
	const char *lacks = NULL;

	op.from = from;
	if (!(quiver_capabilities(fs_of(req)->store) & QUIVER_HAS_RENAME))
		lacks = "this kind of store cannot rename";
	else if (!fs_of(req)->can_rename)
		lacks = "renaming needs Linux 6.16";
	/* mv copies instead. */
	if (lacks != NULL)
		reply_error(req, refuse(fs_of(req), -EXDEV,
		                        "vector %" PRIu64 ": not renamed to %" PRIu64
		                        ", %s; copy and remove it, as mv does",
		                        from, to, lacks));
	else
		attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

static void refuse_no_id(fuse_req_t req, const char *name)
{
	refuse_name(req, name, "not the ID of a vector (a decimal number, no leading zero)",
	            -EINVAL);
}

static void rename_a_scratch(fuse_req_t req, const struct name *from, const struct name *to,
                             bool noreplace)
{
	struct fs *fs = fs_of(req);
	bool to_vector = to->kind == NAME_VECTOR || to->kind == NAME_VIEW;

	if (scratch_names_folder(fs, from->place) &&
	    (to->place.parent != TREE_VECTORS || to->place.name[0] != '.'))
		refuse_name(req, from->place.name,
		            "a folder of scratch files must stay in vectors/, with a name that "
		            "begins with a dot",
		            -EPERM);
	else if (to->kind == NAME_NOTHING)
		refuse_no_id(req, to->place.name);
	else if (to_vector)
		scratch_to_vector(req, from, to, noreplace ? QUIVER_NOREPLACE : 0u);
	else
		reply_error(req, scratch_rename(fs, from->place, to->place, noreplace));
}

static void rename_a_vector(fuse_req_t req, const struct name *from, const struct name *to,
                            bool noreplace)
{
	if (to->kind == NAME_VIEW)
		refuse_name(req, to->place.name, "a vector cannot be renamed to a view's name",
		            -EPERM);
	else if (to->kind == NAME_SCRATCH)
		refuse_name(req, from->place.name, "a vector cannot be renamed to a scratch name",
		            -EPERM);
	else if (to->kind == NAME_NOTHING)
		refuse_no_id(req, to->place.name);
	else
		vector_to_vector(req, from->id, to->id, noreplace ? QUIVER_NOREPLACE : 0u);
}

void rename_name(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                 const char *newname, unsigned flags)
{
	bool noreplace = (flags & RENAME_NOREPLACE) != 0;
	struct name from = name_in(parent, name);
	struct name to = name_in(newparent, newname);

	if (fs_of(req)->read_only)
		reply_error(req, -EROFS);
	else if (flags & ~(unsigned)RENAME_NOREPLACE)
		reply_error(req, -EINVAL);
	else if (from.kind == NAME_ELSEWHERE || to.kind == NAME_ELSEWHERE)
		refuse_name(req, name, "cannot be moved there", -EPERM);
	else if (from.kind == NAME_VIEW)
		refuse_name(
			req, name,
			"a view of a vector; to rename the vector, rename the file named by its ID",
			-EPERM);
	else if (from.kind == NAME_NOTHING)
		reply_error(req, -ENOENT);
	else if (from.kind == NAME_SCRATCH)
		rename_a_scratch(req, &from, &to, noreplace);
	else
		rename_a_vector(req, &from, &to, noreplace);
}
