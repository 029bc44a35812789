/*
 * false_mount.c - a mount that says that it is one of quiverfs and shows a folder as it is, with the
 * links, FIFOs and devices that are in it.
 *
 * usage: false_mount FOLDER MNT -f -o OPTIONS
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[PATH_MAX];

static const char *real(const char *path, char full[2 * PATH_MAX])
{
	(void)snprintf(full, 2 * PATH_MAX, "%s%s", root, path);
	return full;
}

static int result(int r)
{
	return r < 0 ? -errno : 0;
}

static int false_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	char full[2 * PATH_MAX];

	(void)fi;
	return result(lstat(real(path, full), st));
}

static int false_readlink(const char *path, char *to, size_t size)
{
	char full[2 * PATH_MAX];
	ssize_t n = readlink(real(path, full), to, size - 1);

	if (n < 0)
		return -errno;
	to[n] = '\0';
	return 0;
}

static int false_truncate(const char *path, off_t length, struct fuse_file_info *fi)
{
	char full[2 * PATH_MAX];

	(void)fi;
	return result(truncate(real(path, full), length));
}

static int false_open(const char *path, struct fuse_file_info *fi)
{
	char full[2 * PATH_MAX];
	int fd = open(real(path, full), (fi->flags & O_ACCMODE) | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	fi->direct_io = 1;
	return 0;
}

static int false_read(const char *path, char *to, size_t size, off_t offset,
                      struct fuse_file_info *fi)
{
	ssize_t n = pread((int)fi->fh, to, size, offset);

	(void)path;
	return n < 0 ? -errno : (int)n;
}

static int false_write(const char *path, const char *from, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
	ssize_t n = pwrite((int)fi->fh, from, size, offset);

	(void)path;
	return n < 0 ? -errno : (int)n;
}

static int false_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return result(close((int)fi->fh));
}

static int false_readdir(const char *path, void *to, fuse_fill_dir_t fill, off_t offset,
                         struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	char full[2 * PATH_MAX];
	DIR *dir = opendir(real(path, full));
	struct dirent *entry;

	(void)offset;
	(void)fi;
	(void)flags;
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)) != NULL)
		(void)fill(to, entry->d_name, NULL, 0, 0);
	return result(closedir(dir));
}

int main(int argc, char **argv)
{
	static const struct fuse_operations operations = {
		.getattr = false_getattr,
		.readlink = false_readlink,
		.truncate = false_truncate,
		.open = false_open,
		.read = false_read,
		.write = false_write,
		.release = false_release,
		.readdir = false_readdir,
	};

	if (argc < 3 || !realpath(argv[1], root)) {
		(void)fprintf(stderr, "usage: false_mount FOLDER MNT [OPTION...]\n");
		return 2;
	}
	argv[1] = argv[0];
	return fuse_main(argc - 1, argv + 1, &operations, NULL);
}
