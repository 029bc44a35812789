/*
 * control.c - the files of control/: the table, and the requests on them.
 *
 * A handle holds what its file read when it was opened. Where the kernel opens by
 * itself (fs->no_open) there is one such text for each file, which is made anew
 * when its attributes are asked for, as they are before each read(2), and a little
 * time has gone by: the read(2) that follows gets the size that was told.
 */
#include "fs/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/base/attr.h"
#include "fs/base/caller.h"
#include "fs/base/charge.h"
#include "fs/base/clock.h"
#include "fs/base/errors.h"
#include "fs/base/inside.h"
#include "fs/base/proc_umask.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/base/value.h"
#include "fs/control/control_get.h"
#include "fs/control/control_nearest.h"
#include "fs/control/control_show.h"
#include "fs/control/control_store.h"
#include "fs/question/exchange.h"

/* How long a text is left as it is for readers without a handle. */
#define TEXT_STABLE_NS INT64_C(200000000)
/* For how long what other machines have said of their room is told again, or that they have not. */
#define SPACE_GOOD_NS INT64_C(1000000000)
#define SPACE_FAILED_NS INT64_C(10000000000)
#define SPACE_WAIT_MS 1000u
/* Most that a value other than a batch may be: nobody writes more than a page. */
#define VALUE_BYTES_MAX 4096u

/* As much of a value as a message shows. */
#define SHOWN_BYTES 64

/* Where a write is worked on. */
enum control_place {
	CONTROL_HERE, /* it never waits */
	CONTROL_EITHER, /* here or by WORKER_COMMIT, as it says itself */
	CONTROL_COMMIT, /* WORKER_COMMIT */
	CONTROL_SYNC, /* WORKER_SYNC */
};

struct control_file {
	mode_t mode;
	control_show_fn *show; /* NULL: cannot be read, but for: */
	control_show_space_fn *show_space; /* of what tells how much room there is */
	control_store_fn *store; /* NULL: cannot be written */
	enum control_place place;
	const struct question_kind *questions; /* NULL but of a file that is asked: exchange.h */
};

#define READABLE(name)                            \
	{                                         \
		.mode = 0444, .show = show_##name \
	}
#define READABLE_SPACE(name)                            \
	{                                               \
		.mode = 0444, .show_space = show_##name \
	}
#define SETTABLE(name, where)                                                              \
	{                                                                                  \
		.mode = 0644, .show = show_##name, .store = store_##name, .place = (where) \
	}

