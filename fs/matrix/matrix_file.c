/*
 * matrix_file.c - matrix.npy and ids.npy, the raw views.
 *
 * Where the kernel and our rights allow it an open file is passed through: reads
 * and maps of it go to the store's own file, and no request comes here. Otherwise
 * the pages come from the store's map, and the kernel caches them; while such a file
 * is open the rows are watched, and pages with rows that have changed are dropped
 * before whoever changed them is answered (tell.h).
 *
 * Where others change the store there are no such files; what these are then is in row_table.h.
 *
 * While files are open their store files are held, so that they are not cut. Where
 * the kernel opens by itself (fs->no_open) they are held throughout.
 *
 * Of a snapshot (QUIVER_IMMUTABLE) the store's file of vectors has the rows, but another header and
 * perhaps another size. So reads of matrix.npy come here and maps alone are passed through, which
 * FOPEN_DIRECT_IO beside a backing file means to the kernel. ids.npy is another than the store's
 * throughout: it is read here, and cached.
 */
#include "fs/matrix/matrix_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/clock.h"
#include "fs/base/inside.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/base/worker.h"
#include "fs/matrix/row_table.h"
#include "fs/matrix/tell.h"

/* They show every vector, whatever its own mode is, and removed ones. */
#define MODE_DEFAULT 0600

/* What tells one state of the store from the next. */
struct state {
	uint64_t lsn, lsn_checkpoint;
	uint64_t moved, punches, growths;
	uint64_t slots, slots_free, slots_retired;
};

struct column {
	unsigned opens; /* matrix' lock; each has a hold */
	int backing_id; /* matrix' lock; > 0 while it is open and passed through */
	bool refused; /* matrix' lock; passing through did not work, so it is not tried */
	bool told; /* matrix' lock; the rows are watched for it, no older page is there */
};

struct matrix {
	pthread_mutex_t lock;
	struct column columns[2]; /* lock */
	struct row_table *rows; /* constant; NULL unless others change the store */
	struct teller *teller; /* constant */
	/* Held by who begins to watch for a file, until that is so; before `lock`. No READ
	 * wants it. */
	pthread_mutex_t watch_lock;
	bool quiet; /* lock; the mount ends, so nothing is watched any more */
	struct state state; /* lock; when the mtime was last looked at */
	int64_t mtime_ns; /* lock */
	bool held; /* both, for as long as the mount lives; constant */
};

static enum quiver_column column_of(fuse_ino_t ino)
{
	return ino == TREE_MATRIX ? QUIVER_COLUMN_VECTORS : QUIVER_COLUMN_IDS;
}

static struct column *column_file(struct matrix *matrix, fuse_ino_t ino)
{
	return &matrix->columns[ino == TREE_MATRIX ? 0 : 1];
}

/* ---- attributes --------------------------------------------------------- */

/* When the store last changed, as far as anybody could have seen by asking here. */
static int64_t mtime_now(struct fs *fs)
{
	struct matrix *matrix = fs->matrix;
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct state state;
	int64_t mtime_ns;

	quiver_stats(fs->store, &stats);
	memset(&state, 0, sizeof(state));
	state.lsn = stats.lsn;
	state.lsn_checkpoint = stats.lsn_checkpoint;
	state.moved = stats.moved;
	state.punches = stats.punches;
	state.growths = stats.growths;
	state.slots = stats.slots;
	state.slots_free = stats.slots_free;
	state.slots_retired = stats.slots_retired;
	pthread_mutex_lock(&matrix->lock);
	if (memcmp(&state, &matrix->state, sizeof(state)) != 0) {
		int64_t now = clock_now_ns();

		matrix->state = state;
		/* Another time in any case, whatever the clock does. */
		matrix->mtime_ns = now > matrix->mtime_ns ? now : matrix->mtime_ns + 1;
	}
	mtime_ns = matrix->mtime_ns;
	pthread_mutex_unlock(&matrix->lock);
	return mtime_ns;
}

/* Whether nothing of it ever changes. */
static bool is_frozen(const struct fs *fs)
{
	return quiver_capabilities(fs->store) & QUIVER_IMMUTABLE;
}

/* Whether the store has columns that are files; else the mount has none of ours, or rows of its own. */
static bool has_columns(const struct fs *fs)
{
	return quiver_capabilities(fs->store) & QUIVER_HAS_COLUMNS;
}

