/*
 * remount.c - mount -o remount of a live mount.
 */
#include "tools/cli/remount.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tools/cli/say.h"

/* Options that set a flag of the kernel's, or clear it. */
static const struct {
	const char *name;
	unsigned long set;
	unsigned long clear;
} flags_of_options[] = {
	{ "ro", MS_RDONLY, 0 },
	{ "rw", 0, MS_RDONLY },
	{ "nosuid", MS_NOSUID, 0 },
	{ "suid", 0, MS_NOSUID },
	{ "nodev", MS_NODEV, 0 },
	{ "dev", 0, MS_NODEV },
	{ "noexec", MS_NOEXEC, 0 },
	{ "exec", 0, MS_NOEXEC },
	{ "noatime", MS_NOATIME, MS_RELATIME },
	{ "atime", 0, MS_NOATIME },
	{ "relatime", MS_RELATIME, MS_NOATIME },
	{ "norelatime", 0, MS_RELATIME },
	{ "nodiratime", MS_NODIRATIME, 0 },
	{ "diratime", 0, MS_NODIRATIME },
};

/* What a mount has, as mount(2) takes it. */
static const struct {
	unsigned long has;
	unsigned long flag;
} flags_of_mounts[] = {
	{ ST_RDONLY, MS_RDONLY },         { ST_NOSUID, MS_NOSUID },   { ST_NODEV, MS_NODEV },
	{ ST_NOEXEC, MS_NOEXEC },         { ST_NOATIME, MS_NOATIME }, { ST_RELATIME, MS_RELATIME },
	{ ST_NODIRATIME, MS_NODIRATIME },
};

static int current_flags(const char *point, unsigned long *flags)
{
	struct statvfs st;

	if (statvfs(point, &st) < 0)
		return -errno;
	*flags = 0;
	for (size_t i = 0; i < sizeof(flags_of_mounts) / sizeof(flags_of_mounts[0]); i++) {
		if (st.f_flag & flags_of_mounts[i].has)
			*flags |= flags_of_mounts[i].flag;
	}
	return 0;
}

/* Change *flags as the options say, the last one counting. -ENOMEM. */
static int apply(const char *options, unsigned long *flags)
{
	char *list = strdup(options);
	char *rest = list;
	const char *option;

	if (list == NULL)
		return -ENOMEM;
	while ((option = strsep(&rest, ",")) != NULL) {
		for (size_t i = 0; i < sizeof(flags_of_options) / sizeof(flags_of_options[0]);
		     i++) {
			if (strcmp(option, flags_of_options[i].name) != 0)
				continue;
			*flags &= ~flags_of_options[i].clear;
			*flags |= flags_of_options[i].set;
		}
	}
	free(list);
	return 0;
}

/* Whether the daemon behind `point` takes changes: a read-only one has no control/put. */
static int can_be_writable(const char *point)
{
	char *path = NULL;
	int result = 0;

	if (asprintf(&path, "%s/control/put", point) < 0)
		return -ENOMEM;
	if (access(path, F_OK) < 0)
		result = errno == ENOENT ? -EROFS : -errno;
	free(path);
	return result;
}

int remount_change(const char *point, const char *options)
{
	unsigned long flags = 0;
	int result = current_flags(point, &flags);

	if (result == 0)
		result = apply(options, &flags);
	if (result == 0 && !(flags & MS_RDONLY))
		result = can_be_writable(point);
	if (result == 0 && mount("none", point, NULL, MS_REMOUNT | flags, NULL) < 0)
		result = -errno;
	if (result == -EROFS)
		say_error(point, "was mounted read-only, so its daemon cannot write; unmount it "
		                 "and mount it again");
	else if (result == -EBUSY)
		say_error(point, "cannot become read-only: a file is open for writing");
	else if (result < 0)
		say_errno(point, result);
	return result;
}
