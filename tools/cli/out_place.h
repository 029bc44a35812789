/*
 * out_place.h - what an output is that a user names: a new file, one to be replaced, or something
 * that is written through, as a pipe.
 *
 * Symbolic links are followed, as open(2) would, and stay. One thread.
 */
#ifndef OUT_PLACE_H
#define OUT_PLACE_H

#include <limits.h>
#include <sys/stat.h>

enum out_place_kind {
	OUT_PLACE_NEW, /* there is nothing of this name */
	OUT_PLACE_FILE, /* a regular file */
	/* Standard output or another descriptor that the program was started with, whatever is
	 * open there, a device, a FIFO. */
	OUT_PLACE_THROUGH,
};

struct out_place {
	enum out_place_kind kind;
	/* Where it is, a descriptor with O_PATH; -1: of what is written through it need not be known. */
	int folder_fd;
	char name[NAME_MAX + 1]; /* its name there: no link */
	int fd; /* of what is written through; else -1 */
	struct stat status; /* not of a new one */
};

/*
 * Find out what `path` leads to; "-" is standard output. A FIFO is waited for until somebody reads it.
 * 0, to be given back with out_place_close, or a negative errno after having said what is wrong: a
 * folder, a socket, a file that may not be written, links in a circle.
 */
int out_place_find(const char *path, struct out_place *place);

/* Give back what is still in it. */
void out_place_close(struct out_place *place);

#endif
