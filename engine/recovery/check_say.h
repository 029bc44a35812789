/*
 * check_say.h - what a check and a repair work on, and whom they tell.
 */
#ifndef QUIVER_CHECK_SAY_H
#define QUIVER_CHECK_SAY_H

#include "engine/disk/superblock_file.h"
#include "engine/index/catalog.h"

struct check {
	struct catalog *catalog; /* columns open; index and slots are filled by the check */
	struct superblock_file *superblock; /* open, and read */
	int dir_fd;
	struct quiver_check_result *result;
	void (*say)(void *arg, const char *line);
	void *arg;
};

/* Tell the caller a line. */
void check_say(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
