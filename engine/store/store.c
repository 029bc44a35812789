/* Creating, opening and closing a store. */
#include "engine/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "engine/base/epoch.h"
#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/recovery/recover.h"
#include "engine/recovery/replay.h"
#include "engine/store/local.h"
#include "engine/store/lock.h"

/* ---- create ---- */

static int check_geometry(const struct quiver_geometry *geometry, struct quiver_error *error)
{
	if (geometry->dim < 1 || geometry->dim > QUIVER_DIM_MAX) {
		error_set(error, "dim %" PRIu32 ": expected 1 to %u", geometry->dim,
		          QUIVER_DIM_MAX);
		return -EINVAL;
	}
	if (quiver_dtype_bytes(geometry->dtype) == 0) {
		error_set(error, "dtype: expected f4, f2, f8, i1 or u1");
		return -EINVAL;
	}
	return 0;
}

static int random_uuid(uint8_t uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		return -EIO;
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	return 0;
}

static int create_file(const struct quiver_io *io, int dir_fd, const char *name)
{
	int fd = io->open(io, dir_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);

	return fd < 0 ? fd : io->close(io, fd);
}

static int create_superblock(const struct quiver_io *io, int dir_fd,
                             const struct quiver_geometry *geometry)
{
	mode_t mask = umask(0);
	struct superblock sb = {
		.geometry = *geometry,
		.lsn_ceiling = 1,
		.wal_first = 1,
		.dir = { .mtime_ns = clock_realtime_ns(),
		         .uid = geteuid(),
		         .gid = getegid(),
		         .mode = (uint16_t)(0777 & ~mask) },
	};
	int fd;
	int c;
	int r;

	(void)umask(mask);
	fd = io->open(io, dir_fd, "superblock.new", O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	r = superblock_format(io, fd, &sb);
	if (r == 0)
		r = io_fsync(io, fd);
	c = io->close(io, fd);
	r = r ? r : c;
	/* Whole under its name or not there: half of one would look like damage. */
	return r ? r : io->rename(io, dir_fd, "superblock.new", "superblock");
}

/* Everything but the superblock first, so that a crash leaves no store. */
static int create_in(const struct quiver_io *io, int dir_fd, const struct quiver_geometry *geometry)
{
	int r = columns_create(io, dir_fd, geometry);

	if (r == 0)
		r = io->mkdir(io, dir_fd, "wal", 0700);
	if (r == 0)
		r = create_file(io, dir_fd, "LOCK");
	if (r == 0)
		r = io_fsync(io, dir_fd);
	if (r == 0)
		r = create_superblock(io, dir_fd, geometry);
	if (r == 0)
		r = io_fsync(io, dir_fd);
	return r;
}

static void remove_created(const struct quiver_io *io, int dir_fd)
{
	static const char *const names[] = { "superblock", "superblock.new", "vectors.npy",
		                             "ids.npy",    "meta.npy",       "LOCK" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)io->unlink(io, dir_fd, names[i]); /* may not have been made yet */
	(void)unlinkat(dir_fd, "wal", AT_REMOVEDIR);
}

/* -ENOTEMPTY with a message where the folder holds anything. */
static int check_empty(const struct quiver_io *io, int dir_fd, const char *path,
                       struct quiver_error *error)
{
	char *names = NULL;
	size_t count = 0;
	int r = io->list(io, dir_fd, &names, &count);

	if (r == 0 && count > 0) {
		error_set(error,
		          "%s: the folder is not empty (it holds %s); give a new or empty one",
		          path, names);
		r = -ENOTEMPTY;
	}
	free(names);
	return r;
}

/* A new folder's own entry must survive a crash, too. */
static int sync_parent(const struct quiver_io *io, const char *path)
{
	char parent[PATH_MAX];
	int c;
	int fd;
	int r;

	if (snprintf(parent, sizeof(parent), "%s/..", path) >= (int)sizeof(parent))
		return -ENAMETOOLONG;
	fd = io->open(io, AT_FDCWD, parent, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd == -EACCES ? 0 : fd; /* not ours to open, so not ours to sync */
	r = io_fsync(io, fd);
	c = io->close(io, fd);
	return r ? r : c;
}

int quiver_create(const char *path, const struct quiver_geometry *geometry,
                  const struct quiver_io *io, struct quiver_error *error)
{
	struct quiver_geometry made = *geometry;
	bool made_dir;
	int dir_fd = -1;
	int r = check_geometry(geometry, error);

	io = io ? io : quiver_io_posix();
	if (r)
		return r;
	made.vector_bytes = made.dim * quiver_dtype_bytes(made.dtype);
	r = random_uuid(made.uuid);
	if (r)
		return r;
	r = io->mkdir(io, AT_FDCWD, path, 0700);
	made_dir = r == 0;
	if (r == 0 || r == -EEXIST) {
		dir_fd = io->open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
		r = dir_fd < 0 ? dir_fd : check_empty(io, dir_fd, path, error);
		if (r == -ENOTEMPTY)
			goto out;
	}
	if (r == 0 && !made_dir && fchmod(dir_fd, 0700) != 0)
		r = -errno;
	if (r == 0) {
		r = create_in(io, dir_fd, &made);
		if (r == 0)
			r = sync_parent(io, path);
		if (r)
			remove_created(io, dir_fd);
	}
	if (r && made_dir)
		(void)rmdir(path); /* what failed first is the reason */
	if (r)
		error_set(error, "%s: cannot create a store: %s", path, strerror(-r));
out:
	if (dir_fd >= 0)
		(void)io->close(io, dir_fd); /* only read, and all in it is synced */
	return r;
}

/* ---- open ---- */

static void init_locks(struct quiver *store)
{
	catalog_init(&store->catalog, &store->health);
	committer_init(&store->commits, &store->catalog, &store->wal, &store->wishes,
	               store->options.durability);
	space_init(&store->space, &store->catalog, &store->superblock, &store->wishes);
	checkpointer_init(&store->checkpointer, &store->commits, &store->space, &store->superblock);
	job_init(&store->job);
}

static struct quiver *new_store(const struct quiver_options *options)
{
	struct quiver *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->head.capabilities = QUIVER_EXCLUSIVE | QUIVER_ORDERED | QUIVER_HAS_RENAME |
	                           QUIVER_HAS_ATOMIC_BATCH | QUIVER_HAS_COLUMNS |
	                           QUIVER_HAS_CHECKPOINT | QUIVER_HAS_RESERVE | QUIVER_HAS_JOBS;
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
	init_locks(store);
	return store;
}

/* Folder, lock, superblock. */
static int open_identity(struct quiver *store, const char *path, struct quiver_error *error)
{
	const struct quiver_io *io = store->io;
	int copies_bad = 0;
	int r;

	store->dir_fd = io->open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (store->dir_fd < 0) {
		error_set(error, "%s: cannot open the store's folder: %s", path,
		          strerror(-store->dir_fd));
		return store->dir_fd;
	}
	store->superblock.fd = io->open(io, store->dir_fd, "superblock", O_RDWR, 0);
	if (store->superblock.fd < 0) {
		r = store->superblock.fd;
		error_set(error,
		          r == -ENOENT ? "%s: not a quiverfs store: it has no superblock; "
		                         "`quiverfs create` makes one (%s)"
		                       : "%s/superblock: cannot open: %s",
		          path, strerror(-r));
		return r == -ENOENT ? -EINVAL : r;
	}
	store->lock_fd = lock_take(io, store->dir_fd, path, store->options.mount_point,
	                           store->options.lock_wait_ms, error);
	store->options.mount_point = NULL; /* the caller's, and written by now */
	if (store->lock_fd < 0)
		return store->lock_fd;
	r = superblock_read(io, store->superblock.fd, &store->superblock.now, &copies_bad, error);
	if (r)
		return r;
	store->geometry = store->superblock.now.geometry;
	if (copies_bad)
		report_add(&store->health.report,
		           "superblock: one of its two copies is damaged; the other is "
		           "used, and the next checkpoint rewrites the damaged one");
	return 0;
}

static void damage_to_error(struct recovery *recovery, const char *line)
{
	report_add(&recovery->catalog->health->report, "%s", line);
	if (recovery->damage_count == 1)
		error_set(recovery->damage_arg, "%s%s", line,
		          strstr(line, "--repair")
		                  ? ""
		                  : "; `quiverfs check` tells of all faults, with "
		                    "--repair it keeps each vector that matches its "
		                    "checksum and moves the others to lost+found");
}

/* From the columns, since there is no usable snapshot. */
static int rebuild_index(struct quiver *store, bool clean, struct quiver_error *error)
{
	struct recovery recovery;
	int r = index_init(&store->catalog.index, &store->catalog.columns,
	                   store->superblock.now.count);

	if (r)
		return r;
	r = recovery_init(&recovery, &store->catalog, &store->superblock, store->dir_fd);
	if (r)
		return r;
	recovery.damage = damage_to_error;
	recovery.damage_arg = error;
	if (!clean)
		r = recovery_read_log(&recovery);
	if (r == 0 && recovery.damage_count == 0)
		r = recovery_base(&recovery, clean);
	if (r == 0 && recovery.damage_count == 0 && !clean)
		r = recovery_replay(&recovery);
	if (r == 0 && recovery.damage_count == 0)
		recovery_judge(&recovery, clean);
	if (r == 0 && recovery.damage_count > 0)
		r = -EUCLEAN;
	if (r == 0 && !clean)
		r = recovery_finish(&recovery);
	recovery_free(&recovery);
	index_free_former(&store->catalog.index,
	                  index_take_former(&store->catalog.index)); /* nobody is there */
	return r;
}

static int load_index(struct quiver *store)
{
	struct index_stamp stamp = { .lsn = store->superblock.now.checkpoint_lsn,
		                     .slots_used = store->superblock.now.slots_used };
	uint64_t live_bytes = index_live_bytes(stamp.slots_used);
	uint64_t *live = slots_map_room(&store->catalog.slots, live_bytes);
	int r;

	memcpy(stamp.uuid, store->geometry.uuid, sizeof(stamp.uuid));
	r = index_load(&store->catalog.index, &store->catalog.columns, store->io, store->dir_fd,
	               &stamp, live);
	if (r == 0 && atomic_load(&store->catalog.index.count) != store->superblock.now.count) {
		index_destroy(&store->catalog.index);
		r = -EBADMSG;
	}
	if (r == 0)
		slots_map_loaded(&store->catalog.slots, stamp.slots_used,
		                 store->superblock.now.count);
	else
		memset(live, 0, live_bytes);
	return r;
}

/* The columns, and empty maps of their slots. */
static int open_columns(struct quiver *store, bool read_only, struct quiver_error *error)
{
	const struct superblock *sb = &store->superblock.now;
	int r = catalog_open(&store->catalog, store->io, store->dir_fd, &store->geometry,
	                     sb->slots_used, read_only, error);

	if (r == 0)
		r = space_open(&store->space);
	if (r)
		return r;
	return 0;
}

static int fill_index(struct quiver *store, struct quiver_error *error)
{
	int r;

	if (!store->superblock.now.clean)
		return rebuild_index(store, false, error);
	r = load_index(store);
	if (r == -ENOENT || r == -ESTALE || r == -EBADMSG) {
		report_add(&store->health.report, "index: %s; rebuilt from ids.npy and meta.npy",
		           r == -EBADMSG  ? "damaged"
		           : r == -ENOENT ? "missing"
		                          : "not of this state of the store");
		r = rebuild_index(store, true, error);
	}
	return r;
}

static int sync_slots(void *arg)
{
	return columns_sync_slots(arg);
}

/* From here on the store on disk is in use: not clean, LSNs above the ceiling, a new log. */
static int begin_life(struct quiver *store)
{
	struct superblock *sb = &store->superblock.now;
	struct superblock begun = *sb;
	int r;

	store->commits.dir = sb->dir;
	store->commits.next_lsn = checkpoint_begin_life(&begun);
	atomic_store(&store->commits.lsn, sb->checkpoint_lsn);
	atomic_store(&store->checkpointer.lsn, sb->checkpoint_lsn);
	store->checkpointer.last_ns = (int64_t)clock_monotonic_ns();
	if (store->health.read_only)
		return 0;
	*sb = begun;
	r = superblock_write(store->io, store->superblock.fd, sb);
	atomic_store(&store->commits.lsn_ceiling, sb->lsn_ceiling);
	if (r == 0)
		r = wal_clear(store->io, store->dir_fd);
	if (r == 0)
		r = wal_start(&store->wal, store->io, &store->health, store->dir_fd,
		              store->geometry.uuid, sb->wal_first, sb->checkpoint_lsn);
	store->wal_started = r == 0;
	if (r == 0) {
		wal_set_slots(&store->wal, store->geometry.vector_bytes, sync_slots,
		              &store->catalog.columns);
		r = background_start(store);
	}
	return r;
}

static void free_store(struct quiver *store)
{
	space_destroy(&store->space);
	catalog_destroy(&store->catalog);
	checkpointer_destroy(&store->checkpointer);
	committer_destroy(&store->commits);
	pthread_mutex_destroy(&store->job.lock);
	health_destroy(&store->health);
	free(store);
}

static void keep_first(int *first, int r)
{
	if (*first == 0 && r < 0)
		*first = r;
}

/* Close what is open; the first error. */
static int close_files(struct quiver *store, bool log_is_empty)
{
	const struct quiver_io *io = store->io;
	int r = 0;

	if (store->wal_started)
		keep_first(&r, wal_stop(&store->wal, log_is_empty));
	keep_first(&r, catalog_close(&store->catalog));
	if (store->superblock.fd >= 0)
		keep_first(&r, io->close(io, store->superblock.fd));
	if (store->lock_fd >= 0)
		keep_first(&r, lock_drop(io, store->lock_fd));
	if (store->dir_fd >= 0)
		keep_first(&r, io->close(io, store->dir_fd));
	return r;
}

int store_discard(struct quiver *store)
{
	int r = close_files(store, false);

	job_end(store);
	free_store(store);
	return r;
}

int store_open_files(const char *path, const struct quiver_options *options, bool touch_nothing,
                     struct quiver **out, struct quiver_error *error)
{
	struct quiver *store = new_store(options);
	int r;

	*out = NULL;
	if (!store)
		return -ENOMEM;
	r = open_identity(store, path, error);
	if (r == 0 && !touch_nothing && !(options->read_only && store->superblock.now.clean))
		r = superblock_again(store->io, store->superblock.fd, &store->superblock.now);
	if (r == 0)
		r = open_columns(
			store, touch_nothing || (options->read_only && store->superblock.now.clean),
			error);
	if (r) {
		(void)store_discard(store); /* what failed first is the reason */
		return r;
	}
	*out = store;
	return 0;
}

int quiver_open(const char *path, const struct quiver_options *options, struct quiver **out,
                struct quiver_error *error)
{
	struct quiver *store = NULL;
	int r = fault_init();

	*out = NULL;
	if (error)
		error->text[0] = '\0';
	if (r == 0)
		r = store_open_files(path, options, false, &store, error);
	if (r == 0)
		r = fill_index(store, error);
	if (r == 0)
		r = begin_life(store);
	if (r == 0) {
		*out = store;
		return 0;
	}
	if (error && error->text[0] == '\0')
		error_set(error, "%s: cannot open the store: %s", path, strerror(-r));
	if (store)
		(void)store_discard(store); /* what failed first is the reason */
	return r;
}

/* ---- close ---- */

/* A full disk need not have room for the snapshot: the next open does without. */
static int save_index(struct quiver *store, const struct index_stamp *stamp)
{
	int r;

	pthread_mutex_lock(&store->catalog.writer_lock);
	r = catalog_whole_index(&store->catalog);
	if (r == 0)
		r = index_save(&store->catalog.index, store->io, store->dir_fd, stamp,
		               (const uint64_t *)(uintptr_t)store->catalog.slots.live);
	pthread_mutex_unlock(&store->catalog.writer_lock);
	if (r != -ENOSPC)
		return r;
	/* One of an earlier state is of no use either. */
	r = store->io->unlink(store->io, store->dir_fd, "index");
	if (r != 0 && r != -ENOENT)
		return r;
	report_add(&store->health.report,
	           "index: the disk has no room for it; the next open, which makes it "
	           "anew, takes longer");
	return 0;
}

/* The last checkpoint: the tail cut, the snapshot written, the store marked clean. */
static int end_life(struct quiver *store)
{
	struct superblock *sb = &store->superblock.now;
	struct index_stamp stamp;
	struct slots_counts counts;
	uint64_t freed = 0;
	int r = checkpoint_run(&store->checkpointer);

	if (r)
		return r;
	pthread_mutex_lock(&store->checkpointer.lock);
	r = space_punch(&store->space, 0, &freed);
	if (r == 0)
		r = space_cut(&store->space, 0, &freed);
	if (r)
		goto out;
	slots_counts(&store->catalog.slots, &counts);
	stamp = (struct index_stamp){ .lsn = sb->checkpoint_lsn, .slots_used = counts.used };
	memcpy(stamp.uuid, store->geometry.uuid, sizeof(stamp.uuid));
	if (!index_is_saved(&store->catalog.index, &stamp))
		r = save_index(store, &stamp);
	if (r == 0)
		r = columns_sync(&store->catalog.columns, true, true);
	if (r)
		goto out;
	sb->clean = true;
	sb->slots_used = counts.used;
	sb->count = atomic_load(&store->catalog.index.count);
	sb->wal_first = wal_first_above(&store->wal, UINT64_MAX - 1) + 2;
	/* Not the checkpoint's and one: LSNs that a crash took back are used up all the same. */
	sb->lsn_ceiling = store->commits.next_lsn;
	r = superblock_write(store->io, store->superblock.fd, sb);
out:
	pthread_mutex_unlock(&store->checkpointer.lock);
	return r;
}

int local_close(struct quiver *store)
{
	bool ended = false;
	int r = 0;

	job_end(store);
	background_stop(store);
	if (!store->health.read_only) {
		r = end_life(store);
		ended = r == 0;
	}
	keep_first(&r, close_files(store, ended));
	free_store(store);
	return r;
}
