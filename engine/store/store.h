/*
 * store.h - what an open store in a local folder is made of; engine/store/ only.
 *
 * Locks, in the order in which they may be taken:
 *   job lock > checkpoint lock > grow lock > writer lock > publish lock, queue lock,
 *   and below all of them the description lock and those inside wal, slots, attr_deltas,
 *   row_watch and report.
 */
#ifndef QUIVER_STORE_H
#define QUIVER_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/health.h"
#include "engine/commit/checkpoint.h"
#include "engine/commit/committer.h"
#include "engine/commit/row_watch.h"
#include "engine/commit/space.h"
#include "engine/commit/wishes.h"
#include "engine/disk/io.h"
#include "engine/disk/superblock_file.h"
#include "engine/index/catalog.h"
#include "engine/log/wal.h"
#include "engine/nearest/nearest.h"
#include "engine/quiver.h"
#include "engine/store/job.h"
#include "engine/store/kind.h"
#include "engine/store/nearest_index.h"

#define STORE_COMMIT_INTERVAL_MS 5000u /* DESIGN section 5, commit= */
/* A checkpoint begins by itself at this much log: what a crash has to replay. */
#define STORE_CHECKPOINT_LOG_BYTES (UINT64_C(256) << 20)
/* ... or after this long with anything to do, so that superseded slots come back. */
#define STORE_CHECKPOINT_INTERVAL_NS INT64_C(30000000000)

/* What a store is opened for. */
enum store_use {
	STORE_WRITE, /* alone */
	STORE_READ, /* one that was closed, along with others who do; nothing is written */
	STORE_LOOK, /* the same as it stands, whether it was closed or not */
};

struct quiver {
	struct quiver_head head; /* of every kind of store; here kind is NULL */
	struct catalog catalog; /* beside the head, in whose cache line a read begins */
	const struct quiver_io *io;
	struct quiver_geometry geometry; /* fixed at open */
	struct quiver_options options; /* fixed at open; mount_point not kept */
	int dir_fd;
	int lock_fd;
	enum store_use use; /* fixed at open; STORE_WRITE: LOCK names this process */
	struct superblock_file superblock;
	pthread_mutex_t description_lock; /* below all other locks */
	struct quiver_description description; /* description_lock; as the superblock's */

	struct wal wal;
	bool wal_started; /* set at open */
	struct health health;

	struct row_watch row_watch;
	struct committer commits;
	struct space space;
	struct checkpointer checkpointer;

	struct nearest nearest;
	struct nearest_index nearest_index;
	struct job job;
	_Atomic uint32_t autocompact_percent;
	struct wishes wishes;
	pthread_t threads[WISH_THREADS]; /* valid while the wishes are open */
};

/* ---- files.c ---- */
/* One that was not closed cannot be read as it is: it is recovered first, which writes to it. */
#define STORE_NOT_CLOSED 1
/* Folder, locks, superblock and columns, with nothing in index and slots yet (the index is not
 * initialised). 0; STORE_NOT_CLOSED to STORE_READ one that was not, then nothing is open; -errno. */
int store_open_files(const char *path, const struct quiver_options *options, enum store_use use,
                     struct quiver **out, struct quiver_error *error);
/* Close and free what store_open_files gave, as it stands. 0 or the first error. */
int store_discard(struct quiver *store);
/* Close what is open; where `log_is_empty` the log's files go. The first error. */
int store_close_files(struct quiver *store, bool log_is_empty);
/* Free all memory. Everything is closed. */
void store_free(struct quiver *store);

/* ---- close.c ---- */
/* Mark closed what has been recovered and not been served: after a crash it can be read by many. 0 or
 * -errno. */
int store_end_recovery(struct quiver *store);

/* ---- background.c ---- */
int background_start(struct quiver *store);
void background_stop(struct quiver *store);

/* ---- local_job.c ---- */
/* The work of its job. `owner`: the store. */
int local_job_work(void *owner, enum quiver_job kind);

#endif
