/* view_stage.c - what a writer of a view has handed over, until it is a vector. */
#include "fs/view/view_stage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/charge.h"
#include "fs/base/errors.h"
#include "fs/base/invalidate.h"
#include "fs/base/refuse.h"
#include "fs/base/view_bytes.h"
#include "fs/vector/handle.h"

/* One line, named as the file is; returns err. */
static int refuse_file(struct fs *fs, const struct view_handle *h, const char *why, int err)
{
	char name[TREE_VIEW_NAME_BYTES];

	tree_format_view(h->view->id, h->view->form, name);
	return refuse(fs, err, "%s: %s", name, why);
}

int view_charge(struct fs *fs, const struct view_handle *h, size_t more)
{
	char name[TREE_VIEW_NAME_BYTES];
	/* That there is room for a second node was looked at when it was given. */
	bool anyway = h->view->form == TREE_FORM_SAME;
	int err = anyway ? charge_take_anyway(fs, CHARGE_VIEW_BYTES, h->uid, more)
	                 : charge_take(fs, CHARGE_VIEW_BYTES, h->uid, more);

	if (err != -EDQUOT && err != -ENOSPC)
		return err;
	tree_format_view(h->view->id, h->view->form, name);
	return charge_refuse(fs, name, CHARGE_VIEW_BYTES, h->uid, more, err);
}

/* A step that failed, with a line but where view_charge has said why; returns err. */
static int refuse_step(struct fs *fs, const struct view_handle *h, int err)
{
	return err == -EDQUOT || err == -ENOSPC ? err
	                                        : refuse_file(fs, h, quiver_strerror(err), err);
}

/* The caller holds h->lock, here and below. */

/* Tell others how long the file is. */
static void show_size(struct fs *fs, struct view_handle *h)
{
	views_lock(fs);
	h->touched = true;
	h->shown = h->loaded;
	h->shown_size = h->size;
	views_unlock(fs);
}

/* An O_TRUNC that came since the last step. */
static void take_cut(struct fs *fs, struct view_handle *h)
{
	bool cut;

	views_lock(fs);
	cut = h->cut;
	h->cut = false;
	views_unlock(fs);
	if (!cut)
		return;
	if (h->size > 0)
		memset(h->bytes, 0, h->size);
	h->size = 0;
	h->loaded = true;
	h->dirty = true;
}

/* Have room for `size` bytes, zero from h->size on. -EFBIG, -EDQUOT, -ENOSPC, -ENOMEM. */
static int reserve(struct fs *fs, struct view_handle *h, uint64_t size)
{
	size_t most = view_bytes_max(&fs->geometry, h->view->form);
	size_t room = h->room > 0 ? h->room : fs->geometry.vector_bytes;
	char *bytes;
	int err;

	if (size > most)
		return -EFBIG;
	if (size <= h->room)
		return 0;
	while (room < size)
		room *= 2;
	if (room > most)
		room = most;
	err = view_charge(fs, h, room - h->room);
	if (err != 0)
		return err;
	bytes = realloc(h->bytes, room);
	if (bytes == NULL) {
		charge_give(fs, CHARGE_VIEW_BYTES, h->uid, room - h->room);
		return -ENOMEM;
	}
	memset(bytes + h->room, 0, room - h->room);
	h->bytes = bytes;
	h->room = room;
	return 0;
}

int view_load_stage(struct fs *fs, struct view_handle *h)
{
	unsigned char *vector;
	struct version *version = NULL;
	size_t size = 0, room = 0;
	char *bytes = NULL;
	int err;

	take_cut(fs, h);
	if (h->loaded)
		return 0;
	vector = malloc(fs->geometry.vector_bytes);
	if (vector == NULL)
		return -ENOMEM;
	err = handle_version(fs, h->vector, 0, &version);
	if (err == 0)
		err = quiver_ref_verify(fs->store, &version->ref, 0);
	if (err == 0)
		err = quiver_ref_read(fs->store, &version->ref, 0, fs->geometry.vector_bytes, 0,
		                      vector);
	version_drop(fs, version);
	if (err == 0)
		err = view_encode(&fs->geometry, h->view->form, vector, &bytes, &size, &room);
	if (err == 0)
		err = view_charge(fs, h, room);
	free(vector);
	if (err != 0) {
		free(bytes);
		return err == -ENOENT ? -ESTALE : err;
	}
	h->bytes = bytes;
	h->size = size;
	h->room = room;
	h->loaded = true;
	show_size(fs, h);
	return 0;
}

