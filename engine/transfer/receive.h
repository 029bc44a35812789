/*
 * receive.h - one stream that is being received; engine/transfer/ only.
 */
#ifndef QUIVER_RECEIVE_H
#define QUIVER_RECEIVE_H

#include <limits.h>

#include "engine/disk/io.h"
#include "engine/media/receive_mark.h"
#include "engine/quiver.h"
#include "engine/transfer/stream_read.h"

/* Of one thread. */
struct receive {
	const struct quiver_receive_options *options;
	const struct quiver_io *io;
	const char *path;
	struct stream_reader reader; /* behind its header */
	struct quiver *store; /* NULL: not open */
	bool is_half; /* the store lies in the folder `half` */
	char half[PATH_MAX];
	bool marked; /* `mark` is that of the store */
	struct receive_mark mark;
	struct quiver_error *error;
};

/* What is there to go on with. */
enum receive_step {
	RECEIVE_ITEMS, /* the items from mark.position on */
	RECEIVE_DONE, /* the snapshot is there, and the store is not marked */
	RECEIVE_RENAME, /* the same, but the store has not got its name */
};

/* ---- receive_target.c ---- */
/* Open the store that the stream goes into, or make it, and mark it. What does not fit is refused and
 * leaves all as it is. 0 or -errno with `error` set; the store is open, also then, where it is not
 * NULL. */
int receive_target(struct receive *receive, enum receive_step *step);
/* Open the store in a folder to receive, whether it is marked or not. 0 or -errno. */
int receive_target_open(struct receive *receive, const char *path);
/* Its snapshot of that uuid. 0, -ENOENT, -errno. */
int receive_target_snapshot(struct quiver *store, const uint8_t uuid[16],
                            struct quiver_snapshot *snapshot);

#endif
