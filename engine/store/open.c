/* Opening a store for use: recovery where it was not closed, then a new life. */
#include "engine/store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/culprit.h"
#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/base/latency.h"
#include "engine/base/sized.h"
#include "engine/recovery/keep.h"
#include "engine/recovery/recover.h"
#include "engine/recovery/replay.h"
#include "engine/recovery/upgrade.h"
#include "engine/store/elsewhere.h"
#include "engine/store/receiving.h"
#include "engine/store/snapshot_view.h"

static void damage_to_error(struct recovery *recovery, const char *line)
{
	report_add(&recovery->catalog->health->report, "%s", line);
	if (recovery->damage_count == 1)
		error_set(recovery->damage_arg, "%s%s", line,
		          strstr(line, "--repair")
		                  ? ""
		                  : "; `quiverfs check` lists all faults; with --repair it keeps "
		                    "each vector that matches its checksum, and moves the others "
		                    "to lost+found");
}

/* With the index that the last checkpoint has kept. `recovery` is new. 0, -errno; -EUCLEAN also where
 * something does not fit, be it the log or the index. */
static int recover_with_index(struct quiver *store, struct recovery *recovery)
{
	int r = recovery_init(recovery, &store->catalog, &store->superblock, store->dir_fd);

	if (r == 0)
		r = recovery_keep(recovery, store->superblock.now.index_generation);
	if (r == 0)
		r = recovery_read_log(recovery);
	if (r == 0 && recovery->damage_count == 0)
		r = recovery_replay(recovery);
	if (r == 0 && recovery->damage_count == 0)
		recovery_judge(recovery, false);
	if (r == 0 && recovery->damage_count > 0)
		r = -EUCLEAN;
	return r ? r : recovery_finish(recovery);
}

/* What was loaded, as if it had not been. */
static void forget_index(struct quiver *store)
{
	index_free_former(&store->catalog.index, index_take_former(&store->catalog.index));
	index_destroy(&store->catalog.index);
	index_keep_forget(&store->catalog.keep);
	slots_forget(&store->catalog.slots);
}

/* Of a store that was not closed. -EAGAIN: the rows have to be looked at; that tells what is wrong,
 * too, where anything is. Nothing is in index and slots then. */
static int recover_by_index(struct quiver *store)
{
	struct recovery recovery;
	int r = catalog_load_index(&store->catalog, &store->superblock.now);

	if (r)
		return r == -ENOMEM ? r : -EAGAIN;
	r = recover_with_index(store, &recovery);
	recovery_free(&recovery);
	if (r == 0) {
		atomic_store(&store->health.counters.index_taken, 1);
		index_free_former(&store->catalog.index,
		                  index_take_former(&store->catalog.index)); /* nobody is there */
		return 0;
	}
	/* What a write or a sync failed with is told once, and must not be tried again. */
	if (r != -EUCLEAN && r != -EBADMSG)
		return r;
	forget_index(store);
	return -EAGAIN;
}

/* From the columns, since there is no index that can be used. */
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

/* Why the columns are read. */
static void say_rebuilt(struct quiver *store, int why)
{
	const struct superblock *sb = &store->superblock.now;

	/* A new store has none, and of one of version 1 none is kept. */
	if (sb->slots_used == 0 || sb->version == 1)
		return;
	report_add(&store->health.report, "index: %s; rebuilt from ids.npy and meta.npy",
	           why == -EBADMSG  ? "damaged"
	           : why == -ESTALE ? "from another state of the store"
	                            : "missing");
}

static int fill_index(struct quiver *store, struct quiver_error *error)
{
	int r;

	if (!store->superblock.now.clean) {
		r = recover_by_index(store);
		return r == -EAGAIN ? rebuild_index(store, false, error) : r;
	}
	r = catalog_load_index(&store->catalog, &store->superblock.now);
	/* Who has opened and closed it with a program before, and changed nothing, leaves a superblock
	 * that says what it said. */
	if (r == -ESTALE || (r == -ENOENT && store->superblock.now.index_generation == 0))
		r = catalog_load_old_index(&store->catalog, &store->superblock.now);
	if (r != -ENOENT && r != -ESTALE && r != -EBADMSG)
		return r;
	say_rebuilt(store, r);
	return rebuild_index(store, true, error);
}

