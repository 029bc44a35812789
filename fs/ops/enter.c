/* enter.c - what a thread does before its first request. */
#include "fs/ops/enter.h"

#include <pthread.h>

#include "fs/base/worker.h"

/* So long a store on other machines, and whoever looks for the nearest vectors, has to answer when the
 * mount ends. */
#define SETTLE_MS 3000u

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_err; /* of enter_init, written once */
static pthread_key_t ending; /* set before any thread; its value is the struct fs */
_Thread_local bool enter_done;

void settle_requests(struct fs *fs)
{
	if (!workers_drain_for(fs->workers, SETTLE_MS))
		atomic_store(&fs->cut_off, true);
	workers_drain(fs->workers);
}

/* The destructor of `ending`. */
static void thread_ends(void *arg)
{
	struct fs *fs = arg;

	if (fuse_session_exited(fs->session))
		settle_requests(fs);
	else
		workers_drain(fs->workers);
}

static void make_key(void)
{
	once_err = -pthread_key_create(&ending, thread_ends);
}

int enter_init(void)
{
	(void)pthread_once(&once, make_key); /* cannot fail with these arguments */
	return once_err;
}

void enter_first(fuse_req_t req)
{
	struct fs *fs = fs_of(req);
	enum fs_transport transport = fuse_req_is_uring(req) ? FS_IO_URING : FS_DEV_FUSE;
	int old;

	enter_done = true;
	/* Neither can fail: the arguments are constants, the key exists; without
	 * memory for the value the wait is lost, which only an abort would notice. */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	(void)pthread_setspecific(ending, fs);
	if (atomic_load(&fs->transport) != transport)
		atomic_store(&fs->transport, transport);
}