static int matrix_attr(struct fs *fs, fuse_ino_t ino, unsigned flags, struct stat *st,
                       double *timeout)
{
	struct quiver_attr attr = {
		.uid = fs->owner_uid,
		.gid = fs->owner_gid,
		.mode = fs->set_matrix_mode ? (uint16_t)fs->matrix_mode : MODE_DEFAULT,
	};

	uint64_t bytes;

	(void)flags; /* nothing is asked that could wait */
	if (fs->matrix->rows != NULL) {
		bytes = row_table_bytes(fs, fs->matrix->rows, ino == TREE_IDS, &attr.mtime_ns);
	} else if (has_columns(fs)) {
		bytes = quiver_column_bytes(fs->store, column_of(ino));
		attr.mtime_ns = is_frozen(fs) ? fs->fixed_mtime_ns : mtime_now(fs);
	} else {
		return -ENOENT;
	}
	attr.ctime_ns = attr.mtime_ns;
	attr_file(fs, ino, &attr, bytes, 1, st);
	st->st_blksize = 4096;
	*timeout = is_frozen(fs) ? FS_CACHE_SECONDS : 0;
	return 0;
}

/* ---- watching ------------------------------------------------------------ */

/* Whether the kernel has pages of it that come from here. The caller holds the lock. */
static bool is_served(const struct column *column)
{
	return column->opens > 0 && column->backing_id == 0;
}

static unsigned served_columns(struct fs *fs)
{
	struct matrix *matrix = fs->matrix;
	unsigned served = 0;

	pthread_mutex_lock(&matrix->lock);
	if (is_served(column_file(matrix, TREE_MATRIX)))
		served |= 1u << QUIVER_COLUMN_VECTORS;
	if (is_served(column_file(matrix, TREE_IDS)))
		served |= 1u << QUIVER_COLUMN_IDS;
	pthread_mutex_unlock(&matrix->lock);
	return served;
}

static void rows_changed(void *arg, uint64_t first, uint64_t count)
{
	teller_changed(arg, first, count);
}

static void rows_settle(void *arg)
{
	teller_settle(arg);
}

/* Have the rows watched for a file that is served and counted as open. Pages from before are
 * dropped, so that those that are there when it returns are right for as long. */
static int watch_for(struct fs *fs, fuse_ino_t ino)
{
	struct matrix *matrix = fs->matrix;
	struct column *column = column_file(matrix, ino);
	struct quiver_watcher watcher = { matrix->teller, rows_changed, rows_settle };
	bool told;
	int err = 0;

	pthread_mutex_lock(&matrix->watch_lock);
	pthread_mutex_lock(&matrix->lock);
	told = column->told || matrix->quiet;
	pthread_mutex_unlock(&matrix->lock);
	if (!told) {
		err = quiver_column_watch(fs->store, &watcher);
		if (err == 0)
			teller_drop(fs, column_of(ino));
		pthread_mutex_lock(&matrix->lock);
		column->told = err == 0;
		if (matrix->quiet) /* since a moment ago */
			quiver_column_unwatch(fs->store, false);
		pthread_mutex_unlock(&matrix->lock);
	}
	pthread_mutex_unlock(&matrix->watch_lock);
	return err;
}

/* One open file less. The caller holds the lock. */
static void count_down(struct fs *fs, struct column *column)
{
	struct matrix *matrix = fs->matrix;

	column->opens--;
	if (column->opens > 0)
		return;
	column->told = false;
	/* Whoever opens one now counts first and begins to watch after that. */
	if (!is_served(&matrix->columns[0]) && !is_served(&matrix->columns[1]))
		quiver_column_unwatch(fs->store, false);
}

void matrix_quiet(struct fs *fs)
{
	struct matrix *matrix = fs->matrix;

	if (matrix == NULL)
		return;
	pthread_mutex_lock(&matrix->lock);
	matrix->quiet = true;
	pthread_mutex_unlock(&matrix->lock);
	teller_stop(matrix->teller);
	quiver_column_unwatch(fs->store, true);
}

/* ---- opening ------------------------------------------------------------ */

struct matrix_open_op {
	struct attempt attempt;
	fuse_ino_t ino;
	struct fuse_file_info fi;
};

/* Register the store's file with the kernel as what backs ours: the number it is
 * known by there, or a negative errno where that is not to be had. */
