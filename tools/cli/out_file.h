/*
 * out_file.h - an output that a user names: a file that appears whole or not at all, where that can
 * be.
 *
 * It is written under a temporary name beside its own, brought to stable storage and renamed. What it
 * replaces gives it its owner, mode and attributes; where they cannot be kept, the folder takes no new
 * file or the file is a mount point, it is written in place instead, which is told. What is no file is
 * written through. The folder may be somebody else's, who may rename what is in it, and it: it is
 * looked up once, and all goes through its descriptor and that of the file. One thread.
 */
#ifndef OUT_FILE_H
#define OUT_FILE_H

#include "tools/cli/apart.h"
#include "tools/cli/out_place.h"
#include "tools/formats/pack.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
	OUT_FILE_WHOLE = 1, /* what would be written in place is refused */
};

struct out_file {
	const char *path; /* for messages; NULL: not open */
	struct out_place place;
	char temporary[NAME_MAX + 1]; /* its name until out_file_end; "" where it has none */
	const char *in_place; /* why it is written in place; NULL where it is not */
	bool begun; /* what was there is gone, where it is written in place */
	FILE *stream;
	struct pack *pack; /* what is written goes through it; NULL: as it is */
	/* For a library that opens it by itself: a path that leads to the open file, whatever has its
	 * name. */
	char opened[32];
};

/*
 * Prepare to write what becomes `path`, which must be apart from the files of the command; "-" is
 * standard output. What exists stays as it is. Keeps `path`. 0, to be ended with out_file_end and
 * out_file_drop, or a negative errno after having said what is wrong.
 */
int out_file_open(const char *path, unsigned flags, struct apart *apart, struct out_file *file);

/* Pack what will be written. Says errors. */
int out_file_pack(struct out_file *file, enum unpack_kind kind);

/* Begin to write: from here on a file that is written in place is not what it was. The first
 * out_file_write does so; a library that opens the file by itself needs it before. Says errors. */
int out_file_begin(struct out_file *file);

/* Whether its start can be written again. */
bool out_file_can_restart(const struct out_file *file);

/* Whether it appears whole or not at all. */
bool out_file_is_whole(const struct out_file *file);

/* Whether it goes to standard output, by whatever name: nothing else is to be written there. */
bool out_file_is_stdout(const struct out_file *file);

/* Append. Says errors. */
int out_file_write(struct out_file *file, const void *bytes, size_t length);

/* Write `length` bytes over the beginning of the file. Says errors. */
int out_file_write_start(struct out_file *file, const void *bytes, size_t length);

/* What is written through goes on to whoever reads it: what a file gets waits until its end, as do
 * bytes that are being packed. Says errors. */
int out_file_flush(struct out_file *file);

/* Bring all bytes to where they go: of a file, to stable storage. Says errors. */
int out_file_sync(struct out_file *file);

/* Give a file that was synced its name, and make that durable. Says errors. It is dropped also where
 * that fails. */
int out_file_end(struct out_file *file);

/* Remove what was written, and say what cannot be removed; does nothing where the file is not open. */
void out_file_drop(struct out_file *file);

#endif
