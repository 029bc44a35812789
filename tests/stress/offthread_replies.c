/*
 * SPDX-License-Identifier: MIT
 *
 * Replies from other threads than the ring's own must not be lost.
 *
 * A tiny filesystem over io_uring answers every LOOKUP, GETATTR, OPEN and READ
 * from a pool of workers, while client processes look up, open, read
 * and close its files as fast as they can. libfuse up to 3.18.3 submits to the
 * ring outside its lock and loses some of these replies: the client then waits
 * for ever. See subprojects/packagefiles.
 *
 * Three kinds of process, so that a hang stays where it is: the controller,
 * which never touches the mount and watches the others; the daemon; the
 * clients. The controller unmounts whatever happens, a hung connection through
 * its abort file.
 *
 * Usage: stress_offthread_replies [SECONDS]
 * Exit status: 0 no reply was lost, 1 some were, 77 io_uring cannot be had here.
 */
#include <fuse_lowlevel.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/common/random.h"

enum {
	EXIT_SKIP = 77,
	FILES = 64,
	FILE_BYTES = 3072,
	WORKERS = 4,
	CLIENTS = 6,
	SECONDS_DEFAULT = 8,
	SECONDS_MAX = 3600,
	/* A client without a single answer for this long is hung. */
	/* What has not happened by then never will, however busy the machine is. */
	STALL_MS = 60000,
	STARTUP_MS = 60000,
	SHUTDOWN_MS = 60000,
	POLL_MS = 20,
};

#define ENABLE_URING "/sys/module/fuse/parameters/enable_uring"
/* In the folder for temporary files; held by every test that needs the switch, and naming what
 * it was before the first of them. As in tests/mount/conftest.py. */
#define SWITCH_LOCK "quiverfs-test-io-uring.lock"

/* Shared between the processes. */
struct shared {
	_Atomic int ready; /* 1 serving, -1 the kernel offers no io_uring */
	_Atomic bool stop; /* the clients are to end */
	_Atomic uint64_t uring; /* requests that came over io_uring */
	_Atomic uint64_t other; /* requests that came over /dev/fuse */
	_Atomic uint64_t wrong; /* bytes or errors that a client did not expect */
	_Atomic uint64_t done[CLIENTS];
};

static struct shared *shared;
static char mountpoint[] = "/tmp/quiverfs-stress-XXXXXX";

static void sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static unsigned char byte_at(unsigned file, size_t offset)
{
	return (unsigned char)(file * 31 + offset * 7);
}

/* ---- the daemon ---- */

enum op { OP_LOOKUP, OP_GETATTR, OP_OPEN, OP_READ };

struct job {
	struct job *next;
	fuse_req_t req;
	enum op op;
	fuse_ino_t ino;
	size_t size;
	off_t offset;
	struct fuse_file_info fi;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *first; /* lock */
	struct job **last; /* lock */
	bool ended; /* lock */
} queue = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
	.last = &queue.first,
};

/* Hands a request to the workers; called in the ring thread. */
static void enqueue(fuse_req_t req, enum op op, fuse_ino_t ino, size_t size, off_t offset,
                    const struct fuse_file_info *fi)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	atomic_fetch_add(fuse_req_is_uring(req) ? &shared->uring : &shared->other, 1);
	job->req = req;
	job->op = op;
	job->ino = ino;
	job->size = size;
	job->offset = offset;
	if (fi != NULL)
		job->fi = *fi;

	pthread_mutex_lock(&queue.lock);
	*queue.last = job;
	queue.last = &job->next;
	pthread_cond_signal(&queue.more);
	pthread_mutex_unlock(&queue.lock);
}

static void fill_stat(fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_nlink = 1;
	if (ino == FUSE_ROOT_ID) {
		st->st_mode = S_IFDIR | 0755;
	} else {
		st->st_mode = S_IFREG | 0444;
		st->st_size = FILE_BYTES;
	}
}

static void answer_read(const struct job *job)
{
	char buf[FILE_BYTES];
	size_t offset = job->offset < 0 ? FILE_BYTES : (size_t)job->offset;
	size_t n = 0;

	for (; offset < FILE_BYTES && n < job->size; offset++)
		buf[n++] = (char)byte_at((unsigned)job->ino, offset);
	fuse_reply_buf(job->req, buf, n);
}

static void answer(const struct job *job)
{
	struct fuse_entry_param entry = { .ino = job->ino };
	struct stat st;

	switch (job->op) {
	case OP_LOOKUP:
		fill_stat(job->ino, &entry.attr);
		fuse_reply_entry(job->req, &entry);
		break;
	case OP_GETATTR:
		fill_stat(job->ino, &st);
		fuse_reply_attr(job->req, &st, 0);
		break;
	case OP_OPEN:
		fuse_reply_open(job->req, &job->fi);
		break;
	case OP_READ:
		answer_read(job);
		break;
	}
}

