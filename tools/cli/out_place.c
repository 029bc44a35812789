/*
 * out_place.c - what an output is that a user names: a new file, one to be replaced, or something
 * that is written through, as a pipe.
 */
#include "tools/cli/out_place.h"
#include "tools/cli/say.h"
#include "tools/formats/interrupt.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* As many links as the kernel follows. */
#define LINKS_MAX 40u
/* How often a FIFO that nobody reads is looked at again. */
#define FIFO_POLL_MS 50u
#define OPENED_BYTES 32 /* a path in /proc/self/fd */

/* Say why an output cannot be written and return the error. */
static int fail(const char *path, const char *what, int result)
{
	say_error(path, "%s: %s", what, strerror(-result));
	return result;
}

/* Of a file that a descriptor leads to, find the folder where it can be told: whoever asks whether
 * that is one of a store learns it. */
static void find_folder(struct out_place *place)
{
	char opened[OPENED_BYTES], path[PATH_MAX], folder[PATH_MAX];
	struct stat status;
	ssize_t length;

	(void)snprintf(opened, sizeof(opened), "/proc/self/fd/%d", place->fd);
	length = readlink(opened, path, sizeof(path) - 1);
	if (length <= 0)
		return;
	path[length] = '\0';
	if (lstat(path, &status) < 0 || status.st_dev != place->status.st_dev ||
	    status.st_ino != place->status.st_ino)
		return; /* removed or renamed meanwhile */
	memcpy(folder, path, sizeof(folder));
	place->folder_fd = open(dirname(folder), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Write through descriptor `number` of those that the program was started with: the same open file,
 * so that a shell's >> appends, and what comes after this program in a shell's { } follows it. */
static int take_descriptor(const char *path, int number, struct out_place *place)
{
	int flags = fcntl(number, F_GETFL);

	if (flags < 0)
		return fail(path, "it cannot be written", -errno);
	if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_PATH) != 0) {
		say_error(path, "it is not open for writing");
		return -EBADF;
	}
	place->kind = OUT_PLACE_THROUGH;
	place->fd = fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (place->fd < 0 || fstat(place->fd, &place->status) < 0)
		return fail(path, "it cannot be written", -errno);
	if (S_ISREG(place->status.st_mode))
		find_folder(place);
	return 0;
}

/* Whether a name in a folder of /proc is that of a descriptor which the program was started with:
 * those it has opened itself would have been closed by exec. */
static bool is_descriptor(int folder_fd, const char *name, int *number)
{
	struct stat opened, named;
	char *end;
	long value = strtol(name, &end, 10);
	int flags;

	if (!isdigit((unsigned char)name[0]) || *end != '\0' || value > INT_MAX)
		return false;
	*number = (int)value;
	flags = fcntl(*number, F_GETFD);
	return flags >= 0 && (flags & FD_CLOEXEC) == 0 && fstat(*number, &opened) == 0 &&
	       fstatat(folder_fd, name, &named, 0) == 0 && opened.st_dev == named.st_dev &&
	       opened.st_ino == named.st_ino;
}

