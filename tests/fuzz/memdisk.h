/*
 * memdisk.h - a disk in memory, which takes the place of engine/disk/io_posix.c: making, opening,
 * killing and checking a store take no system calls but a few maps.
 *
 * It holds one store, at MEMDISK_STORE. Not for more than one thread. Ends the program where
 * memory or one of its bounds does not do.
 */
#ifndef MEMDISK_H
#define MEMDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/disk/io.h"

#define MEMDISK_STORE "/store"
#define MEMDISK_FILES_MAX 64
#define MEMDISK_NAME_BYTES 64
/* Far above what a store of a fuzz target grows to; more is a disk that is full. */
#define MEMDISK_FILE_BYTES_MAX (UINT64_C(16) << 20)

struct memdisk_file {
	char name
		[MEMDISK_NAME_BYTES]; /* below the store: "superblock", "wal/0000000000000001.wal" */
	uint64_t size;
	uint64_t kept; /* bytes at the front that may be other than zero */
	uint8_t *bytes; /* kept of them */
};

/* A copy of all files of the disk. */
struct memdisk_image {
	struct memdisk_file files[MEMDISK_FILES_MAX];
	size_t count;
};

/* To be freed by memdisk_free. */
void memdisk_save(struct memdisk_image *image);
void memdisk_free(struct memdisk_image *image);
/* The disk holds just that; no file may be open. */
void memdisk_load(const struct memdisk_image *image);
/* The disk is empty; no file may be open. */
void memdisk_clear(void);
/* Whether files can be mapped to be stored in, from the next that is; at first they cannot. What
 * is stored is there at once, as what is written. */
void memdisk_use_maps(bool on);
/* Files and folders that are open. */
unsigned memdisk_opens(void);
/* NULL where there is no such file. */
struct memdisk_file *memdisk_find(struct memdisk_image *image, const char *name);

/* What the engine takes for getrandom(2): the same bytes again after memdisk_load and
 * memdisk_clear, so that an input does the same in every process. */
ssize_t memdisk_random(void *to, size_t length, unsigned flags);

#endif
