/*
 * serve.c - the libfuse session: set up, loop, end.
 */
#include "fs/daemon/serve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include <fuse_opt.h>

#include "fs/daemon/log.h"
#include "fs/daemon/ring.h"
#include "fs/ops/ops.h"

/* Background requests (read-ahead, RELEASE) in flight before the kernel waits. */
#define BACKGROUND_MAX 64
/* FUSE 7.44, Linux 6.16: FUSE_NOTIFY_INC_EPOCH. */
#define PROTOCOL_WITH_EPOCHS 44
/* Threads that read /dev/fuse. They hand over whatever waits, so that there is no
 * need for many; a few more than cores keep them all busy. Half of the fewest may be in
 * batches, which wait (HANDLERS_MAX in control_put.c). */
#define THREADS_MIN 4u
#define THREADS_MAX 32u

#ifdef __SANITIZE_ADDRESS__
/* libfuse cancels its threads while they wait for requests. They unwind without
 * telling AddressSanitizer, which takes what the thread then still does (liburcu
 * takes it off its list) for overflows of the frames that were left. */
const char *__asan_default_suppressions(void);
const char *__asan_default_suppressions(void)
{
	return "interceptor_via_lib:liburcu-bp\n";
}
#endif

static int add_session_option(char **list, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Append one option, escaped. 0 or -ENOMEM. */
static int add_session_option(char **list, const char *format, ...)
{
	char *option = NULL;
	va_list args;
	int length, err;

	va_start(args, format);
	length = vasprintf(&option, format, args);
	va_end(args);
	if (length < 0)
		return -ENOMEM;
	err = fuse_opt_add_opt_escaped(list, option);
	free(option);
	return err != 0 ? -ENOMEM : 0;
}

/* The options for libfuse in *list, to be freed by the caller also on failure. */
static int session_options(const struct fs *fs, const struct mount_options *options, char **list)
{
	int err = 0;

	*list = NULL;
	err |= add_session_option(list, "fsname=%s", fs->store_path);
	err |= add_session_option(list, "subtype=quiverfs");
	err |= add_session_option(list, "default_permissions");
	if (fs->read_only)
		err |= add_session_option(list, "ro");
	if (options->allow_other)
		err |= add_session_option(list, "allow_other");
	if (fs->want_io_uring) {
		err |= add_session_option(list, "io_uring");
		err |= add_session_option(list, "io_uring_q_depth=%u",
		                          ring_queue_depth(fs->max_write_bytes));
	}
	if (options->pass)
		err |= fuse_opt_add_opt(list, options->pass);
	return err ? -ENOMEM : 0;
}

/* Ask for what is wanted where the kernel offers it, and for nothing else. */
static void want_features(struct fs *fs, struct fuse_conn_info *conn)
{
	fuse_set_feature_flag(conn, FUSE_CAP_ASYNC_READ);
	fuse_set_feature_flag(conn, FUSE_CAP_PARALLEL_DIROPS);
	/* Attributes that are not kept are of no use. */
	if (fs->shared)
		fuse_unset_feature_flag(conn, FUSE_CAP_READDIRPLUS);
	else
		fuse_set_feature_flag(conn, FUSE_CAP_READDIRPLUS);
	/* listing.c knows better when attributes are wanted. */
	fuse_unset_feature_flag(conn, FUSE_CAP_READDIRPLUS_AUTO);
	fuse_set_feature_flag(conn, FUSE_CAP_AUTO_INVAL_DATA);
	/* File handles (NFS) outlive the kernel's inodes: names_lookup knows "." and "..". */
	fuse_set_feature_flag(conn, FUSE_CAP_EXPORT_SUPPORT);
	if (fs->set_umask)
		fuse_set_feature_flag(conn, FUSE_CAP_DONT_MASK);
	/* With it a file that is opened to be replaced would be empty for all. */
	fuse_unset_feature_flag(conn, FUSE_CAP_ATOMIC_O_TRUNC);
	fuse_unset_feature_flag(conn, FUSE_CAP_WRITEBACK_CACHE);
	fuse_unset_feature_flag(conn, FUSE_CAP_DIRECT_IO_ALLOW_MMAP);
	/* Vectors are small: a pipe in between costs more than the copy. */
	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_READ);
	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_WRITE);
	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_MOVE);
	fuse_unset_feature_flag(conn, FUSE_CAP_IOCTL_DIR);
}

