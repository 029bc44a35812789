/*
 * remove.h - folders with all that is in them.
 */
#ifndef TEST_REMOVE_H
#define TEST_REMOVE_H

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static inline int test_remove_one(const char *path, const struct stat *st, int type,
                                  struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Remove a folder, where it is there. 0 or a negative errno. */
static inline int test_remove(const char *path)
{
	if (nftw(path, test_remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
		return 0;
	return -errno;
}

#endif
