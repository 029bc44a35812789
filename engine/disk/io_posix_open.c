#include "engine/disk/io_posix_open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/base/culprit.h"

/* How often a file may come and go between being looked for and being made. */
#define TRIES_MAX 16
#define WHY_BYTES 256

static int fail(const char *name, int r, const char *why)
{
	/* A quota used up is a full disk to all of the engine. */
	r = r == -EDQUOT ? -ENOSPC : r;
	culprit_note(name, r, why);
	return r;
}

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a regular file";
	case S_IFDIR:
		return "a folder";
	case S_IFLNK:
		return "a symbolic link, which is not followed";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a device";
	}
}

/* Whether it is of the kind that is asked for. */
static int judge_kind(const char *name, const struct stat *st, int flags)
{
	bool folder = (flags & O_DIRECTORY) != 0;
	char why[WHY_BYTES];
	int r;

	if (folder ? S_ISDIR(st->st_mode) : S_ISREG(st->st_mode))
		return 0;
	r = S_ISLNK(st->st_mode)   ? -ELOOP
	    : S_ISDIR(st->st_mode) ? -EISDIR
	    : folder               ? -ENOTDIR
	                           : -ENXIO;
	(void)snprintf(why, sizeof(why), "expected %s, found %s",
	               folder ? "a folder" : "a regular file", kind_of(st->st_mode));
	return fail(name, r, why);
}

/* Whether it may be used, of the folder `in`. */
static int judge(const char *name, const struct stat *in, const struct stat *st, int flags)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	uid_t caller = geteuid();
	bool owner = in->st_uid == caller;
	char why[WHY_BYTES];
	int r = judge_kind(name, st, flags);

	if (r)
		return r;
	if (!owner && st->st_uid != in->st_uid && st->st_uid != caller && st->st_uid != 0) {
		(void)snprintf(
			why, sizeof(why),
			"expected a file of user %u, who owns the folder, found a file of user %u",
			(unsigned)in->st_uid, (unsigned)st->st_uid);
		return fail(name, -EPERM, why);
	}
	if (S_ISDIR(st->st_mode) || st->st_nlink <= 1 || (owner && !writes))
		return 0;
	(void)snprintf(why, sizeof(why),
	               "expected a file with one name, found %lu hard links to it; a write here "
	               "would change the others, too; use a copy (cp -a)%s",
	               (unsigned long)st->st_nlink,
	               owner ? ", or open it read-only (-o ro)"
	                     : ", as another user than its owner");
	return fail(name, -EMLINK, why);
}

/* The open file is what the name still leads to: a name that is gone by now counted before, and a
 * link to another's file would look like a file of one name. */
static int judge_opened(int dir_fd, const struct stat *in, const char *name, int fd, int flags)
{
	struct stat opened, named;

	if (fstat(fd, &opened) != 0 || fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) != 0)
		return fail(name, -errno, NULL);
	if (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino)
		return fail(name, -ESTALE,
		            "it was replaced by another file while it was being opened");
	return judge(name, in, &named, flags);
}

