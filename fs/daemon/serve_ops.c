/*
 * serve_ops.c - the table that libfuse calls: fs_ops() with a step in front of it.
 *
 * The step is taken once by each thread, at its first request:
 *   - The thread becomes uncancellable. libfuse ends its ring threads with
 *     pthread_cancel, which would let go of a handler in the middle of a system
 *     call with the store's locks held. They are woken by other means as well.
 *   - When the thread ends, it first waits until the workers are idle: libfuse
 *     frees a ring's buffers after joining its thread, and a worker may still be
 *     about to write its reply there. No request of that ring can come after the
 *     thread's last, so none is missed.
 *   - fs->transport becomes what the request really came by, since libfuse falls
 *     back to /dev/fuse by itself where it cannot set up a ring.
 */
#include "fs/daemon/serve_ops.h"

#include <pthread.h>

#include "fs/base/worker.h"
#include "fs/ops/ops.h"

static const struct fuse_lowlevel_ops *inner; /* set before any thread */
static struct fuse_lowlevel_ops outer; /* set before any thread */
static pthread_key_t ending; /* set before any thread; its value is the struct fs */
static _Thread_local bool entered;

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

/* The destructor of `ending`. */
static void thread_ends(void *arg)
{
	struct fs *fs = arg;

	workers_drain(fs->workers);
}

/* A thread's first request. */
static void enter_slow(fuse_req_t req)
{
	struct fs *fs = fs_of(req);
	enum fs_transport transport = fuse_req_is_uring(req) ? FS_IO_URING : FS_DEV_FUSE;
	int old;

	entered = true;
	/* Neither can fail: the arguments are constants, the key exists; without
	 * memory for the value the wait is lost, which only an abort would notice. */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	(void)pthread_setspecific(ending, fs);
	if (atomic_load(&fs->transport) != transport)
		atomic_store(&fs->transport, transport);
}

static inline void enter(fuse_req_t req)
{
	if (__builtin_expect(!entered, 0))
		enter_slow(req);
}

/* `enter_NAME` calls `enter` and then the handler. FORGETs are not among them:
 * they come by /dev/fuse even under io_uring, and hand nothing over. */
#define PARAMS(...) __VA_ARGS__
#define ENTER(name, params, args)        \
	static void enter_##name(params) \
	{                                \
		enter(req);              \
		inner->name(args);       \
	}

ENTER(lookup, PARAMS(fuse_req_t req, fuse_ino_t parent, const char *name),
      PARAMS(req, parent, name))
ENTER(getattr, PARAMS(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi),
      PARAMS(req, ino, fi))
ENTER(setattr,
      PARAMS(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
             struct fuse_file_info *fi),
      PARAMS(req, ino, attr, to_set, fi))
ENTER(readlink, PARAMS(fuse_req_t req, fuse_ino_t ino), PARAMS(req, ino))
ENTER(mknod, PARAMS(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev),
      PARAMS(req, parent, name, mode, rdev))
ENTER(mkdir, PARAMS(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode),
      PARAMS(req, parent, name, mode))
ENTER(unlink, PARAMS(fuse_req_t req, fuse_ino_t parent, const char *name),
      PARAMS(req, parent, name))
ENTER(rmdir, PARAMS(fuse_req_t req, fuse_ino_t parent, const char *name), PARAMS(req, parent, name))
ENTER(symlink, PARAMS(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name),
      PARAMS(req, target, parent, name))
ENTER(rename,
      PARAMS(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
             const char *newname, unsigned int flags),
      PARAMS(req, parent, name, newparent, newname, flags))
ENTER(link, PARAMS(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname),
      PARAMS(req, ino, newparent, newname))
ENTER(open, PARAMS(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), PARAMS(req, ino, fi))
ENTER(read,
      PARAMS(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi),
      PARAMS(req, ino, size, off, fi))
ENTER(write,
      PARAMS(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
             struct fuse_file_info *fi),
      PARAMS(req, ino, buf, size, off, fi))
