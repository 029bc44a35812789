/*
 * folder.h - private folders of a test, and copies of whole stores kept in memory, from which
 * a folder is made anew in no time.
 */
#ifndef FOLDER_H
#define FOLDER_H

#include <stddef.h>
#include <stdint.h>

#define FOLDER_PATH_BYTES 256
#define IMAGE_FILES_MAX 32

struct image_file {
	char name[300]; /* below the store: "superblock", "wal/0000000000000001.wal" */
	uint64_t size;
	uint64_t kept; /* bytes at the front that are not all zero */
	uint8_t *bytes; /* kept of them */
};

struct image {
	struct image_file files[IMAGE_FILES_MAX];
	size_t count;
};

/* A new folder in memory where there is some, else in TMPDIR. Aborts where that fails, as all
 * here do: then nothing can be tested. */
void folder_make(char path[FOLDER_PATH_BYTES]);
void folder_remove(const char *path);

/* Read a store into memory, and write it to `path`, which must not exist. */
void image_load(struct image *image, const char *path);
void image_write(const struct image *image, const char *path);
void image_free(struct image *image);
/* NULL where there is no such file. */
struct image_file *image_find(struct image *image, const char *name);

#endif