/* What was said of the file, and its times, are past. */
static void file_changed(struct fs *fs, struct view_handle *h)
{
	h->dirty = true;
	h->meant = true;
	h->failed = 0;
	h->reported = false;
	stage_touch(h->vector);
	show_size(fs, h);
}

int view_stage_write(struct fs *fs, struct view_handle *h, const void *data, size_t size,
                     uint64_t offset, bool append)
{
	int err = view_load_stage(fs, h);

	if (err != 0)
		return refuse_step(fs, h, err);
	if (size == 0)
		return 0;
	if (append)
		offset = h->size;
	err = offset <= INT64_MAX ? reserve(fs, h, offset + size) : -EFBIG;
	if (err != 0)
		return refuse_step(fs, h, err);
	memcpy(h->bytes + offset, data, size);
	if (offset + size > h->size)
		h->size = offset + size;
	file_changed(fs, h);
	return 0;
}

int view_stage_truncate(struct fs *fs, struct view_handle *h, uint64_t size, bool *same)
{
	int err = 0;

	if (size == 0) {
		views_lock(fs);
		h->cut = true;
		views_unlock(fs);
	}
	err = view_load_stage(fs, h);
	*same = err == 0 && size == h->size && size > 0;
	if (*same)
		return 0;
	if (err == 0)
		err = reserve(fs, h, size);
	if (err != 0)
		return refuse_step(fs, h, err);
	if (size < h->size)
		memset(h->bytes + size, 0, h->size - size);
	h->size = size;
	file_changed(fs, h);
	return 0;
}

int view_stage_allocate(struct fs *fs, struct view_handle *h, uint64_t end)
{
	bool same;
	int err = view_load_stage(fs, h);

	if (err != 0)
		return refuse_file(fs, h, quiver_strerror(err), err);
	return end > h->size ? view_stage_truncate(fs, h, end, &same) : 0;
}

/* np.savetxt opens its file once for nothing before it writes, which looks like cp of an empty file
 * until it comes back. */
static void hold_refusal(struct fs *fs, const struct view_handle *h)
{
	char name[TREE_VIEW_NAME_BYTES];
	bool followed;

	tree_format_view(h->view->id, h->view->form, name);
	errors_hold(fs->errors, h->view->id, h->tid,
	            "%s: an empty text is not a vector; nothing was changed", name);
	/* The kernel does not wait for a RELEASE: he may be back before it comes. */
	handle_lock(h->vector);
	followed = h->vector->followed;
	handle_unlock(h->vector);
	if (followed)
		errors_take_back(fs->errors, h->view->id, h->tid);
}

int view_stage_commit(struct fs *fs, struct view_handle *h, enum stage_when when)
{
	unsigned char *vector;
	struct view_reason reason = { "" };
	uint64_t id;
	int err;

	take_cut(fs, h);
	if (!h->dirty || (when == STAGE_RELEASE && h->failed != 0))
		return 0;
	if (h->size == 0 && h->view->form == TREE_FORM_TXT && when != STAGE_FSYNC && !h->meant) {
		if (when == STAGE_RELEASE && !h->reported)
			hold_refusal(fs, h);
		return 0;
	}
	vector = malloc(fs->geometry.vector_bytes);
	if (vector == NULL)
		return -ENOMEM;
	err = view_decode(&fs->geometry, h->view->form, h->bytes, h->size, vector, &reason);
	if (err == 0) {
		err = stage_put(fs, h->vector, vector, &id);
		h->failed = err;
		h->dirty = err != 0;
		if (err == 0)
			invalidate_vectors(fs, &id, 1);
	} else if (when != STAGE_FLUSH && !h->reported) {
		h->reported = true;
		(void)refuse_file(fs, h, reason.text, err);
	}
	free(vector);
	return err;
}

bool view_stage_cut(struct fs *fs, struct view *view, pid_t tid, bool cuts)
{
	struct view_handle *found;
	struct handle *vector = NULL;

	views_lock(fs);
	found = view->handles;
	while (found != NULL && !handle_may_be_cut(found->vector, found->touched, tid))
		found = found->next;
	if (found != NULL) {
		found->touched = true;
		found->cut = true;
		found->shown = true;
		found->shown_size = 0;
		vector = found->vector;
	}
	views_unlock(fs);
	/* It is not closed before its OPEN has returned. */
	if (vector != NULL && cuts)
		stage_drops_setid(vector);
	return found != NULL;
}