static const struct control_file files[TREE_CONTROL_END - TREE_CONTROL_FIRST] = {
#define AT(node) [(node)-TREE_CONTROL_FIRST]
	AT(TREE_FLUSH) = SETTABLE(flush, CONTROL_SYNC),
	AT(TREE_CHECKPOINT) = SETTABLE(checkpoint, CONTROL_SYNC),
	/* Not for what they wait for: the thread that they start inherits the CPUs of who
	 * starts it, and a ring's thread has one. */
	AT(TREE_COMPACT) = SETTABLE(compact, CONTROL_COMMIT),
	AT(TREE_VERIFY) = SETTABLE(verify, CONTROL_COMMIT),
	AT(TREE_PUT) = { .mode = 0200, .store = store_put, .place = CONTROL_EITHER },
	AT(TREE_GET) = { .mode = 0666, .questions = &get_questions },
	AT(TREE_ASK_NEAREST) = { .mode = 0666, .questions = &nearest_questions },
	AT(TREE_NEAREST_INDEX) = SETTABLE(nearest_index, CONTROL_SYNC),
	AT(TREE_DURABILITY) = SETTABLE(durability, CONTROL_SYNC),
	AT(TREE_RESERVE) = { .mode = 0644,
	                     .show_space = show_reserve,
	                     .store = store_reserve,
	                     .place = CONTROL_SYNC },
	AT(TREE_AUTOCOMPACT_PERCENT) = SETTABLE(autocompact_percent, CONTROL_HERE),
	/* The owner's: IDs and names of others are in it. */
	AT(TREE_ERRORS) = { .mode = 0600,
	                    .show = show_errors,
	                    .store = store_errors,
	                    .place = CONTROL_HERE },
	AT(TREE_STATS) = READABLE_SPACE(stats),
	AT(TREE_METRICS) = READABLE_SPACE(metrics),
	AT(TREE_DIM) = READABLE(dim),
	AT(TREE_DTYPE) = READABLE(dtype),
	AT(TREE_COUNT) = READABLE(count),
	AT(TREE_SLOTS) = READABLE(slots),
	AT(TREE_UUID) = READABLE(uuid),
	AT(TREE_VERSION) = READABLE(version),
	AT(TREE_FORMAT_VERSION) = READABLE(format_version),
	AT(TREE_LABEL) = SETTABLE(label, CONTROL_SYNC),
	AT(TREE_METRIC) = SETTABLE(metric, CONTROL_SYNC),
	AT(TREE_SNAPSHOT_LIST) = READABLE(snapshots),
	AT(TREE_LSN) = READABLE(lsn),
	AT(TREE_CREATED) = READABLE(created),
	AT(TREE_OWN_BYTES) = READABLE(own_bytes),
	AT(TREE_SNAPSHOT_UUID) = READABLE(snapshot_uuid),
#undef AT
};
#define FILES (TREE_CONTROL_END - TREE_CONTROL_FIRST)

/* What a file reads. */
struct text {
	char *bytes; /* malloc'd, or NULL for none */
	size_t length;
};

/* The text that was last told the size of. */
struct current {
	struct text text; /* control's lock */
	int64_t made_ns; /* control's lock; monotonic clock, 0 never */
	int64_t changed_ns; /* control's lock; when it last became another text */
};

/* The kernel lets no request of a handle overtake its open or follow its release,
 * but that is not an order that the memory model or a thread checker knows of: so
 * every member is looked at under the lock. */
struct control_handle {
	struct text text; /* control's lock */
	uid_t uid; /* control's lock; who opened it, and pays for the text */
	struct exchange *exchange; /* control's lock; of a file that is asked */
	mode_t umask; /* control's lock; of whoever opened control/put */
	struct control_handle *next, **back; /* control's lock */
};

struct control {
	pthread_mutex_t lock;
	struct current current[FILES]; /* lock */
	struct control_handle *handles; /* lock; all that are open */
	/* What other machines have said last, and until when that is good enough. */
	struct quiver_space space; /* lock */
	int space_err; /* lock */
	int64_t space_until_ns; /* lock; monotonic clock */
};

static const struct control_file *file_of(fuse_ino_t ino)
{
	return &files[ino - TREE_CONTROL_FIRST];
}

static struct control_handle *control_handle_of(const struct fuse_file_info *fi)
{
	return (struct control_handle *)(uintptr_t)fi->fh;
}

static bool is_readable(const struct control_file *file)
{
	return file->show != NULL || file->show_space != NULL;
}

/* Ask other machines, for no longer than who reads a file of control/ can be kept waiting: these
 * files tell what is wrong when nothing else answers. -EAGAIN. */
static int ask_space(struct fs *fs, unsigned flags, struct quiver_space *space)
{
	int err;

	attempt_wait_at_most(SPACE_WAIT_MS);
	err = quiver_space(fs->store, flags, space);
	attempt_wait_at_most(0);
	return err;
}

/* How much room there is. Where that is asked of other machines the answer holds for a while, as does
 * that there was none. -EAGAIN; errors of the store. */
