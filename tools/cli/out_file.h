/*
 * out_file.h - a file that appears whole or not at all.
 *
 * It is written under a temporary name beside its own, brought to stable storage
 * and renamed. The folder may be somebody else's, who may rename what is in it, and it: it is looked up
 * once, and all goes through its descriptor and that of the file. One thread.
 */
#ifndef OUT_FILE_H
#define OUT_FILE_H

#include <limits.h>
#include <stddef.h>
#include <stdio.h>

struct out_file {
	const char *path; /* NULL: not open */
	int folder_fd; /* where it is; -1 where that is not open */
	char name[NAME_MAX + 1]; /* its name there */
	char temporary[NAME_MAX + 1]; /* and until out_file_rename */
	FILE *stream;
	/* For a library that opens it by itself: a path that leads to the open file, whatever has its
	 * name. */
	char opened[32];
};

/*
 * Begin to write what becomes `path`; an existing `path` must be a regular file,
 * which stays as it is until out_file_rename. Keeps `path`. 0, to be ended with
 * out_file_rename or out_file_drop, or a negative errno after having said what
 * is wrong.
 */
int out_file_open(const char *path, struct out_file *file);

/* Append. Says errors. */
int out_file_write(struct out_file *file, const void *bytes, size_t length);

/* Write `length` bytes over the beginning of the file. Says errors. */
int out_file_write_start(struct out_file *file, const void *bytes, size_t length);

/* Bring all bytes to stable storage. Says errors. */
int out_file_sync(struct out_file *file);

/* Give a file that was synced its name, and make that durable. Says errors. The
 * file is closed and dropped also where that fails. */
int out_file_rename(struct out_file *file);

/* Remove what was written; does nothing where the file is not open. */
void out_file_drop(struct out_file *file);

#endif
