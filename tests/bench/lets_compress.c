/*
 * lets_compress.c - lets btrfs compress a store, so that one fits on a disk that is too small for it:
 * loaded with LD_PRELOAD. What the engine asks for keeps btrfs from it: that room is taken ahead, and
 * that blocks are written in place. Here the former only makes the file longer, and the latter fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The engine is built with 64-bit offsets, so this is the name that it calls. */
int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	struct stat st;

	if (mode != 0)
		return (int)syscall(SYS_fallocate, fd, mode, offset, len);
	if (fstat(fd, &st) != 0)
		return -1;
	return st.st_size >= offset + len ? 0 : ftruncate(fd, offset + len);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *arg;

	if (request == FS_IOC_SETFLAGS) {
		errno = EOPNOTSUPP;
		return -1;
	}
	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}