static int take_space(struct fs *fs, unsigned flags, struct quiver_space *space)
{
	struct control *control = fs->control;
	int64_t now = clock_steady_ns();
	bool known;
	int err;

	if (!fs->shared)
		return quiver_space(fs->store, flags, space);
	pthread_mutex_lock(&control->lock);
	known = now < control->space_until_ns;
	err = control->space_err;
	*space = control->space;
	pthread_mutex_unlock(&control->lock);
	if (known)
		return err;
	err = ask_space(fs, flags, space);
	if (err == -EAGAIN)
		return err;
	pthread_mutex_lock(&control->lock);
	control->space_until_ns = clock_steady_ns() + (err == 0 ? SPACE_GOOD_NS : SPACE_FAILED_NS);
	control->space_err = err;
	if (err == 0)
		control->space = *space;
	pthread_mutex_unlock(&control->lock);
	return err;
}

/* Make the text of a file now. -ENOMEM, -EAGAIN. Takes no lock of ours. */
static int make_text(struct fs *fs, const struct control_file *file, unsigned flags,
                     struct text *text)
{
	struct quiver_space space;
	int space_err = 0;
	FILE *out;

	*text = (struct text){ NULL, 0 };
	if (!is_readable(file))
		return 0;
	if (file->show_space != NULL)
		space_err = take_space(fs, flags, &space);
	if (space_err == -EAGAIN)
		return space_err;
	out = open_memstream(&text->bytes, &text->length);
	if (!out)
		return -ENOMEM;
	if (file->show_space != NULL)
		file->show_space(fs, out, space_err == 0 ? &space : NULL);
	else if (file->show != NULL)
		file->show(fs, out);
	/* The stream remembers any error of what was printed, of which there is one. */
	if (ferror(out) | fclose(out)) {
		free(text->bytes);
		*text = (struct text){ NULL, 0 };
		return -ENOMEM;
	}
	return 0;
}

/* Bring the current text up to date and copy its attributes. -ENOMEM, -EAGAIN. */
static int refresh(struct fs *fs, fuse_ino_t ino, unsigned flags, size_t *length,
                   int64_t *changed_ns)
{
	struct control *control = fs->control;
	struct current *current = &control->current[ino - TREE_CONTROL_FIRST];
	int64_t now = clock_steady_ns();
	struct text text;
	bool fresh;
	int err = 0;

	pthread_mutex_lock(&control->lock);
	fresh = fs->no_open && current->made_ns && now - current->made_ns < TEXT_STABLE_NS;
	pthread_mutex_unlock(&control->lock);
	if (!fresh) {
		err = make_text(fs, file_of(ino), flags, &text);
		if (err != 0)
			return err;
	}
	pthread_mutex_lock(&control->lock);
	if (!fresh) {
		if (!current->made_ns || text.length != current->text.length ||
		    (text.length > 0 && memcmp(text.bytes, current->text.bytes, text.length) != 0))
			current->changed_ns = clock_now_ns();
		free(current->text.bytes);
		current->text = text;
		current->made_ns = now;
	}
	*length = current->text.length;
	*changed_ns = current->changed_ns;
	pthread_mutex_unlock(&control->lock);
	return 0;
}

/* What makes sense in a snapshot, beside what is of snapshots alone. */
static bool is_of_any_state(fuse_ino_t ino)
{
	return ino == TREE_STATS || ino == TREE_DIM || ino == TREE_DTYPE || ino == TREE_COUNT ||
	       ino == TREE_SLOTS || ino == TREE_UUID || ino == TREE_LABEL || ino == TREE_METRIC;
}

/* Whether this mount has the file: what can only be written is of no use on a
 * read-only one. */
static bool exists(const struct fs *fs, fuse_ino_t ino)
{
	if (ino < TREE_CONTROL_FIRST || ino >= TREE_CONTROL_END)
		return false;
	if (ino >= TREE_LSN)
		return fs->snapshot.name[0] != '\0' && (ino != TREE_OWN_BYTES || fs->guest != NULL);
	if (fs->guest != NULL)
		return is_of_any_state(ino);
	if (ino == TREE_SNAPSHOT_LIST)
		return quiver_capabilities(fs->store) & QUIVER_HAS_SNAPSHOTS;
	if (ino == TREE_NEAREST_INDEX)
		return quiver_capabilities(fs->store) & QUIVER_HAS_NEAREST_INDEX;
	return is_readable(file_of(ino)) || !fs->read_only;
}