ENTER(write_buf,
      PARAMS(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *bufv, off_t off,
             struct fuse_file_info *fi),
      PARAMS(req, ino, bufv, off, fi))
ENTER(flush, PARAMS(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi),
      PARAMS(req, ino, fi))
ENTER(release, PARAMS(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi),
      PARAMS(req, ino, fi))
ENTER(fsync, PARAMS(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi),
      PARAMS(req, ino, datasync, fi))
ENTER(opendir, PARAMS(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi),
      PARAMS(req, ino, fi))
ENTER(readdir,
      PARAMS(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi),
      PARAMS(req, ino, size, off, fi))
ENTER(readdirplus,
      PARAMS(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi),
      PARAMS(req, ino, size, off, fi))
ENTER(releasedir, PARAMS(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi),
      PARAMS(req, ino, fi))
ENTER(fsyncdir, PARAMS(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi),
      PARAMS(req, ino, datasync, fi))
ENTER(statfs, PARAMS(fuse_req_t req, fuse_ino_t ino), PARAMS(req, ino))
ENTER(setxattr,
      PARAMS(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
             int flags),
      PARAMS(req, ino, name, value, size, flags))
ENTER(getxattr, PARAMS(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size),
      PARAMS(req, ino, name, size))
ENTER(listxattr, PARAMS(fuse_req_t req, fuse_ino_t ino, size_t size), PARAMS(req, ino, size))
ENTER(removexattr, PARAMS(fuse_req_t req, fuse_ino_t ino, const char *name), PARAMS(req, ino, name))
ENTER(access, PARAMS(fuse_req_t req, fuse_ino_t ino, int mask), PARAMS(req, ino, mask))
ENTER(create,
      PARAMS(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
             struct fuse_file_info *fi),
      PARAMS(req, parent, name, mode, fi))
ENTER(fallocate,
      PARAMS(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
             struct fuse_file_info *fi),
      PARAMS(req, ino, mode, offset, length, fi))
ENTER(copy_file_range,
      PARAMS(fuse_req_t req, fuse_ino_t ino_in, off_t off_in, struct fuse_file_info *fi_in,
             fuse_ino_t ino_out, off_t off_out, struct fuse_file_info *fi_out, size_t len,
             int flags),
      PARAMS(req, ino_in, off_in, fi_in, ino_out, off_out, fi_out, len, flags))
ENTER(lseek,
      PARAMS(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi),
      PARAMS(req, ino, off, whence, fi))
ENTER(tmpfile, PARAMS(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi),
      PARAMS(req, parent, mode, fi))

/* Put the step before each handler there is. */
static void wrap_all(void)
{
#define WRAP(name)      \
	if (outer.name) \
	outer.name = enter_##name
	WRAP(lookup);
	WRAP(getattr);
	WRAP(setattr);
	WRAP(readlink);
	WRAP(mknod);
	WRAP(mkdir);
	WRAP(unlink);
	WRAP(rmdir);
	WRAP(symlink);
	WRAP(rename);
	WRAP(link);
	WRAP(open);
	WRAP(read);
	WRAP(write);
	WRAP(write_buf);
	WRAP(flush);
	WRAP(release);
	WRAP(fsync);
	WRAP(opendir);
	WRAP(readdir);
	WRAP(readdirplus);
	WRAP(releasedir);
	WRAP(fsyncdir);
	WRAP(statfs);
	WRAP(setxattr);
	WRAP(getxattr);
	WRAP(listxattr);
	WRAP(removexattr);
	WRAP(access);
	WRAP(create);
	WRAP(fallocate);
	WRAP(copy_file_range);
	WRAP(lseek);
	WRAP(tmpfile);
#undef WRAP
}

const struct fuse_lowlevel_ops *serve_ops_init(void)
{
	if (pthread_key_create(&ending, thread_ends) != 0)
		return NULL;
	inner = fs_ops();
	outer = *inner;
	wrap_all();
	outer.init = serve_init;
	return &outer;
}
