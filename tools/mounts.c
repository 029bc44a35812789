/*
 * mounts.c - what is mounted where, as this process sees it.
 */
#include "mounts.h"

#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>

#define MOUNTS_FILE "/proc/self/mounts"
/* Room for one line: two paths, four bytes a character in the worst case, and
 * options. glibc cuts a longer line at its end, where only options are. */
#define LINE_BYTES_MAX (10 * PATH_MAX)

int mounts_find(const char *point, struct mount_found *mount)
{
	static char line[LINE_BYTES_MAX]; /* too large for a stack; one thread */
	struct mntent entry;
	FILE *mounts = setmntent(MOUNTS_FILE, "re");

	memset(mount, 0, sizeof(*mount));
	if (mounts == NULL)
		return errno != 0 ? -errno : -ENOENT;
	while (getmntent_r(mounts, &entry, line, sizeof(line)) != NULL) {
		if (strcmp(entry.mnt_dir, point) != 0)
			continue;
		mount->found = true;
		(void)snprintf(mount->type, sizeof(mount->type), "%s", entry.mnt_type);
		(void)snprintf(mount->source, sizeof(mount->source), "%s", entry.mnt_fsname);
	}
	(void)endmntent(mounts); /* always 1, by its manual */
	return 0;
}