/* A file that this mount does not have is neither found nor listed. */
static int control_attr(struct fs *fs, fuse_ino_t ino, unsigned flags, struct stat *st,
                        double *timeout)
{
	struct quiver_attr attr = { .uid = fs->owner_uid, .gid = fs->owner_gid };
	size_t length;
	int err;

	if (!exists(fs, ino))
		return -ENOENT;
	err = refresh(fs, ino, flags, &length, &attr.mtime_ns);
	if (err != 0)
		return err;
	attr.ctime_ns = attr.mtime_ns;
	attr.mode = (uint16_t)(file_of(ino)->mode & (fs->read_only ? 0444u : 0777u));
	attr_file(fs, ino, &attr, length, 1, st);
	st->st_blksize = 4096;
	*timeout = 0;
	return 0;
}

/* ---- handles ------------------------------------------------------------ */

static void handle_add(struct control *control, struct control_handle *handle)
{
	pthread_mutex_lock(&control->lock);
	handle->next = control->handles;
	handle->back = &control->handles;
	if (handle->next)
		handle->next->back = &handle->next;
	control->handles = handle;
	pthread_mutex_unlock(&control->lock);
}

static void handle_free(struct fs *fs, struct control_handle *handle)
{
	charge_give(fs, CHARGE_CONTROL_BYTES, handle->uid, handle->text.length);
	exchange_free(handle->exchange);
	free(handle->text.bytes);
	free(handle);
}

/* The opposite of handle_add, and the end of the handle. */
static void handle_remove(struct fs *fs, struct control_handle *handle)
{
	struct control *control = fs->control;

	pthread_mutex_lock(&control->lock);
	*handle->back = handle->next;
	if (handle->next)
		handle->next->back = handle->back;
	handle_free(fs, handle);
	pthread_mutex_unlock(&control->lock);
}

/* Whether the file can be opened so; root is not held up by the mode. -ENOENT, -EACCES, -EINVAL. */
static int check_open(struct fs *fs, fuse_ino_t ino, int flags)
{
	const struct control_file *file = file_of(ino);
	int mode = flags & O_ACCMODE;

	if (!exists(fs, ino))
		return -ENOENT;
	if (file->questions != NULL)
		return exchange_check_open(fs, file->questions, flags);
	if (mode != O_WRONLY && !is_readable(file))
		return -EACCES;
	if (mode != O_RDONLY && !file->store)
		return -EACCES;
	return 0;
}

/* Whoever opens it pays. -EDQUOT, -ENFILE: told; -ENOMEM. Then there is no text. */
static int charge_text(struct fs *fs, fuse_ino_t ino, struct control_handle *handle)
{
	char name[REFUSE_NAME_BYTES];
	size_t length = handle->text.length;
	int err = charge_take(fs, CHARGE_CONTROL_BYTES, caller_uid, length);

	handle->uid = caller_uid;
	if (err == 0)
		return 0;
	free(handle->text.bytes);
	handle->text = (struct text){ NULL, 0 };
	if (err != -EDQUOT && err != -ENOSPC)
		return err;
	(void)snprintf(name, sizeof(name), "control/%s", tree_name(ino));
	(void)charge_refuse(fs, name, CHARGE_CONTROL_BYTES, caller_uid, length, err);
	return err == -ENOSPC ? -ENFILE : err;
}

/* Whether the file tells of a store that others change how many vectors it has. */
static bool is_counted(const struct fs *fs, fuse_ino_t ino)
{
	return fs->shared && ino == TREE_COUNT;
}

