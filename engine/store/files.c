/* The files of a store and the parts that stand on them, opened and closed as they are. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/culprit.h"
#include "engine/base/error.h"
#include "engine/recovery/keep.h"
#include "engine/store/lock.h"
#include "engine/store/store.h"

static void init_locks(struct quiver *store)
{
	catalog_init(&store->catalog, &store->health);
	row_watch_init(&store->row_watch);
	committer_init(&store->commits, &store->catalog, &store->wal, &store->wishes,
	               &store->row_watch, store->options.durability);
	space_init(&store->space, &store->catalog, &store->superblock, &store->wishes,
	           &store->row_watch);
	checkpointer_init(&store->checkpointer, &store->commits, &store->space, &store->superblock);
	nearest_init(&store->nearest, &store->catalog, store->io);
	nearest_index_init(store);
	job_init(&store->job, local_job_work, store);
	pthread_mutex_init(&store->description_lock, NULL);
}

static struct quiver *new_store(const struct quiver_options *options)
{
	struct quiver *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->head.capabilities =
		QUIVER_EXCLUSIVE | QUIVER_ORDERED | QUIVER_HAS_RENAME | QUIVER_HAS_ATOMIC_BATCH |
		QUIVER_HAS_COLUMNS | QUIVER_HAS_CHECKPOINT | QUIVER_HAS_RESERVE | QUIVER_HAS_JOBS |
		QUIVER_HAS_VERIFY | QUIVER_HAS_SNAPSHOTS | QUIVER_HAS_NEAREST_INDEX;
	store->head.geometry = &store->geometry;
	store->head.report = &store->health.report;
	store->io = options->io ? options->io : quiver_io_posix();
	store->options = *options;
	if (store->options.commit_interval_ms == 0)
		store->options.commit_interval_ms = STORE_COMMIT_INTERVAL_MS;
	store->dir_fd = store->lock_fd = store->superblock.fd = -1;
	store->superblock.io = store->io;
	atomic_init(&store->autocompact_percent, options->autocompact_percent);
	if (health_init(&store->health, options->read_only, options->on_report,
	                options->on_report_arg) != 0) {
		free(store);
		return NULL;
	}
	store->health.report.note_sink = options->on_note;
	init_locks(store);
	return store;
}

/* To read is to change nothing, the lock's file included. */
static int take_lock(struct quiver *store, const char *path, struct quiver_error *error)
{
	const struct quiver_options *options = &store->options;
	int r = 0;

	if (store->use == STORE_WRITE)
		r = store->lock_fd = lock_take(store->io, store->dir_fd, path, options->mount_point,
		                               options->lock_wait_ms, error);
	else
		r = lock_share(store->io, store->dir_fd, path, options->lock_wait_ms,
		               &store->lock_fd, error);
	store->options.mount_point = NULL; /* the caller's, and written by now */
	return r < 0 ? r : 0;
}

/* What its owner has of a copy of hard links. */
static int tell_of_links(struct quiver *store)
{
	struct stat st;
	int r = store->io->stat(store->io, store->superblock.fd, &st);

	if (r == 0 && st.st_nlink > 1)
		report_note(&store->health.report,
		            "superblock: it has %lu hard links, so this copy shares its files with "
		            "others (cp -l, rsnapshot); it can be read, but not written to",
		            (unsigned long)st.st_nlink);
	return r;
}

/* Folder, lock, superblock. */
static int open_identity(struct quiver *store, const char *path, int *copies_bad,
                         struct quiver_error *error)
{
	const struct quiver_io *io = store->io;
	bool looks = store->use != STORE_WRITE;
	int r;

	store->dir_fd = io->open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (store->dir_fd < 0) {
		error_set(error, "%s: cannot open the store's folder: %s", path,
		          quiver_strerror(store->dir_fd));
		return store->dir_fd;
	}
	store->superblock.fd =
		io->open(io, store->dir_fd, "superblock", looks ? O_RDONLY : O_RDWR, 0);
	if (store->superblock.fd < 0) {
		r = store->superblock.fd;
		error_set(error,
		          r == -ENOENT ? "%s: not a quiverfs store: it has no superblock; "
		                         "`quiverfs create` makes one (%s)"
		                       : "%s/superblock: cannot open: %s",
		          path, culprit_why(r));
		return r == -ENOENT ? -EINVAL : r;
	}
	r = take_lock(store, path, error);
	if (r == 0 && looks)
		r = tell_of_links(store);
	if (r)
		return r;
	r = superblock_read(io, store->superblock.fd, &store->superblock.now, copies_bad, error);
	if (r)
		return r;
	store->geometry = store->superblock.now.geometry;
	store->description = store->superblock.now.description;
	return 0;
}

