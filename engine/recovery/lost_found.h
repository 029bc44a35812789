/*
 * lost_found.h - the folder lost+found of a store, where a repair puts what it takes away.
 */
#ifndef QUIVER_LOST_FOUND_H
#define QUIVER_LOST_FOUND_H

#include "engine/disk/io.h"

#define LOST_NAME_BYTES 128 /* of a file in it: two numbers and some words, or a snapshot's name */

struct lost_found {
	const struct quiver_io *io;
	int dir_fd; /* the store's folder; not owned */
	int fd; /* -1: not open */
};

/* Open it, made where it is missing. 0 or -errno. */
int lost_found_open(struct lost_found *lost, const struct quiver_io *io, int dir_fd);
/* On stable storage. 0 or -errno. */
int lost_found_sync(const struct lost_found *lost);
/* `r`, or where that is 0 what closing it gave. */
int lost_found_close(struct lost_found *lost, int r);
/* Write a file, synced; its name, `base` or with .2, .3 behind it where that is taken, to `name`. 0 or
 * -errno. */
int lost_found_keep(const struct lost_found *lost, const char *base, const void *bytes,
                    uint64_t length, char name[LOST_NAME_BYTES]);
/* The same, of a file of the store's folder. */
int lost_found_copy(const struct lost_found *lost, const char *from, const char *base,
                    char name[LOST_NAME_BYTES]);
/* Move a file of the store there, which may be in one of its folders ("wal/NAME"). -ENOENT it is not
 * there. */
int lost_found_move(const struct lost_found *lost, const char *from, const char *base,
                    char name[LOST_NAME_BYTES]);

#endif