/* How many there are now, which only a listing tells. */
static int count_anew(struct fs *fs, unsigned flags)
{
	struct quiver_list *list;
	int err = quiver_list_open(fs->store, flags, &list);

	if (err == 0)
		quiver_list_close(fs->store, list);
	return err;
}

/* An exchange with who opens a file that is asked. -EACCES, -ENOMEM, -EAGAIN, errors of the store. */
static int begin_exchange(fuse_req_t req, fuse_ino_t ino, unsigned flags,
                          struct control_handle *handle)
{
	struct asker asker;
	int err = asker_of(req, flags, &asker);

	if (err != 0)
		return err;
	handle->exchange = exchange_new(fs_of(req), file_of(ino)->questions, 0, &asker);
	if (handle->exchange == NULL) {
		asker_free(&asker);
		return -ENOMEM;
	}
	return 0;
}

struct control_open_op {
	struct attempt attempt;
	fuse_ino_t ino;
	struct fuse_file_info fi;
};

static int control_open_answer(struct attempt *attempt, bool may_wait)
{
	struct control_open_op *op = (struct control_open_op *)attempt;
	struct fs *fs = attempt->fs;
	const struct control_file *file = file_of(op->ino);
	struct control_handle *handle = calloc(1, sizeof(*handle));
	int err = handle != NULL ? 0 : -ENOMEM;

	if (err == 0 && is_counted(fs, op->ino))
		err = count_anew(fs, attempt_flags(may_wait));
	if (err == 0 && (op->fi.flags & O_ACCMODE) != O_WRONLY)
		err = make_text(fs, file, attempt_flags(may_wait), &handle->text);
	if (err == 0 && file->questions != NULL)
		err = begin_exchange(attempt->req, op->ino, attempt_flags(may_wait), handle);
	if (err == 0)
		err = charge_text(fs, op->ino, handle);
	if (err != 0)
		goto out;
	if (op->ino == TREE_PUT)
		handle->umask = proc_umask(fuse_req_ctx(attempt->req)->pid);
	handle_add(fs->control, handle);
	op->fi.fh = (uint64_t)(uintptr_t)handle;
	op->fi.direct_io = 1; /* its size is not known before it is read */
	op->fi.parallel_direct_writes = op->ino == TREE_PUT; /* each is a commit of its own */
	if (inside_reply_open(fs, attempt->req, &op->fi) < 0)
		handle_remove(fs, handle); /* nobody got it to give it back */
	return 0;
out:
	if (handle != NULL)
		exchange_free(handle->exchange);
	free(handle);
	if (err == -EAGAIN && !may_wait)
		return err;
	reply_error(attempt->req, err);
	return 0;
}

static void control_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct control_open_op op = {
		.attempt = attempt_for(req, control_open_answer),
		.ino = ino,
		.fi = *fi,
	};
	int err = check_open(op.attempt.fs, ino, fi->flags);

	if (err != 0)
		reply_error(req, err);
	else
		attempt_start(&op.attempt, sizeof(op),
		              is_counted(op.attempt.fs, ino) ? WORKER_READ : WORKER_CONTROL);
}

static void control_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	handle_remove(fs_of(req), control_handle_of(fi));
	reply_error(req, 0);
}

/* ---- reading ------------------------------------------------------------ */

/* Copy the part of `text` that is asked for into the reply. The number of bytes. */
static size_t copy_part(const struct text *text, size_t size, off_t off, char *to)
{
	size_t left = off >= 0 && (size_t)off < text->length ? text->length - (size_t)off : 0;
	size_t length = size < left ? size : left;

	if (length > 0)
		memcpy(to, text->bytes + off, length);
	return length;
}

/* What a read without a handle gets: the current text, under the lock. -ENOMEM, -EAGAIN. */
static int copy_current(struct fs *fs, fuse_ino_t ino, unsigned flags, off_t off,
                        struct reply *reply, size_t *size)
{
	struct control *control = fs->control;
	int64_t changed_ns;
	size_t length;
	int err = refresh(fs, ino, flags, &length, &changed_ns);

