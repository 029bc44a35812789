/*
 * blockfile.c - a disk for tests: one file, to be put under a loop device, that logs
 * what is written to it and when it is flushed, and that can be told to fail.
 *
 * usage: blockfile IMAGE MOUNTPOINT [LOG]
 *
 * MOUNTPOINT/disk is the image. MOUNTPOINT/fault takes "write" (every write and flush
 * answers EIO), "sync" (flushes alone do), "read" and "none".
 *
 * LOG gets a record for each write (its header and the bytes) and each flush (length
 * 0), in the order in which they took effect, before they are answered.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#define INO_DISK 2
#define INO_FAULT 3
#define MAX_WRITE (1u << 20)

struct log_header {
	uint64_t offset;
	uint64_t length; /* 0: a flush */
};

enum fault { FAULT_NONE, FAULT_WRITE, FAULT_SYNC, FAULT_READ };

/* One thread serves, so nothing needs a lock and the log is in order. */
static struct {
	int image;
	int log; /* -1: none */
	enum fault fault;
} disk;

/* 0 or -errno. */
static int log_add(uint64_t offset, const void *data, size_t length)
{
	struct log_header header = { .offset = offset, .length = length };
	struct iovec parts[] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)(uintptr_t)data, .iov_len = length },
	};
	ssize_t written;

	if (disk.log < 0)
		return 0;
	written = writev(disk.log, parts, 2);
	if (written < 0)
		return -errno;
	return written == (ssize_t)(sizeof(header) + length) ? 0 : -EIO;
}

static bool stat_of(fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_nlink = 1;
	st->st_mode = S_IFREG | 0600;
	if (ino == FUSE_ROOT_ID)
		st->st_mode = S_IFDIR | 0700;
	else if (ino == INO_DISK)
		return fstat(disk.image, st) == 0;
	return ino <= INO_FAULT;
}

static void disk_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (stat_of(ino, &st))
		fuse_reply_attr(req, &st, 60);
	else
		fuse_reply_err(req, ENOENT);
}

/* Opening with O_TRUNC is the only change anybody asks for, of `fault`. */
static void disk_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int what,
                         struct fuse_file_info *fi)
{
	(void)attr;
	(void)what;
	disk_getattr(req, ino, fi);
}

static void disk_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .attr_timeout = 60, .entry_timeout = 60 };

	if (strcmp(name, "disk") == 0)
		entry.ino = INO_DISK;
	else if (strcmp(name, "fault") == 0)
		entry.ino = INO_FAULT;
	if (parent == FUSE_ROOT_ID && entry.ino != 0 && stat_of(entry.ino, &entry.attr))
		fuse_reply_entry(req, &entry);
	else
		fuse_reply_err(req, ENOENT);
}

static void disk_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = ino == INO_FAULT;
	fi->keep_cache = ino == INO_DISK;
	fuse_reply_open(req, fi);
}

static void disk_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                      struct fuse_file_info *fi)
{
	static char buffer[MAX_WRITE];
	ssize_t got = 0;

	(void)fi;
	if (ino == INO_DISK && disk.fault == FAULT_READ) {
		fuse_reply_err(req, EIO);
		return;
	}
	if (ino == INO_DISK)
		got = pread(disk.image, buffer, size < MAX_WRITE ? size : MAX_WRITE, offset);
	if (got < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, buffer, (size_t)got);
}

/* 0 or -errno. */
static int set_fault(const char *word, size_t size)
{
	static const char *const names[] = { "none", "write", "sync", "read" };

	for (int i = 0; i < 4; i++) {
		if (size >= strlen(names[i]) && strncmp(word, names[i], strlen(names[i])) == 0) {
			disk.fault = (enum fault)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int write_image(const char *data, size_t size, off_t offset)
{
	ssize_t written;

	if (disk.fault == FAULT_WRITE)
		return -EIO;
	written = pwrite(disk.image, data, size, offset);
	if (written < 0)
		return -errno;
	return written == (ssize_t)size ? log_add((uint64_t)offset, data, size) : -EIO;
}

static void disk_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
	int err = ino == INO_FAULT ? set_fault(data, size) : write_image(data, size, offset);

	(void)fi;
	if (err < 0)
		fuse_reply_err(req, -err);
	else
		fuse_reply_write(req, size);
}

static void disk_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, disk.fault == FAULT_WRITE || disk.fault == FAULT_SYNC
	                            ? EIO
	                            : -log_add(0, NULL, 0));
}

static void disk_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	fuse_unset_feature_flag(conn, FUSE_CAP_WRITEBACK_CACHE);
	conn->max_write = MAX_WRITE;
}

static const struct fuse_lowlevel_ops ops = {
	.init = disk_init,
	.lookup = disk_lookup,
	.getattr = disk_getattr,
	.setattr = disk_setattr,
	.open = disk_open,
	.read = disk_read,
	.write = disk_write,
	.fsync = disk_fsync,
};

static int serve(const char *mount_point)
{
	char *words[] = { (char[]){ "blockfile" }, (char[]){ "-osubtype=blockfile" }, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, words);
	struct fuse_session *session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	int status = 1;

	if (session == NULL)
		return 1;
	if (fuse_session_mount(session, mount_point) == 0) {
		status = fuse_session_loop(session) < 0;
		fuse_session_unmount(session);
	}
	fuse_session_destroy(session);
	return status;
}

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: blockfile IMAGE MOUNTPOINT [LOG]\n");
		return 2;
	}
	disk.image = open(argv[1], O_RDWR | O_CLOEXEC);
	if (disk.image < 0) {
		perror(argv[1]);
		return 1;
	}
	disk.log = -1;
	if (argc == 4) {
		disk.log = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (disk.log < 0) {
			perror(argv[3]);
			return 1;
		}
	}
	return serve(argv[2]);
}