static int register_backing(fuse_req_t req, int fd)
{
	char path[64];
	int read_only, id;

	/* Whoever opens our file gets the rights of the descriptor: not ours. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	if (read_only < 0)
		return -errno;
	errno = 0;
	id = fuse_passthrough_open(req, read_only);
	if (id <= 0)
		id = errno != 0 ? -errno : -ENOTSUP;
	close(read_only); /* the kernel has its own reference */
	return id;
}

/* Count one more open file, passed through like those before it, or like the first
 * one where that works. The kernel does not take a mixture. Errors of watching. */
static int column_open(struct fs *fs, fuse_req_t req, fuse_ino_t ino, int fd,
                       struct fuse_file_info *fi)
{
	struct column *column = column_file(fs->matrix, ino);
	bool may_pass = fs->passthrough_ok && (!is_frozen(fs) || ino == TREE_MATRIX);

	pthread_mutex_lock(&fs->matrix->lock);
	if (column->opens == 0 && column->backing_id == 0 && may_pass && !column->refused) {
		int id = register_backing(req, fd);

		column->backing_id = id > 0 ? id : 0;
		column->refused = id < 0;
		if (id < 0)
			atomic_store(&fs_whole(fs)->passthrough_error, id);
	}
	column->opens++;
	fi->backing_id = column->backing_id;
	pthread_mutex_unlock(&fs->matrix->lock);
	fi->keep_cache = fi->backing_id == 0;
	fi->direct_io = fi->backing_id != 0 && is_frozen(fs);
	/* On a read-only mount nothing changes. */
	return fi->backing_id == 0 && !fs->read_only ? watch_for(fs, ino) : 0;
}

/* Count one open file less, and let go of what it held. */
static void column_close(struct fs *fs, fuse_req_t req, fuse_ino_t ino)
{
	struct column *column = column_file(fs->matrix, ino);

	pthread_mutex_lock(&fs->matrix->lock);
	count_down(fs, column);
	if (column->opens == 0 && column->backing_id > 0) {
		/* It fails only where the connection is gone, and the number with it. */
		(void)fuse_passthrough_close(req, column->backing_id);
		column->backing_id = 0;
	}
	pthread_mutex_unlock(&fs->matrix->lock);
	quiver_column_release(fs->store, column_of(ino));
}

/* Undo column_open where no RELEASE comes: no request is left to close a backing number with, so
 * that goes with the next open and release. */
static void column_unopen(struct fs *fs, fuse_ino_t ino)
{
	pthread_mutex_lock(&fs->matrix->lock);
	count_down(fs, column_file(fs->matrix, ino));
	pthread_mutex_unlock(&fs->matrix->lock);
	quiver_column_release(fs->store, column_of(ino));
}

/* Cached, since there is no shared map of a file that is not; what is there of an earlier open goes. */
static void open_table(struct matrix_open_op *op)
{
	struct fs *fs = op->attempt.fs;
	int err = row_table_open(fs, fs->matrix->rows, 0);

	if (err != 0)
		reply_error(op->attempt.req, err);
	else if (fuse_reply_open(op->attempt.req, &op->fi) < 0)
		row_table_close(fs->matrix->rows); /* whoever asked is gone */
}

/* A hold may have to wait for a cut that has begun, and watching for a commit, so on a worker. */
static int matrix_open_answer(struct attempt *attempt, bool may_wait)
{
	struct matrix_open_op *op = (struct matrix_open_op *)attempt;
	struct fs *fs = attempt->fs;
	uint64_t size;
	int err, fd;

	(void)may_wait;
	if (fs->matrix->rows != NULL) {
		open_table(op);
		return 0;
	}
	err = quiver_column_hold(fs->store, column_of(op->ino), &fd, &size);
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	err = column_open(fs, attempt->req, op->ino, fd, &op->fi);
	if (err != 0) {
		column_unopen(fs, op->ino);
		reply_error(attempt->req, err);
	} else if (inside_reply_open(fs, attempt->req, &op->fi) < 0) {
		column_unopen(fs, op->ino); /* whoever asked is gone */
	}
	return 0;
}

static void matrix_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct matrix_open_op op = {
		.attempt = attempt_for(req, matrix_open_answer),
		.ino = ino,
		.fi = *fi,
	};

	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		reply_error(req, -EACCES);
	else
		attempt_defer(&op.attempt, sizeof(op), WORKER_COMMIT);
}