	if (err != 0)
		return err;
	pthread_mutex_lock(&control->lock);
	*size = copy_part(&control->current[ino - TREE_CONTROL_FIRST].text, *size, off,
	                  reply->data);
	pthread_mutex_unlock(&control->lock);
	return 0;
}

struct control_read_op {
	struct attempt attempt;
	const struct control_handle *handle; /* NULL where there is none */
	fuse_ino_t ino;
	size_t size;
	off_t offset;
};

static int control_read_answer(struct attempt *attempt, bool may_wait)
{
	const struct control_read_op *op = (const struct control_read_op *)attempt;
	struct fs *fs = attempt->fs;
	size_t size = op->size;
	struct reply reply;
	int err;

	/* Copied, so that nothing of ours is needed any more once the kernel has the
	 * answer: a RELEASE may then free the handle at once. */
	err = reply_begin(&reply, attempt->req, size);
	if (err == 0 && !exists(fs, op->ino))
		err = -ENOENT;
	if (err == 0 && op->handle) {
		pthread_mutex_lock(&fs->control->lock);
		size = copy_part(&op->handle->text, size, op->offset, reply.data);
		pthread_mutex_unlock(&fs->control->lock);
	} else if (err == 0) {
		err = copy_current(fs, op->ino, attempt_flags(may_wait), op->offset, &reply, &size);
	}
	if (err == -EAGAIN && !may_wait) {
		reply_cancel(&reply);
		return err;
	}
	reply_end(&reply, err, size);
	return 0;
}

/* NULL where there is no handle, or the file is none that is asked. */
static struct exchange *exchange_of(struct fs *fs, const struct fuse_file_info *fi)
{
	const struct control_handle *handle = control_handle_of(fi);
	struct exchange *exchange = NULL;

	pthread_mutex_lock(&fs->control->lock);
	if (handle != NULL)
		exchange = handle->exchange;
	pthread_mutex_unlock(&fs->control->lock);
	return exchange;
}

static void control_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                         struct fuse_file_info *fi)
{
	struct exchange *exchange = exchange_of(fs_of(req), fi);
	struct control_read_op op = {
		.attempt = attempt_for(req, control_read_answer),
		.handle = control_handle_of(fi),
		.ino = ino,
		.size = size,
		.offset = off,
	};

	if (exchange != NULL)
		exchange_read(req, exchange, size);
	else
		attempt_start(&op.attempt, sizeof(op), WORKER_CONTROL);
}

/* ---- writing ------------------------------------------------------------ */

/* The umask of whoever opened the handle; there may be none. */
static mode_t umask_of(struct control *control, const struct control_handle *handle)
{
	mode_t mask = 0;

	pthread_mutex_lock(&control->lock);
	if (handle)
		mask = handle->umask;
	pthread_mutex_unlock(&control->lock);
	return mask;
}

/* What the name of an error leaves out. */
static const char *more_about(int err)
{
	switch (err) {
	case -EOPNOTSUPP:
		return " by this kind of store";
	case -ENODATA: /* of nearest_index alone */
		return ": the store holds fewer than 10,000 vectors; comparing all of them is "
		       "fast, so no index is needed";
	default:
		return "";
	}
}

/* Say what could not be done. Values that make no sense have been reported. */
static void report(const struct control_write *write, int err)
{
	char shown[SHOWN_BYTES] = "";

	if (is_readable(write->file)) {
		size_t length;
		const char *value =
			value_trim(write->attempt.data, write->attempt.data_bytes, &length);

		value_show(value, length, shown, sizeof(shown));
	}
	(void)refuse(write->attempt.fs, err, "control/%s: %s%s%s%s", write->name, shown,
	             shown[0] ? ": " : "", quiver_strerror(err), more_about(err));
}