/* Open what is written through. A FIFO can be opened once somebody reads it. */
static int open_through(const char *path, int folder_fd, const char *name, struct out_place *place)
{
	/* A block device that is mounted is refused. */
	int exclusive = S_ISBLK(place->status.st_mode) ? O_EXCL : 0;
	int flags;

	do {
		place->fd = openat(folder_fd, name,
		                   O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | exclusive);
		if (place->fd >= 0 || errno != ENXIO || !S_ISFIFO(place->status.st_mode))
			break;
		interruptible_sleep(FIFO_POLL_MS);
	} while (!interrupted());
	if (place->fd < 0 && interrupted()) {
		say_error(path, "stopped; nobody has opened it for reading");
		return -EINTR;
	}
	flags = place->fd < 0 ? -1 : fcntl(place->fd, F_GETFL);
	if (flags < 0 || fcntl(place->fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return fail(path, "it cannot be written", -errno);
	place->kind = OUT_PLACE_THROUGH;
	return 0;
}

/* A link in /proc that leads to an open file, its name being no more than a word. */
static int take_magic(const char *path, int folder_fd, const char *name, struct out_place *place)
{
	int number;

	if (is_descriptor(folder_fd, name, &number))
		return take_descriptor(path, number, place);
	if (fstatat(folder_fd, name, &place->status, 0) < 0)
		return fail(path, "it cannot be written", -errno);
	if (!S_ISREG(place->status.st_mode) && !S_ISDIR(place->status.st_mode))
		return open_through(path, folder_fd, name, place);
	say_error(path,
	          "this name is a file that another process has open; give the file's own name");
	return -EBADF;
}

/* Something of the name is there, and is no link. */
static int take_existing(const char *path, struct out_place *place)
{
	mode_t mode = place->status.st_mode;

	if (S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode))
		return open_through(path, place->folder_fd, place->name, place);
	if (!S_ISREG(mode)) {
		say_error(path, "a %s; expected the name of a file",
		          S_ISDIR(mode) ? "folder" : "socket");
		return S_ISDIR(mode) ? -EISDIR : -EINVAL;
	}
	place->kind = OUT_PLACE_FILE;
	if (faccessat(place->folder_fd, place->name, W_OK, AT_EACCESS) < 0)
		return fail(path, "it exists already, and this user may not write it", -errno);
	return 0;
}

/* Take a path apart: its folder is opened, with a link in the middle followed, from `base_fd`. */
static int enter(const char *path, int base_fd, const char *text, struct out_place *place)
{
	char folder[PATH_MAX], name[PATH_MAX];
	const char *base;
	size_t length = strlen(text);

	place->folder_fd = -1;
	if (length == 0 || text[length - 1] == '/') {
		say_error(path, "%s; expected the name of a file",
		          length == 0 ? "no name" : "the name of a folder");
		return length == 0 ? -ENOENT : -EISDIR;
	}
	(void)snprintf(folder, sizeof(folder), "%s", text);
	(void)snprintf(name, sizeof(name), "%s", text);
	base = basename(name);
	if (length >= sizeof(folder) || strlen(base) >= sizeof(place->name))
		return fail(path, "it cannot be written", -ENAMETOOLONG);
	(void)snprintf(place->name, sizeof(place->name), "%s", base);
	place->folder_fd = openat(base_fd, dirname(folder), O_PATH | O_DIRECTORY | O_CLOEXEC);
	return place->folder_fd < 0 ? fail(path, "its folder cannot be opened", -errno) : 0;
}

/* A link of another user's may lead anywhere: whoever has the folder, or may write to it, would have
 * root write to files of root's. The kernel itself (fs.protected_symlinks) looks at folders as /tmp
 * alone. */
static bool may_follow(const struct out_place *place)
{
	return place->status.st_uid == geteuid() || place->status.st_uid == 0;
}

static bool is_in_proc(int folder_fd)
{
	struct statfs status;

	return fstatfs(folder_fd, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

/* Look at what has the name. 0; 1 where it is a link, whose text is in `text` then. */
static int look(const char *path, struct out_place *place, char text[PATH_MAX])
{
	ssize_t length;

	if (fstatat(place->folder_fd, place->name, &place->status, AT_SYMLINK_NOFOLLOW) < 0) {
		place->kind = OUT_PLACE_NEW;
		return errno == ENOENT ? 0 : fail(path, "it cannot be written", -errno);
	}
	if (!S_ISLNK(place->status.st_mode))
		return take_existing(path, place);
	if (is_in_proc(place->folder_fd)) {
		int folder_fd = place->folder_fd;
		int result;

		place->folder_fd = -1;
		result = take_magic(path, folder_fd, place->name, place);
		(void)close(folder_fd); /* it was only looked into */
		return result;
	}
	if (!may_follow(place))
		return fail(path,
		            "another user's link, which is not followed; give the name of the file",
		            -EACCES);
	length = readlinkat(place->folder_fd, place->name, text, PATH_MAX);
	if (length < 0 || length == PATH_MAX)
		return fail(path, "its link cannot be followed",
		            length < 0 ? -errno : -ENAMETOOLONG);
	text[length] = '\0';
	return 1;
}

/* Find what a path leads to, link by link. */
static int follow(const char *path, struct out_place *place)
{
	char text[PATH_MAX];
	int base_fd = AT_FDCWD, result;
	unsigned links = 0;

	if (snprintf(text, sizeof(text), "%s", path) >= (int)sizeof(text))
		return fail(path, "it cannot be written", -ENAMETOOLONG);
	do {
		result = enter(path, base_fd, text, place);
		if (base_fd >= 0)
			(void)close(base_fd); /* it was only looked into */
		base_fd = place->folder_fd;
		if (result == 0)
			result = look(path, place, text);
	} while (result == 1 && ++links < LINKS_MAX);
	if (result == 1)
		result = fail(path, "its link cannot be followed", -ELOOP);
	return result;
}

int out_place_find(const char *path, struct out_place *place)
{
	int result;

	memset(place, 0, sizeof(*place));
	place->folder_fd = place->fd = -1;
	if (strcmp(path, "-") == 0)
		result = take_descriptor("standard output", STDOUT_FILENO, place);
	else
		result = follow(path, place);
	if (result < 0)
		out_place_close(place);
	return result;
}

void out_place_close(struct out_place *place)
{
	if (place->folder_fd >= 0)
		(void)close(place->folder_fd); /* it was only looked into */
	if (place->fd >= 0)
		(void)close(place->fd); /* whoever has written to it has looked */
	place->folder_fd = place->fd = -1;
}