static int sync_slots(void *arg)
{
	return columns_sync_slots(arg);
}

/* There is no room for a log: one that was closed is so again, and can be read as it is. */
static void take_back(struct quiver *store, const struct superblock *before)
{
	struct superblock *sb = &store->superblock.now;

	sb->clean = true;
	sb->lsn_ceiling = before->lsn_ceiling;
	sb->index_generation = before->index_generation;
	sb->index_salt = before->index_salt;
	/* Where that fails, too, it is recovered: nothing has been changed. */
	(void)superblock_write(store->io, store->superblock.fd, sb);
}

/* Where rows are going to be stored is noted from here on: without that the index that is kept is of
 * no use to a recovery. */
static void start_regions(struct quiver *store, struct superblock *begun)
{
	int r = regions_start(&store->commits.regions, store->io, store->dir_fd,
	                      store->geometry.uuid, &store->catalog.slots, begun->index_generation,
	                      begun->slots_used);

	if (r == 0)
		return;
	begun->index_generation = 0;
	begun->index_salt = 0;
	(void)health_judge(&store->health, HEALTH_INDEX_KEEP, r);
}

/* From here on the store on disk is in use: not clean, LSNs above the ceiling, a new log. */
static int begin_life(struct quiver *store)
{
	struct superblock *sb = &store->superblock.now;
	const struct superblock before = *sb;
	struct superblock begun = *sb;
	int r;

	store->commits.dir = sb->dir;
	store->commits.ctime_max_ns = sb->ctime_max_ns;
	store->commits.next_lsn = checkpoint_begin_life(&begun);
	atomic_store(&store->commits.lsn, sb->checkpoint_lsn);
	atomic_store(&store->checkpointer.lsn, sb->checkpoint_lsn);
	atomic_store(&store->health.counters.index_kept, sb->index_generation > 0);
	store->checkpointer.last_ns = (int64_t)clock_monotonic_ns();
	if (store->health.read_only) {
		nearest_index_open(store);
		return 0;
	}
	/* Before anything is written: where it fails the store is still closed. */
	r = wal_make_folder(store->io, store->dir_fd);
	if (r)
		return r;
	start_regions(store, &begun);
	*sb = begun;
	r = superblock_write(store->io, store->superblock.fd, sb);
	atomic_store(&store->commits.lsn_ceiling, sb->lsn_ceiling);
	if (r == 0)
		r = wal_clear(store->io, store->dir_fd);
	if (r == 0)
		r = wal_start(&store->wal, store->io, &store->health, store->dir_fd,
		              store->geometry.uuid, sb->wal_first, sb->checkpoint_lsn);
	store->wal_started = r == 0;
	if (r == -ENOSPC && before.clean)
		take_back(store, &before);
	if (r == 0) {
		wal_set_slots(&store->wal, store->geometry.vector_bytes, sync_slots,
		              &store->catalog.columns);
		r = background_start(store);
	}
	if (r == 0)
		nearest_index_open(store);
	return r;
}

/* Why what was not closed cannot be read: it cannot be written. */
static void say_not_recovered(const char *path, int r, struct quiver_error *error)
{
	const char *name = culprit_name(r);

	error_set(error,
	          "%s/%s: cannot open for writing: %s; the store was not closed, so its log must "
	          "be replayed before it can be read; open it once with permission to write, or "
	          "open a copy of it (`quiverfs check` works without that)",
	          path, name ? name : "", culprit_why(r));
}

/* Recover a store and close it, so that it can be read by many. *text: what there was to report, the
 * caller's to free; or NULL. Somebody else may have done it meanwhile. 0 or -errno. */
static int recover_and_close(const char *path, const struct quiver_options *options, char **text,
                             struct quiver_error *error)
{
	struct quiver_options writing = *options;
	struct quiver *store;
	size_t length;
	int r, c;

