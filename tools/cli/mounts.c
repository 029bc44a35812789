/*
 * mounts.c - what is mounted where, as a process sees it.
 */
#include "tools/cli/mounts.h"
#include "tools/cli/octal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Source, mount point, type, options and two numbers, with a blank between them;
 * the kernel writes blanks and the like within them as \ooo. glibc's getmntent
 * knows only some of those. */
#define MOUNTS_FILE "/proc/%s/mounts"
#define PATH_BYTES_MAX 64

/* Look at one line; takes it apart. */
static void look(char *line, const char *point, struct mount_found *mount)
{
	char *rest = line;
	char *source = strsep(&rest, " ");
	char *where = strsep(&rest, " ");
	char *type = strsep(&rest, " ");

	if (where == NULL || type == NULL)
		return;
	octal_decode(where);
	if (strcmp(where, point) != 0)
		return;
	octal_decode(source);
	mount->found = true;
	(void)snprintf(mount->type, sizeof(mount->type), "%s", type);
	(void)snprintf(mount->source, sizeof(mount->source), "%s", source);
}

/* The same for the process whose folder in /proc is `process`. */
static int find(const char *process, const char *point, struct mount_found *mount)
{
	char path[PATH_BYTES_MAX];
	FILE *mounts;
	char *line = NULL;
	size_t room = 0;
	int result = 0;

	memset(mount, 0, sizeof(*mount));
	if (snprintf(path, sizeof(path), MOUNTS_FILE, process) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	mounts = fopen(path, "re");
	if (mounts == NULL)
		return -errno;
	while (getline(&line, &room, mounts) >= 0)
		look(line, point, mount);
	if (ferror(mounts) != 0)
		result = -EIO;
	if (fclose(mounts) != 0 && result == 0)
		result = -errno;
	free(line);
	return result;
}

int mounts_find(const char *point, struct mount_found *mount)
{
	return find("self", point, mount);
}

int mounts_find_of(int64_t pid, const char *point, struct mount_found *mount)
{
	char process[PATH_BYTES_MAX];

	(void)snprintf(process, sizeof(process), "%" PRId64, pid);
	return find(process, point, mount);
}
