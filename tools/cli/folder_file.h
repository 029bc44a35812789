/*
 * folder_file.h - one file that is a vector, read with its attributes.
 */
#ifndef FOLDER_FILE_H
#define FOLDER_FILE_H

#include "engine/quiver.h"
#include "tools/cli/folder_list.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* One of these for each thread. */
struct folder_reader {
	int folder_fd; /* not its own */
	const struct quiver_geometry *geometry;
	unsigned char *file; /* room for a .npy file; NULL before there was one */
	char reason[256]; /* why a file is no vector */
};

void folder_reader_free(struct folder_reader *reader);

/* Whether a file of these attributes can be a vector. -EINVAL with reader->reason. */
int folder_reader_check(struct folder_reader *reader, const struct folder_entry *entry,
                        const struct stat *status);

/*
 * Read the N bytes of a vector to `to`, and the attributes that its file had before they were read:
 * a change that comes later has a later time than *status. -EINVAL it is no vector, with
 * reader->reason; -ENOENT it went away; errors of openat(2) and read(2).
 */
int folder_reader_read(struct folder_reader *reader, const struct folder_entry *entry, void *to,
                       struct stat *status);

#endif