static int control_write_answer(struct attempt *attempt, bool may_wait)
{
	struct control_write *write = (struct control_write *)attempt;
	int err;

	if (!may_wait && write->file->place > CONTROL_EITHER)
		return -EAGAIN;
	write->by_worker = may_wait;
	err = write->file->store(write);
	if (err == -EAGAIN && !may_wait && write->file->place == CONTROL_EITHER)
		return err;
	if (err != 0 && err != -EINVAL)
		report(write, err);
	reply_written(attempt->req, err, attempt->data_bytes);
	return 0;
}

static void control_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                          struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	const struct control_file *file = file_of(ino);
	struct exchange *exchange = exchange_of(fs, fi);
	struct control_write write = {
		.attempt = attempt_with(req, control_write_answer, buf, size),
		.file = file,
		.name = tree_name(ino),
		.uid = fuse_req_ctx(req)->uid,
		.gid = fuse_req_ctx(req)->gid,
		.umask = umask_of(fs->control, control_handle_of(fi)),
		.sync = fi->flags & (O_SYNC | O_DSYNC),
	};

	(void)off; /* each write carries a whole value, wherever it is put */
	if (exchange != NULL) {
		exchange_write(req, exchange, buf, size);
	} else if (!exists(fs, ino) || file->store == NULL) {
		reply_error(req, -EACCES);
	} else if (ino != TREE_PUT && size > VALUE_BYTES_MAX) {
		reply_error(req,
		            refuse(fs, -EINVAL, "control/%s: got %zu bytes, expected one value",
		                   write.name, size));
	} else {
		attempt_start(&write.attempt, sizeof(write),
		              file->place == CONTROL_SYNC ? WORKER_SYNC : WORKER_COMMIT);
	}
}

struct control_setattr_op {
	struct attempt attempt;
	fuse_ino_t ino;
};

static int control_setattr_answer(struct attempt *attempt, bool may_wait)
{
	fuse_ino_t ino = ((const struct control_setattr_op *)attempt)->ino;
	double timeout = 0;
	struct stat st;
	int err = control_attr(attempt->fs, ino, attempt_flags(may_wait), &st, &timeout);

	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0)
		reply_error(attempt->req, err);
	else
		(void)fuse_reply_attr(attempt->req, &st, timeout);
	return 0;
}

/* A size change (from O_TRUNC) is a success without effect, but of the file that a shell's
 * `: > errors` is to empty. */
static void control_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                            struct fuse_file_info *fi)
{
	struct control_setattr_op op = {
		.attempt = attempt_for(req, control_setattr_answer),
		.ino = ino,
	};

	(void)fi;
	if (ino == TREE_ERRORS && (to_set & FUSE_SET_ATTR_SIZE) != 0 && attr->st_size == 0)
		errors_clear(op.attempt.fs->errors);
	if (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		reply_error(req, -EPERM);
	else
		attempt_start(&op.attempt, sizeof(op), WORKER_CONTROL);
}

/* ---- life --------------------------------------------------------------- */

static int control_init(struct fs *fs)
{
	struct control *control = calloc(1, sizeof(*control));

	if (control == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&control->lock, NULL); /* cannot fail with default attributes */
	fs->control = control;
	return 0;
}

static void control_fini(struct fs *fs)
{
	struct control *control = fs->control;

	if (!control)
		return;
	for (struct control_handle *handle = control->handles, *next; handle; handle = next) {
		next = handle->next;
		handle_free(fs, handle);
	}
	for (size_t i = 0; i < FILES; i++)
		free(control->current[i].text.bytes);
	pthread_mutex_destroy(&control->lock);
	free(control);
	fs->control = NULL;
}

const struct node_ops control_ops = {
	.init = control_init,
	.fini = control_fini,
	.attr = control_attr,
	.setattr = control_setattr,
	.open = control_open,
	.read = control_read,
	.write = control_write,
	.release = control_release,
	.changes_read_only = true,
};
