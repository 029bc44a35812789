/* ring.c - whether requests can come by io_uring. */
#include "fs/daemon/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* What all rings may pin together, as far as the least depth allows. */
#define RING_BYTES_MAX (64u << 20)
/* Fewer and waiting writers would hold up readers of their core; more only
 * costs memory, since the kernel queues what does not fit. */
#define QUEUE_DEPTH_MIN 8u
#define QUEUE_DEPTH_MAX 32u

#define ENABLE_FILE "/sys/module/fuse/parameters/enable_uring"
#define DISABLED_FILE "/proc/sys/kernel/io_uring_disabled"

unsigned ring_queue_depth(uint32_t request_bytes)
{
	int cores = get_nprocs_conf();
	unsigned depth = RING_BYTES_MAX / request_bytes / (unsigned)(cores > 0 ? cores : 1);

	if (depth < QUEUE_DEPTH_MIN)
		return QUEUE_DEPTH_MIN;
	return depth < QUEUE_DEPTH_MAX ? depth : QUEUE_DEPTH_MAX;
}

/* The first character of a file of the kernel's; '\0' where it is empty, -errno
 * where it cannot be read. */
static int first_character(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c = '\0';
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = read(fd, &c, 1);
	if (got < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	close(fd);
	return got == 1 ? c : '\0';
}

/* Make a ring such as libfuse will make and throw it away. 0 or -errno. */
static int try_ring(unsigned depth)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
		.cq_entries = 2 * (depth + 1),
	};
	long fd = syscall(__NR_io_uring_setup, depth + 1, &params);

	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
}

/* Why io_uring cannot be used, in `reason`; an empty text where it can. */
static void obstacle(unsigned depth, char *reason, size_t room)
{
	int enabled = first_character(ENABLE_FILE);
	int err;

	reason[0] = '\0';
	if (enabled == -ENOENT) {
		snprintf(reason, room, "this kernel has no FUSE over io_uring (needs Linux 6.14)");
		return;
	}
	if (enabled < 0) {
		snprintf(reason, room, "%s: %s", ENABLE_FILE, strerror(-enabled));
		return;
	}
	if (enabled != 'Y' && enabled != '1') {
		snprintf(reason, room, "%s is %c", ENABLE_FILE, enabled ? enabled : '?');
		return;
	}
	err = try_ring(depth);
	if (err == -EPERM && first_character(DISABLED_FILE) > '0')
		snprintf(reason, room, "%s forbids io_uring here", DISABLED_FILE);
	else if (err != 0)
		snprintf(reason, room, "io_uring_setup: %s", strerror(-err));
}

int ring_choose(struct fs *fs, enum io_uring_wish wish)
{
	fs->want_io_uring = false;
	if (wish == IO_URING_OFF) {
		snprintf(fs->transport_reason, sizeof(fs->transport_reason),
		         "mounted with io_uring=off");
		return 0;
	}
	if (fs->shared && wish == IO_URING_AUTO) {
		snprintf(fs->transport_reason, sizeof(fs->transport_reason),
		         "without io_uring, calls to a store on other machines can be interrupted; "
		         "io_uring=on uses it anyway");
		return 0;
	}
	obstacle(ring_queue_depth(fs->max_write_bytes), fs->transport_reason,
	         sizeof(fs->transport_reason));
	if (fs->transport_reason[0])
		return wish == IO_URING_ON ? -ENOTSUP : 0;
	fs->want_io_uring = true;
	return 0;
}
