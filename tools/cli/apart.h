/*
 * apart.h - the files of one command: what it reads it does not write, it writes nothing twice, and
 * nothing into a store.
 *
 * Files are told apart by what they are (device and inode; a new one by its folder and name), not by
 * how they are called: there are links, and folders that are mounted twice. One thread.
 */
#ifndef APART_H
#define APART_H

#include "tools/cli/out_place.h"

#include <stdbool.h>
#include <stddef.h>

struct apart_file;

struct apart {
	struct apart_file *files;
	size_t count, room;
	bool mounted; /* the store is mounted, as this device */
	dev_t device;
};

/* `path` is read; "-" is standard input. One that is not there is none: whoever opens it says so.
 * Keeps `path`. 0 or -ENOMEM, having said it. */
int apart_read(struct apart *apart, const char *path);

/* The files of the store `path`, its folder or where it is mounted, are the store's own, as far as this
 * user may see them. Keeps `path`. As apart_read. */
int apart_store(struct apart *apart, const char *path);

/* Whether `path`, which is to be read into the store, is one of its own files, which change meanwhile.
 * 0, or -EINVAL after having said so. */
int apart_check_source(const struct apart *apart, const char *path);

/* `place`, which the user called `path`, is to be written. Keeps `path`. 0, or a negative errno after
 * having said what is wrong. */
int apart_write(struct apart *apart, const char *path, const struct out_place *place);

/* Whether a folder, a descriptor, is or lies in one of a store or in a mount of quiverfs, where no file
 * is to be made: 0, or -EINVAL after having said so of `path`. */
int apart_check_folder(const char *path, int folder_fd);

void apart_free(struct apart *apart);

#endif
