/* tell.c - having the kernel drop pages of matrix.npy and ids.npy that are not so any more. */
#include "fs/matrix/tell.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "fs/base/tree.h"
#include "fs/base/worker.h"

/* Rows that lie this near to each other share pages, or nearly: one range. */
#define PAGE_BYTES 4096u
#define ID_BYTES 8u

struct range {
	uint64_t first, end; /* rows */
};

struct teller {
	struct fs *fs;
	tell_columns_fn *columns;
	struct work work;
	pthread_mutex_t lock;
	pthread_cond_t told; /* lock; `done` has grown; CLOCK_MONOTONIC */
	struct range ranges[TELL_RANGES_MAX]; /* lock; collected and not taken */
	unsigned count; /* lock; of them */
	bool all; /* lock; they are too many */
	bool at_work; /* lock; the work is queued or runs */
	unsigned waiting; /* lock; calls of teller_settle that wait */
	uint64_t collected, done; /* lock; changes so far, and those that are told */
	_Atomic bool stopped;
};

int teller_new(struct fs *fs, tell_columns_fn *columns, struct teller **teller)
{
	struct teller *t = calloc(1, sizeof(*t));
	pthread_condattr_t monotonic;
	int err;

	if (t == NULL)
		return -ENOMEM;
	t->fs = fs;
	t->columns = columns;
	err = -pthread_condattr_init(&monotonic);
	if (err != 0) {
		free(t);
		return err;
	}
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* a clock that is there */
	/* Neither can fail on Linux with these attributes. */
	(void)pthread_cond_init(&t->told, &monotonic);
	(void)pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_destroy(&monotonic);
	*teller = t;
	return 0;
}

void teller_free(struct teller *teller)
{
	if (teller == NULL)
		return;
	pthread_cond_destroy(&teller->told);
	pthread_mutex_destroy(&teller->lock);
	free(teller);
}

/* ---- collecting ---------------------------------------------------------- */

/* Rows between two ranges that are told as one. */
static uint64_t gap_rows(const struct teller *teller)
{
	return PAGE_BYTES / teller->fs->geometry.vector_bytes;
}

/* Make [first, end) part of a range that lies beside it. The caller holds the lock. */
static bool join(struct teller *teller, uint64_t first, uint64_t end)
{
	uint64_t gap = gap_rows(teller);

	for (unsigned i = teller->count; i-- > 0;) {
		struct range *range = &teller->ranges[i];

		if (first > range->end + gap || range->first > end + gap)
			continue;
		range->first = first < range->first ? first : range->first;
		range->end = end > range->end ? end : range->end;
		return true;
	}
	return false;
}

void teller_changed(struct teller *teller, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;

	pthread_mutex_lock(&teller->lock);
	teller->collected++;
	if (!teller->all && !join(teller, first, end)) {
		if (teller->count < TELL_RANGES_MAX)
			teller->ranges[teller->count++] = (struct range){ first, end };
		else
			teller->all = true;
	}
	pthread_mutex_unlock(&teller->lock);
}

/* ---- telling ------------------------------------------------------------- */

static uint64_t row_bytes(const struct fs *fs, enum quiver_column column)
{
	return column == QUIVER_COLUMN_VECTORS ? fs->geometry.vector_bytes : ID_BYTES;
}

static fuse_ino_t node_of(enum quiver_column column)
{
	return column == QUIVER_COLUMN_VECTORS ? TREE_MATRIX : TREE_IDS;
}

void teller_drop(struct fs *fs, enum quiver_column column)
{
	/* -ENOENT: the kernel does not know it, so has nothing to drop. */
	(void)fuse_lowlevel_notify_inval_inode(fs->session, node_of(column), 0, 0);
}

/* The same of the pages that have something of the range, which with the first row has the header. */
static void drop_range(struct fs *fs, enum quiver_column column, const struct range *range)
{
	uint64_t bytes = row_bytes(fs, column);
	uint64_t from = range->first > 0 ? QUIVER_COLUMN_HEADER_BYTES + range->first * bytes : 0;
	uint64_t to = QUIVER_COLUMN_HEADER_BYTES + range->end * bytes;

	(void)fuse_lowlevel_notify_inval_inode(fs->session, node_of(column), (off_t)from,
	                                       (off_t)(to - from));
}

static void drop(struct teller *teller, const struct range *ranges, unsigned count, bool all)
{
	static const enum quiver_column columns[] = { QUIVER_COLUMN_VECTORS, QUIVER_COLUMN_IDS };
	unsigned wanted = teller->columns(teller->fs);

	for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++) {
		if (!(wanted & 1u << columns[k]))
			continue;
		if (all)
			teller_drop(teller->fs, columns[k]);
		for (unsigned i = 0; !all && i < count; i++)
			drop_range(teller->fs, columns[k], &ranges[i]);
	}
}

static void run_tell(struct work *work)
{
	struct teller *teller =
		(struct teller *)(void *)((char *)work - offsetof(struct teller, work));
	struct range ranges[TELL_RANGES_MAX];

	pthread_mutex_lock(&teller->lock);
	while (teller->done < teller->collected) {
		uint64_t upto = teller->collected;
		unsigned count = teller->count;
		bool all = teller->all;

		for (unsigned i = 0; i < count; i++)
			ranges[i] = teller->ranges[i];
		teller->count = 0;
		teller->all = false;
		pthread_mutex_unlock(&teller->lock);
		if (!atomic_load(&teller->stopped))
			drop(teller, ranges, count, all);
		pthread_mutex_lock(&teller->lock);
		teller->done = upto;
		pthread_cond_broadcast(&teller->told);
	}
	teller->at_work = false;
	pthread_mutex_unlock(&teller->lock);
}

/* `ms` after `from`. */
static struct timespec later(struct timespec from, unsigned ms)
{
	int64_t ns = from.tv_nsec + (int64_t)ms * 1000000;

	from.tv_sec += ns / 1000000000;
	from.tv_nsec = ns % 1000000000;
	return from;
}

/* Wait until the first `mine` changes are told. The caller holds the lock. */
static void wait_for(struct teller *teller, uint64_t mine)
{
	struct timespec began, until;
	bool crowd = false;
	int err = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &began); /* a clock that is there */
	until = later(began, TELL_WAIT_MS);
	teller->waiting++;
	if (teller->waiting == TELL_CROWD)
		pthread_cond_broadcast(&teller->told); /* the others shall see it */
	while (err == 0 && teller->done < mine) {
		if (!crowd && teller->waiting >= TELL_CROWD) {
			crowd = true;
			until = later(began, TELL_CROWD_WAIT_MS);
		}
		err = pthread_cond_timedwait(&teller->told, &teller->lock, &until);
	}
	teller->waiting--;
}

void teller_settle(struct teller *teller)
{
	uint64_t mine;

	pthread_mutex_lock(&teller->lock);
	mine = teller->collected;
	if (teller->done < mine && !teller->at_work) {
		teller->at_work = true;
		teller->work.run = run_tell;
		pthread_mutex_unlock(&teller->lock);
		workers_submit(teller->fs->workers, WORKER_TELL, &teller->work);
		pthread_mutex_lock(&teller->lock);
	}
	if (teller->done < mine)
		wait_for(teller, mine);
	pthread_mutex_unlock(&teller->lock);
}

void teller_stop(struct teller *teller)
{
	atomic_store(&teller->stopped, true);
}