/* One that is there. `in` is the folder. */
static int open_there(int dir_fd, const struct stat *in, const char *name, int flags)
{
	bool empties = (flags & O_TRUNC) != 0;
	struct stat st;
	int fd;
	int r;

	flags &= ~(O_CREAT | O_EXCL | O_TRUNC);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? -ENOENT : fail(name, -errno, NULL);
	r = judge(name, in, &st, flags);
	if (r)
		return r;
	fd = openat(dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fail(name, -errno, NULL);
	r = judge_opened(dir_fd, in, name, fd, flags);
	if (r == 0 && empties && ftruncate(fd, 0) != 0)
		r = fail(name, -errno, NULL);
	if (r == 0)
		return fd;
	(void)close(fd); /* nothing was done with it */
	return r;
}

/* Give what this process has just made to the owner of its folder. */
static int give_away(const char *name, const struct stat *in, int fd)
{
	if (in->st_uid == geteuid())
		return 0;
	/* Who may not has a file of his own, as all that he makes are. */
	return fchown(fd, in->st_uid, in->st_gid) == 0 || errno == EPERM ? 0
	                                                                 : fail(name, -errno, NULL);
}

/* Have btrfs write into the blocks that a file has. It would write a copy of each first, for which
 * there is no room on a full disk, whatever has been allocated; and a store has checksums of its
 * own. Only an empty file takes this. Where it cannot be had it is done without. */
static void write_in_place(int fd)
{
	struct statfs fs;
	int flags;

	if (fstatfs(fd, &fs) == 0 && fs.f_type == BTRFS_SUPER_MAGIC &&
	    ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_NOCOW_FL;
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

static int make_new(int dir_fd, const struct stat *in, const char *name, int flags, mode_t mode)
{
	int fd = openat(dir_fd, name, flags | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	int r;

	if (fd < 0)
		return errno == EEXIST ? -EEXIST : fail(name, -errno, NULL);
	write_in_place(fd);
	r = give_away(name, in, fd);
	if (r == 0)
		return fd;
	(void)close(fd);
	(void)unlinkat(dir_fd, name, 0); /* what failed first is the reason */
	return r;
}

int io_posix_open_below(int dir_fd, const char *name, int flags, mode_t mode)
{
	struct stat in;
	int r = -EAGAIN;

	if (fstat(dir_fd, &in) != 0)
		return fail(name, -errno, NULL);
	if (flags & O_CREAT && flags & O_EXCL) {
		r = make_new(dir_fd, &in, name, flags, mode);
		return r == -EEXIST ? fail(name, r, NULL) : r;
	}
	for (int i = 0; i < TRIES_MAX; i++) {
		r = open_there(dir_fd, &in, name, flags);
		if (r != -ENOENT || !(flags & O_CREAT))
			return r;
		r = make_new(dir_fd, &in, name, flags, mode);
		if (r != -EEXIST)
			return r;
	}
	return fail(name, r, NULL);
}

int io_posix_mkdir_below(int dir_fd, const char *name, mode_t mode)
{
	struct stat in;
	int fd;
	int r;

	if (fstat(dir_fd, &in) != 0)
		return fail(name, -errno, NULL);
	if (mkdirat(dir_fd, name, mode) != 0)
		return errno == EEXIST ? -EEXIST : fail(name, -errno, NULL);
	fd = io_posix_open_below(dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	r = give_away(name, &in, fd);
	(void)close(fd); /* it was only read */
	return r;
}

/* The folder before the name, or `dir_fd`; the name to *base. To be closed if it is another. */
static int folder_before(int dir_fd, const char *name, const char **base)
{
	const char *slash = strrchr(name, '/');
	char folder[NAME_MAX + 1];

	*base = slash ? slash + 1 : name;
	if (!slash)
		return dir_fd;
	if ((size_t)(slash - name) >= sizeof(folder))
		return -ENAMETOOLONG;
	memcpy(folder, name, (size_t)(slash - name));
	folder[slash - name] = '\0';
	return io_posix_open_below(dir_fd, folder, O_RDONLY | O_DIRECTORY, 0);
}

int io_posix_rename_below(int dir_fd, const char *from, const char *to)
{
	const char *from_base, *to_base;
	int from_fd = folder_before(dir_fd, from, &from_base);
	int to_fd = folder_before(dir_fd, to, &to_base);
	int r = from_fd < 0 ? from_fd : to_fd < 0 ? to_fd : 0;

	if (r == 0 && renameat(from_fd, from_base, to_fd, to_base) != 0)
		r = errno == ENOENT ? -ENOENT : fail(to, -errno, NULL);
	if (from_fd >= 0 && from_fd != dir_fd)
		(void)close(from_fd); /* it was only read */
	if (to_fd >= 0 && to_fd != dir_fd)
		(void)close(to_fd);
	return r;
}

int io_posix_unlink_below(int dir_fd, const char *name)
{
	if (unlinkat(dir_fd, name, 0) == 0)
		return 0;
	return errno == ENOENT ? -ENOENT : fail(name, -errno, NULL);
}