	*text = NULL;
	writing.read_only = false;
	writing.mount_point = NULL;
	writing.lock_wait_ms = 0;
	r = store_open_files(path, &writing, STORE_WRITE, &store, error);
	if (r == -EROFS || r == -EACCES || r == -EPERM || r == -EMLINK)
		say_not_recovered(path, r, error);
	if (r)
		return r;
	if (!store->superblock.now.clean) {
		r = fill_index(store, error);
		if (r == 0)
			r = store_end_recovery(store);
		if (r == 0)
			r = report_text(&store->health.report, text, &length);
	}
	c = store_discard(store);
	return r ? r : c;
}

/* Open to read, after a recovery where the store was not closed. What a recovery had to report goes
 * into the store's own report. */
static int open_to_read(const char *path, const struct quiver_options *options,
                        struct quiver **store, struct quiver_error *error)
{
	uint64_t end_ns = clock_monotonic_ns() + options->lock_wait_ms * UINT64_C(1000000);
	char *text = NULL;
	int r;

	while ((r = store_open_files(path, options, STORE_READ, store, error)) ==
	       STORE_NOT_CLOSED) {
		free(text);
		r = recover_and_close(path, options, &text, error);
		/* Another reader may be about to do the same. */
		if (r && (r != -EBUSY || clock_monotonic_ns() >= end_ns))
			break;
	}
	if (r == 0 && text)
		report_keep(&(*store)->health.report, text);
	free(text);
	return r;
}

/* The struct as it was when it got its size. */
#define OPTIONS_LEAST_BYTES (offsetof(struct quiver_options, on_report_arg) + sizeof(void *))

/* What is live of one that is half of a stream is for nobody. */
static int refuse_marked(const struct quiver *store, const char *path, struct quiver_error *error)
{
	int r = receiving_is_marked(store);

	return r > 0 ? receiving_refuse(store, path, error) : r;
}

/* Of a local folder. `marked_too`: for who receives a stream into it. */
static int open_folder(const char *path, const struct quiver_options *options, bool marked_too,
                       struct quiver **out, struct quiver_error *error)
{
	struct quiver *store = NULL;
	int r = fault_init();

	culprit_forget();
	if (r == 0)
		r = options->read_only
		            ? open_to_read(path, options, &store, error)
		            : store_open_files(path, options, STORE_WRITE, &store, error);
	if (r == 0 && !marked_too)
		r = refuse_marked(store, path, error);
	if (r == 0)
		r = fill_index(store, error);
	if (r == 0)
		keep_hold_slots(&store->catalog);
	if (r == 0 && !options->read_only && store->superblock.now.version < QUIVER_FORMAT_VERSION)
		r = upgrade_store(&store->catalog, &store->superblock, store->dir_fd, error);
	if (r == 0)
		r = begin_life(store);
	if (r == 0) {
		*out = store;
		return 0;
	}
	if (error && error->text[0] == '\0' && culprit_name(r))
		error_set(error, "%s/%s: %s", path, culprit_name(r), culprit_why(r));
	else if (error && error->text[0] == '\0')
		error_set(error, "%s: cannot open the store: %s", path, quiver_strerror(r));
	if (store)
		(void)store_discard(store); /* what failed first is the reason */
	return r;
}

int quiver_open(const char *path, const struct quiver_options *options, struct quiver **out,
                struct quiver_error *error)
{
	struct quiver_options known;
	const struct quiver_module *module;
	size_t store_length;
	int r = sized_take(&known, sizeof(known), options, options->size, OPTIONS_LEAST_BYTES);

	*out = NULL;
	if (error)
		error->text[0] = '\0';
	if (r) {
		error_set(error,
		          "quiver_options: the size is %zu, or there are fields after byte %zu "
		          "that this library does not know",
		          options->size, sizeof(known));
		return r;
	}
	module = elsewhere_module(path, &r, error);
	if (module)
		return module->open(path, &known, out, error);
	if (r == 0)
		r = elsewhere_refuse(path, known.access, error);
	if (r)
		return r;
	return quiver_is_snapshot(path, &store_length)
	               ? snapshot_alone_open(path, store_length, &known, out, error)
	               : open_folder(path, &known, false, out, error);
}

int receiving_open(const char *path, const struct quiver_options *options, struct quiver **out,
                   struct quiver_error *error)
{
	*out = NULL;
	if (error)
		error->text[0] = '\0';
	return open_folder(path, options, true, out, error);
}