/* The INIT request: libfuse calls it before any other is served. */
static void init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	want_features(fs, conn);
	fs->passthrough_ok = fs->passthrough && fuse_get_feature_flag(conn, FUSE_CAP_PASSTHROUGH);
	if (fs->passthrough_ok)
		fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH);
	fs->no_open = fs->read_only && !fs->shared &&
	              fuse_get_feature_flag(conn, FUSE_CAP_NO_OPEN_SUPPORT) &&
	              fuse_get_feature_flag(conn, FUSE_CAP_NO_OPENDIR_SUPPORT);

	fs->can_rename = conn->proto_major == 7 && conn->proto_minor >= PROTOCOL_WITH_EPOCHS;

	fs->drops_setid = fuse_set_feature_flag(conn, FUSE_CAP_HANDLE_KILLPRIV_V2);

	if (fs->want_io_uring)
		fuse_set_feature_flag(conn, FUSE_CAP_OVER_IO_URING);
	else
		fuse_unset_feature_flag(conn, FUSE_CAP_OVER_IO_URING);

	conn->max_write = fs->max_write_bytes;
	conn->max_background = BACKGROUND_MAX;
	/* A request that has begun is short, unless it waits for other machines; libfuse need not
	 * keep a list of them. */
	conn->no_interrupt = !fs->shared;
	conn->time_gran = 1;
}

int serve_new(struct fs *fs, const struct mount_options *options, struct quiver_error *error)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_lowlevel_ops ops = *fs_ops();
	char *list = NULL;
	int err;

	ops.init = init;
	err = session_options(fs, options, &list);
	if (err == 0 && (fuse_opt_add_arg(&args, "quiverfs") < 0 ||
	                 fuse_opt_add_arg(&args, "-o") < 0 || fuse_opt_add_arg(&args, list) < 0))
		err = -ENOMEM;
	if (err != 0) {
		snprintf(error->text, sizeof(error->text), "no memory for the session");
		goto out;
	}
	fs->session = fuse_session_new(&args, &ops, sizeof(ops), fs);
	if (!fs->session) {
		char reason[256];

		log_last_fuse(reason, sizeof(reason));
		snprintf(error->text, sizeof(error->text), "libfuse refuses the session: %s",
		         reason[0] ? reason : "no memory");
		err = -EINVAL;
	}
out:
	free(list);
	fuse_opt_free_args(&args);
	return err;
}

int serve_mount(struct fs *fs, struct quiver_error *error)
{
	char reason[256];

	errno = 0;
	if (fuse_session_mount(fs->session, fs->mount_point) == 0)
		return 0;
	log_last_fuse(reason, sizeof(reason));
	snprintf(error->text, sizeof(error->text), "%s: cannot be mounted: %s", fs->mount_point,
	         reason[0] ? reason : "fusermount3 refused; its message is above");
	return errno ? -errno : -EPERM;
}

static unsigned loop_threads(void)
{
	int cores = get_nprocs();
	unsigned threads = 2 * (unsigned)(cores > 0 ? cores : 1);

	if (threads < THREADS_MIN)
		return THREADS_MIN;
	return threads < THREADS_MAX ? threads : THREADS_MAX;
}

/* A thread that is taking a request when the last mount goes is told that the connection was aborted,
 * as it is where somebody has aborted it. Whoever asks the device once more hears which it was. */
static int why_aborted(struct fs *fs)
{
	struct fuse_buf buffer = { 0 };
	int got = fuse_session_receive_buf(fs->session, &buffer);

	free(buffer.mem);
	return got < 0 ? got : 0;
}

int serve_loop(struct fs *fs)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int err;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, loop_threads());
	err = fuse_session_loop_mt(fs->session, config);
	fuse_loop_cfg_destroy(config);
	if (err == -ECONNABORTED)
		err = why_aborted(fs);
	if (err == -1)
		err = -EAGAIN; /* libfuse's own word: a thread could not be started */
	return err > 0 ? -EIO : err;
}

void serve_stop(struct fs *fs)
{
	fuse_session_exit(fs->session);
}

bool serve_is_over(const struct fs *fs)
{
	struct pollfd device = { .fd = fuse_session_fd(fs->session) };

	return poll(&device, 1, 0) == 1 && (device.revents & POLLERR);
}

void serve_unmount(struct fs *fs)
{
	fuse_session_unmount(fs->session);
}

void serve_free(struct fs *fs)
{
	if (fs->session)
		fuse_session_destroy(fs->session);
	fs->session = NULL;
}