static void matrix_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	if (fs_of(req)->matrix->rows != NULL)
		row_table_close(fs_of(req)->matrix->rows);
	else
		column_close(fs_of(req), req, ino);
	reply_error(req, 0);
}

/* ---- reading from the map ------------------------------------------------ */

struct matrix_read_op {
	struct attempt attempt;
	fuse_ino_t ino;
	size_t size;
	uint64_t offset;
};

/* Rows are read one after another by whoever maps a matrix, so most of what is asked for
 * is not in memory yet: on a worker. Of a kind of its own: those that change rows wait for
 * this, and others may wait for them. */
static int matrix_read_answer(struct attempt *attempt, bool may_wait)
{
	const struct matrix_read_op *op = (const struct matrix_read_op *)attempt;
	struct row_table *rows = attempt->fs->matrix->rows;
	struct reply reply;
	int64_t got = 0;
	int err;

	(void)may_wait;
	err = reply_begin(&reply, attempt->req, op->size);
	if (err == 0 && rows != NULL)
		got = row_table_read(attempt->fs, rows, op->ino == TREE_IDS, op->offset, op->size,
		                     reply.data);
	else if (err == 0)
		got = quiver_column_read(attempt->fs->store, column_of(op->ino), op->offset,
		                         op->size, reply.data);
	if (got < 0)
		err = (int)got;
	reply_end(&reply, err, (size_t)got);
	return 0;
}

static void matrix_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                        struct fuse_file_info *fi)
{
	struct matrix_read_op op = {
		.attempt = attempt_for(req, matrix_read_answer),
		.ino = ino,
		.size = size,
		.offset = (uint64_t)off,
	};

	(void)fi;
	if (off < 0)
		reply_error(req, -EINVAL);
	else
		attempt_defer(&op.attempt, sizeof(op), WORKER_MATRIX);
}

/* ---- life --------------------------------------------------------------- */

/* Hold both columns. 0 or a negative errno; then neither is held. */
static int hold_both(struct fs *fs)
{
	uint64_t size;
	int err, fd;

	err = quiver_column_hold(fs->store, QUIVER_COLUMN_VECTORS, &fd, &size);
	if (err != 0)
		return err;
	err = quiver_column_hold(fs->store, QUIVER_COLUMN_IDS, &fd, &size);
	if (err != 0)
		quiver_column_release(fs->store, QUIVER_COLUMN_VECTORS);
	return err;
}

static void matrix_free(struct matrix *matrix)
{
	row_table_free(matrix->rows);
	teller_free(matrix->teller);
	pthread_mutex_destroy(&matrix->watch_lock);
	pthread_mutex_destroy(&matrix->lock);
	free(matrix);
}

static int matrix_init(struct fs *fs)
{
	struct matrix *matrix = calloc(1, sizeof(*matrix));
	int err;

	if (matrix == NULL)
		return -ENOMEM;
	/* Neither can fail with default attributes. */
	(void)pthread_mutex_init(&matrix->lock, NULL);
	(void)pthread_mutex_init(&matrix->watch_lock, NULL);
	matrix->mtime_ns = clock_now_ns();
	/* The init request, which decides about no_open, comes later, unless this is in a snapshot. */
	matrix->held = (fs->guest != NULL ? fs->no_open : fs->read_only) && has_columns(fs);
	err = teller_new(fs, served_columns, &matrix->teller);
	if (err == 0 && fs->shared && !has_columns(fs))
		err = row_table_new(&matrix->rows);
	if (err == 0 && matrix->held)
		err = hold_both(fs);
	if (err != 0) {
		matrix_free(matrix);
		return err;
	}
	fs->matrix = matrix;
	return 0;
}

static void matrix_fini(struct fs *fs)
{
	static const enum quiver_column columns[] = { QUIVER_COLUMN_VECTORS, QUIVER_COLUMN_IDS };
	struct matrix *matrix = fs->matrix;

	if (!matrix)
		return;
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		unsigned holds = matrix->columns[i].opens + matrix->held;

		while (holds-- > 0)
			quiver_column_release(fs->store, columns[i]);
	}
	matrix_free(matrix);
	fs->matrix = NULL;
}

const struct node_ops matrix_ops = {
	.init = matrix_init,
	.fini = matrix_fini,
	.attr = matrix_attr,
	.open = matrix_open,
	.read = matrix_read,
	.release = matrix_release,
};