/* Whether all features of the store are known that what changes it has to heed. */
static int may_be_changed(const struct quiver *store, const char *path, struct quiver_error *error)
{
	const uint64_t known = SUPERBLOCK_HAS_SNAPSHOTS;

	if ((store->superblock.now.features_to_change & ~known) == 0)
		return 0;
	error_set(error,
	          "%s/superblock: the store has features (0x%" PRIx64
	          ") that this version of quiverfs does not know; use the version that made it, or "
	          "open it read-only",
	          path, store->superblock.now.features_to_change & ~known);
	return -ENOTSUP;
}

/* Whether nobody has opened it yet to write to it, so that there is nothing to recover. */
static bool is_new(const struct superblock *sb)
{
	return sb->lsn_ceiling == 1 && sb->checkpoint_lsn == 0;
}

/* Whether the store was closed, as its superblock says. Where the other copy is bad that may have
 * been the newer one, of a life since, which made a log. 1, 0 or -errno. */
static int was_closed(const struct quiver *store, int copies_bad)
{
	const struct superblock *sb = &store->superblock.now;
	bool closed = sb->clean || (store->use == STORE_READ && is_new(sb));
	int r = closed && copies_bad ? wal_has_segments(store->io, store->dir_fd) : 0;

	return r < 0 ? r : closed && r == 0;
}

/* The columns, and empty maps of their slots. */
static int open_columns(struct quiver *store, bool read_only, struct quiver_error *error)
{
	const struct superblock *sb = &store->superblock.now;
	int r = catalog_open(&store->catalog, store->io, store->dir_fd, &store->geometry,
	                     sb->version, sb->slots_used, read_only, error);

	if (r == 0)
		r = space_open(&store->space);
	if (r)
		return r;
	return 0;
}

static void keep_first(int *first, int r)
{
	if (*first == 0 && r < 0)
		*first = r;
}

void store_free(struct quiver *store)
{
	space_destroy(&store->space);
	catalog_destroy(&store->catalog);
	checkpointer_destroy(&store->checkpointer);
	committer_destroy(&store->commits);
	row_watch_destroy(&store->row_watch);
	pthread_mutex_destroy(&store->description_lock);
	job_destroy(&store->job);
	nearest_destroy(&store->nearest);
	nearest_index_destroy(store);
	health_destroy(&store->health);
	free(store);
}

int store_close_files(struct quiver *store, bool log_is_empty)
{
	const struct quiver_io *io = store->io;
	int r = 0;

	if (store->wal_started)
		keep_first(&r, wal_stop(&store->wal, log_is_empty));
	keep_first(&r, regions_stop(&store->commits.regions));
	keep_first(&r, versions_file_close(&store->catalog.versions.file, log_is_empty));
	keep_first(&r, catalog_close(&store->catalog));
	if (store->superblock.fd >= 0)
		keep_first(&r, io->close(io, store->superblock.fd));
	if (store->lock_fd >= 0)
		keep_first(&r, store->use == STORE_WRITE ? lock_drop(io, store->lock_fd)
		                                         : io->close(io, store->lock_fd));
	if (store->dir_fd >= 0)
		keep_first(&r, io->close(io, store->dir_fd));
	return r;
}

int store_discard(struct quiver *store)
{
	int r = store_close_files(store, false);

	job_end(&store->job);
	store_free(store);
	return r;
}

int store_open_files(const char *path, const struct quiver_options *options, enum store_use use,
                     struct quiver **out, struct quiver_error *error)
{
	struct quiver *store = new_store(options);
	int copies_bad = 0;
	bool closed = false;
	int r;

	*out = NULL;
	if (!store)
		return -ENOMEM;
	store->use = use;
	r = open_identity(store, path, &copies_bad, error);
	if (r == 0)
		r = was_closed(store, copies_bad);
	if (r >= 0) {
		closed = r;
		r = use == STORE_WRITE             ? may_be_changed(store, path, error)
		    : use == STORE_READ && !closed ? STORE_NOT_CLOSED
		                                   : 0;
	}
	if (r == 0 && use == STORE_WRITE)
		r = superblock_again(store->io, store->superblock.fd, &store->superblock.now);
	store->superblock.now.clean = closed;
	if (r == 0 && copies_bad)
		report_add(&store->health.report,
		           "superblock: one of its two copies is damaged; the other is "
		           "used, and the next checkpoint rewrites the damaged one");
	if (r == 0)
		r = open_columns(store, use != STORE_WRITE, error);
	if (r == 0)
		r = keep_load(&store->catalog, &store->superblock, store->dir_fd,
		              use != STORE_WRITE);
	if (r) {
		(void)store_discard(store); /* what failed first is the reason */
		return r;
	}
	*out = store;
	return 0;
}