static void *work(void *arg)
{
	(void)arg;
	for (;;) {
		struct job *job;

		pthread_mutex_lock(&queue.lock);
		while (queue.first == NULL && !queue.ended)
			pthread_cond_wait(&queue.more, &queue.lock);
		job = queue.first;
		if (job != NULL) {
			queue.first = job->next;
			if (queue.first == NULL)
				queue.last = &queue.first;
		}
		pthread_mutex_unlock(&queue.lock);
		if (job == NULL)
			return NULL;
		answer(job);
		free(job);
	}
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	if (!fuse_get_feature_flag(conn, FUSE_CAP_OVER_IO_URING))
		atomic_store(&shared->ready, -1);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	char *end;
	unsigned long file = strtoul(name, &end, 10);

	if (parent != FUSE_ROOT_ID || *name == '\0' || *end != '\0' || file >= FILES)
		fuse_reply_err(req, ENOENT);
	else
		enqueue(req, OP_LOOKUP, file + 2, 0, 0, NULL);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	enqueue(req, OP_GETATTR, ino, 0, 0, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	enqueue(req, OP_OPEN, ino, 0, 0, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
	enqueue(req, OP_READ, ino, size, offset, fi);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	/* Answered here, so that the ring thread has something to submit as well. */
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.open = op_open,
	.read = op_read,
	.release = op_release,
};

static int run_daemon(void)
{
	char *argv[] = { (char[]){ "stress" }, (char[]){ "-o" },
		         (char[]){ "fsname=quiverfs-stress,subtype=stress,io_uring" }, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_session *se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	pthread_t workers[WORKERS];
	int started = 0;
	int res = 1;

	if (se == NULL || fuse_session_mount(se, mountpoint) != 0)
		return EXIT_FAILURE;
	for (; started < WORKERS; started++)
		if (pthread_create(&workers[started], NULL, work, NULL) != 0)
			break;
	if (started == WORKERS) {
		int expected = 0;

		atomic_compare_exchange_strong(&shared->ready, &expected, 1);
		res = fuse_session_loop(se);
	}

	pthread_mutex_lock(&queue.lock);
	queue.ended = true;
	pthread_cond_broadcast(&queue.more);
	pthread_mutex_unlock(&queue.lock);
	while (started > 0)
		pthread_join(workers[--started], NULL);
	fuse_session_unmount(se);
	fuse_session_destroy(se);
	fuse_opt_free_args(&args);
	return res < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the clients ---- */

static bool read_one(const char *path, unsigned file)
{
	unsigned char buf[FILE_BYTES];
	bool good;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	good = read(fd, buf, sizeof(buf)) == FILE_BYTES;
	for (size_t i = 0; good && i < FILE_BYTES; i += 97)
		good = buf[i] == byte_at(file + 2, i);
	close(fd);
	return good;
}

static int run_client(unsigned nr, uint64_t seed)
{
	uint64_t state = seed + nr;

	while (!atomic_load(&shared->stop)) {
		unsigned file = (unsigned)(test_random(&state) % FILES);
		char path[sizeof(mountpoint) + 16];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%u", mountpoint, file);
		if (test_random(&state) % 4 == 0) {
			if (stat(path, &st) != 0 || st.st_size != FILE_BYTES)
				atomic_fetch_add(&shared->wrong, 1);
		} else if (!read_one(path, file)) {
			atomic_fetch_add(&shared->wrong, 1);
		}
		atomic_fetch_add(&shared->done[nr], 1);
	}
	return EXIT_SUCCESS;
}

/* ---- the controller ---- */

static int read_switch(void)
{
	char value = 0;
	int fd = open(ENABLE_URING, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (read(fd, &value, 1) != 1)
		value = 0;
	close(fd);
	return value;
}

static bool write_switch(char value)
{
	int fd = open(ENABLE_URING, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, &value, 1) == 1;

	if (fd >= 0)
		close(fd);
	return good;
}

/* Have FUSE talk over io_uring. The lock that is held until switch_release, or -1. */
static int switch_hold(void)
{
	const char *folder = getenv("TMPDIR");
	char path[PATH_MAX];
	char before;
	int lock;

	(void)snprintf(path, sizeof(path), "%s/" SWITCH_LOCK, folder != NULL ? folder : "/tmp");
	lock = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (lock < 0 || flock(lock, LOCK_SH) != 0)
		goto failed;
	before = (char)read_switch();
	if (before == 'Y' || (write_switch('Y') && write(lock, &before, 1) == 1))
		return lock;
failed:
	if (lock >= 0)
		close(lock);
	return -1;
}

/* The last of those who hold it puts back what was there before, whoever has changed it. */
static void switch_release(int lock)
{
	char before;

	if (flock(lock, LOCK_EX | LOCK_NB) == 0 && pread(lock, &before, 1, 0) == 1) {
		if (!write_switch(before) || ftruncate(lock, 0) != 0)
			perror(ENABLE_URING);
	}
	close(lock);
}

/* The number of the connection, which is the minor of the mount's device; read
 * without touching the mount. Returns -1 when nothing is mounted there. */
static int connection_number(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;
	int found = -1;

	if (f == NULL)
		return -1;
	while (getline(&line, &room, f) > 0) {
		unsigned minor_nr;
		char where[256];

		if (sscanf(line, "%*d %*d %*u:%u %*s %255s", &minor_nr, where) == 2 &&
		    strcmp(where, mountpoint) == 0)
			found = (int)minor_nr;
	}
	free(line);
	fclose(f);
	return found;
}

static void detach(void)
{
	char command[sizeof(mountpoint) + 64];

	if (connection_number() < 0)
		return;
	if (umount2(mountpoint, MNT_DETACH) == 0)
		return;
	snprintf(command, sizeof(command), "fusermount3 -uz %s", mountpoint);
	if (system(command) != 0)
		fprintf(stderr, "cannot unmount %s\n", mountpoint);
}

static void abort_connection(int connection)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%d/abort", connection);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		/* fusectl is not mounted everywhere; the daemon's death aborts too. */
		return;
	}
	if (write(fd, "1", 1) != 1)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	close(fd);
}

/* Waits for a child to end by itself. Returns its exit status, -1 when it
 * crashed, or -ETIME when it is still there after the limit. */
static int reap(pid_t pid, uint64_t limit_ms)
{
	uint64_t end = now_ms() + limit_ms;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > end)
			return -ETIME;
		sleep_ms(POLL_MS);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static pid_t start(int (*run)(unsigned, uint64_t), unsigned nr, uint64_t seed)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		exit(run(nr, seed));
	}
	return pid;
}

static int daemon_main(unsigned nr, uint64_t seed)
{
	(void)nr;
	(void)seed;
	return run_daemon();
}

/* Watches the clients; returns how many of them hung. */
static unsigned watch(uint64_t duration_ms)
{
	uint64_t end = now_ms() + duration_ms;
	uint64_t seen[CLIENTS] = { 0 };
	uint64_t since[CLIENTS];
	unsigned hung = 0;

	for (int i = 0; i < CLIENTS; i++)
		since[i] = now_ms();
	/* A client that is silent when the time is up gets the time to move. */
	for (;;) {
		uint64_t now = now_ms();
		bool silent = false;

		hung = 0;
		for (int i = 0; i < CLIENTS; i++) {
			uint64_t done = atomic_load(&shared->done[i]);

			if (done != seen[i]) {
				seen[i] = done;
				since[i] = now;
			}
			silent |= now - since[i] > 10 * POLL_MS;
			hung += now - since[i] > STALL_MS;
		}
		if (hung > 0 || (now >= end && !silent))
			return hung;
		sleep_ms(POLL_MS);
	}
}

/* Waits until the daemon serves the mount. Returns 0, or the status to end with. */
static int wait_until_mounted(pid_t daemon_pid)
{
	uint64_t end = now_ms() + STARTUP_MS;

	while (atomic_load(&shared->ready) == 0 || connection_number() < 0) {
		int status;

		if (waitpid(daemon_pid, &status, WNOHANG) == daemon_pid) {
			printf("skipped: the filesystem cannot be mounted here\n");
			return EXIT_SKIP;
		}
		if (now_ms() > end) {
			printf("the daemon did not get ready within %d ms\n", STARTUP_MS);
			return EXIT_FAILURE;
		}
		sleep_ms(POLL_MS);
	}
	return 0;
}

static int report(unsigned hung, uint64_t elapsed_ms)
{
	uint64_t done = 0;

	for (int i = 0; i < CLIENTS; i++)
		done += atomic_load(&shared->done[i]);
	printf("%" PRIu64 " operations by %d clients in %" PRIu64 " ms, "
	       "%" PRIu64 " requests over io_uring, %" PRIu64 " over /dev/fuse, "
	       "%" PRIu64 " wrong, %u clients hung\n",
	       done, CLIENTS, elapsed_ms, atomic_load(&shared->uring), atomic_load(&shared->other),
	       atomic_load(&shared->wrong), hung);
	if (hung > 0)
		printf("HUNG: a client got no answer for %d ms; replies from other threads "
		       "are lost\n",
		       STALL_MS);
	return hung > 0 || atomic_load(&shared->wrong) > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Waits for the clients, which have been told to stop; returns how many of them
 * hang in their last request. Those that ended are forgotten in `clients`. */
static unsigned reap_clients(pid_t *clients, uint64_t limit_ms, bool *crashed)
{
	uint64_t end = now_ms() + limit_ms;
	unsigned hung = 0;

	for (int i = 0; i < CLIENTS; i++) {
		uint64_t now = now_ms();
		int status;

		if (clients[i] <= 0)
			continue;
		status = reap(clients[i], now < end ? end - now : 0);
		if (status == -ETIME) {
			hung++;
			continue;
		}
		clients[i] = 0;
		*crashed |= status != 0;
	}
	return hung;
}

/* Frees the clients of a hung connection. While their requests wait for an
 * answer they cannot even be killed. */
static void free_hung_clients(int connection, pid_t daemon_pid, pid_t *clients)
{
	bool crashed = false;

	abort_connection(connection);
	detach();
	sleep_ms(10 * POLL_MS);
	kill(daemon_pid, SIGKILL);
	if (reap_clients(clients, SHUTDOWN_MS, &crashed) > 0)
		printf("some clients could not be freed\n");
}

static int run(uint64_t duration_ms, uint64_t seed)
{
	pid_t clients[CLIENTS] = { 0 };
	pid_t daemon_pid = start(daemon_main, 0, 0);
	bool crashed = false;
	unsigned hung = 0;
	uint64_t begun;
	int connection;
	int daemon_status;
	int res;

	if (daemon_pid < 0) {
		perror("fork");
		return EXIT_FAILURE;
	}
	res = wait_until_mounted(daemon_pid);
	if (res != 0) {
		kill(daemon_pid, SIGKILL);
		detach();
		reap(daemon_pid, SHUTDOWN_MS);
		return res;
	}
	connection = connection_number();

	begun = now_ms();
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i] = start(run_client, i, seed);
	hung = watch(duration_ms);
	atomic_store(&shared->stop, true);
	if (hung == 0)
		hung = reap_clients(clients, STALL_MS, &crashed);

	/* The kernel tells what it offers at the latest before its first request. */
	if (hung == 0 && (atomic_load(&shared->ready) < 0 || atomic_load(&shared->uring) == 0)) {
		printf("skipped: this kernel does not offer io_uring to FUSE (needs 6.14)\n");
		res = EXIT_SKIP;
	} else {
		res = report(hung, now_ms() - begun);
	}
	if (crashed)
		res = EXIT_FAILURE;

	if (hung > 0) {
		free_hung_clients(connection, daemon_pid, clients);
		reap(daemon_pid, SHUTDOWN_MS);
		return res;
	}
	detach();
	daemon_status = reap(daemon_pid, SHUTDOWN_MS);
	if (daemon_status == -ETIME) {
		kill(daemon_pid, SIGKILL);
		reap(daemon_pid, SHUTDOWN_MS);
	}
	if (daemon_status != 0 && res == EXIT_SUCCESS) {
		printf("the daemon did not end cleanly after the unmount\n");
		res = EXIT_FAILURE;
	}
	return res;
}

int main(int argc, char **argv)
{
	const char *seed_text = getenv("QUIVERFS_TEST_SEED");
	uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 1;
	long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : SECONDS_DEFAULT;
	int lock;
	int res;

	if (seconds < 1 || seconds > SECONDS_MAX) {
		fprintf(stderr, "usage: %s [SECONDS]\n", argv[0]);
		return 2;
	}
	if (access("/dev/fuse", R_OK | W_OK) != 0) {
		printf("skipped: /dev/fuse cannot be opened\n");
		return EXIT_SKIP;
	}
	lock = switch_hold();
	if (lock < 0) {
		printf("skipped: io_uring is off for FUSE and only root can switch it on "
		       "(echo Y > " ENABLE_URING ", kernel 6.14 or newer)\n");
		return EXIT_SKIP;
	}

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	if (shared == MAP_FAILED || mkdtemp(mountpoint) == NULL) {
		perror("set-up");
		res = EXIT_FAILURE;
	} else {
		res = run((uint64_t)seconds * 1000, seed);
		if (rmdir(mountpoint) != 0)
			perror(mountpoint);
	}
	switch_release(lock);
	return res;
}
