/*
 * tell.h - having the kernel drop pages of matrix.npy and ids.npy that are not so any more.
 *
 * Dropping a page waits until nobody is reading it in, so it is done by a worker of its own:
 * no request, no commit and no lock waits behind it for longer than TELL_WAIT_MS, and reading
 * these files (WORKER_MATRIX) waits for the disk alone.
 */
#ifndef TELL_H
#define TELL_H

#include "fs/base/fs.h"

/* A READ that the kernel has sent is answered long before, unless the disk fails. */
#define TELL_WAIT_MS 1000u
/* Nor can it be sent while requests that wait here have all the entries of a ring (8 at least,
 * ring.c). So many that wait do so only for as long. */
#define TELL_CROWD 8u
#define TELL_CROWD_WAIT_MS 100u

/* Ranges of rows that are told one by one; where more have changed the kernel drops all. */
#define TELL_RANGES_MAX 64u

struct teller;

/* Which of the files the kernel has pages of that come from here: QUIVER_COLUMN_VECTORS and
 * QUIVER_COLUMN_IDS, as bits. Called by a worker. */
typedef unsigned tell_columns_fn(struct fs *fs);

/* -ENOMEM, -EAGAIN. */
int teller_new(struct fs *fs, tell_columns_fn *columns, struct teller **teller);
/* Nothing of it runs any more. NULL is allowed. */
void teller_free(struct teller *teller);

/* `count` rows from `first` on have changed. Any thread, any lock but its own; never waits. */
void teller_changed(struct teller *teller, uint64_t first, uint64_t count);
/* Wait until the kernel knows of all that; TELL_WAIT_MS at most. No lock held. */
void teller_settle(struct teller *teller);

/* Have the kernel drop all of `column`. A worker, no lock held; waits for READs of it. */
void teller_drop(struct fs *fs, enum quiver_column column);

/* Tell nothing more: nobody is going to answer READs. What is under way is work like any other,
 * to be waited for with workers_drain. Any thread. */
void teller_stop(struct teller *teller);

#endif
