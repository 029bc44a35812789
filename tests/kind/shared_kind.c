/*
 * shared_kind.c - a third kind of store, which several daemons use at once, as a collection in a
 * cluster is used by several machines.
 *
 * A vector is a file in the folder `shared` of a store that was made in the usual way: its row and
 * its bytes, replaced as a whole by rename(2), under a lock. Nothing is remembered: each call reads
 * what is there now. Versions are numbers in no order. There is neither a memory map nor a slot,
 * and of the optional calls there is none. The program of the tests is linked so that quiver_open
 * opens this (-Wl,--wrap=quiver_open,--wrap=quiver_set_interrupt).
 *
 * QUIVERFS_KIND_DELAY_US  how long each call takes (100)
 * QUIVERFS_KIND_FAULTS    a file of lines "CALL ERRNO COUNT": the next COUNT calls of that name
 *                         fail. Read again whenever another file has taken its place; it need
 *                         not be there. ERRNO 0: they wait for as long as the file is the same.
 * QUIVERFS_KIND_CALLS     a file that gets a line with the name of each call.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "engine/store/kind.h"

#define DELAY_US 100
#define FAULTS_MAX 8
#define HANG_STEP_US 20000
#define NS_PER_S INT64_C(1000000000)

struct fault {
	char call[24];
	int error;
	long left;
};

struct row {
	uint64_t lsn;
	struct quiver_attr attr;
};

struct shared {
	struct quiver_head head;
	struct quiver_geometry geometry;
	struct quiver_description description;
	struct report report;
	bool read_only;
	int folder; /* descriptor of `shared` */
	int calls; /* descriptor, -1: none */
	long delay_us;
	const char *faults_path; /* NULL: none */
	pthread_mutex_t lock;
	struct fault faults[FAULTS_MAX]; /* lock */
	ino_t read_ino; /* lock; of the file that was read last, and when it was made, since that */
	struct timespec read_when; /* lock; of one that is gone comes again */
	_Atomic uint64_t commits; /* for versions, and names of files yet to come */
	_Atomic uint64_t counted; /* by the last listing */
};

/* A listing, and a pinned version. */
struct ids {
	size_t count;
	uint64_t ids[];
};

struct pin {
	struct row row;
	unsigned char bytes[];
};

int __real_quiver_open(const char *path, const struct quiver_options *options, struct quiver **out,
                       struct quiver_error *error);
int __wrap_quiver_open(const char *path, const struct quiver_options *options, struct quiver **out,
                       struct quiver_error *error);
void __wrap_quiver_set_interrupt(bool (*interrupted)(void *arg), void *arg);

static _Thread_local bool (*thread_interrupted)(void *arg);
static _Thread_local void *thread_interrupted_arg;

void __wrap_quiver_set_interrupt(bool (*interrupted)(void *arg), void *arg)
{
	thread_interrupted = interrupted;
	thread_interrupted_arg = arg;
}

static struct shared *shared_of(struct quiver *store)
{
	return (struct shared *)store;
}

/* ---- the way there and back ---- */

/* The lock held. */
static void read_faults(struct shared *shared)
{
	struct stat st;
	FILE *file;

	if (stat(shared->faults_path, &st) != 0) {
		memset(shared->faults, 0, sizeof(shared->faults));
		shared->read_ino = 0;
		return;
	}
	if (st.st_ino == shared->read_ino && st.st_mtim.tv_sec == shared->read_when.tv_sec &&
	    st.st_mtim.tv_nsec == shared->read_when.tv_nsec)
		return;
	file = fopen(shared->faults_path, "r");
	if (file == NULL)
		return;
	memset(shared->faults, 0, sizeof(shared->faults));
	for (int i = 0; i < FAULTS_MAX; i++)
		if (fscanf(file, "%23s %d %ld", shared->faults[i].call, &shared->faults[i].error,
		           &shared->faults[i].left) != 3)
			break;
	(void)fclose(file); /* only read */
	shared->read_ino = st.st_ino;
	shared->read_when = st.st_mtim;
}

/* 0; a positive errno that the call is to fail with; -1 it is to wait. */
static int fault_of(struct shared *shared, const char *call)
{
	int found = 0;

	pthread_mutex_lock(&shared->lock);
	read_faults(shared);
	for (int i = 0; found == 0 && i < FAULTS_MAX; i++) {
		struct fault *fault = &shared->faults[i];

		if (fault->left > 0 &&
		    (strcmp(fault->call, call) == 0 || strcmp(fault->call, "all") == 0)) {
			found = fault->error != 0 ? fault->error : -1;
			fault->left -= fault->error != 0;
		}
	}
	pthread_mutex_unlock(&shared->lock);
	return found;
}

static void sleep_us(long us)
{
	struct timespec delay = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	if (us > 0)
		(void)nanosleep(&delay, NULL); /* shorter is as good */
}

/* 0, or what the call is to fail with. */
static int travel(struct quiver *store, const char *call, unsigned flags)
{
	struct shared *shared = shared_of(store);
	char line[32];
	int fault;

	if (flags & QUIVER_NOWAIT)
		return -EAGAIN;
	(void)snprintf(line, sizeof(line), "%s\n", call);
	if (shared->calls >= 0 && write(shared->calls, line, strlen(line)) < 0)
		return -errno;
	sleep_us(shared->delay_us);
	while (shared->faults_path != NULL && (fault = fault_of(shared, call)) != 0) {
		if (fault > 0) {
			report_add(&shared->report, "shared: %s: %s", call, strerror(fault));
			return -fault;
		}
		if (thread_interrupted != NULL && thread_interrupted(thread_interrupted_arg))
			return -EINTR;
		sleep_us(HANG_STEP_US);
	}
	return 0;
}

static int shared_close(struct quiver *store)
{
	struct shared *shared = shared_of(store);

	close(shared->folder); /* nothing was written by it */
	if (shared->calls >= 0)
		close(shared->calls);
	report_destroy(&shared->report);
	pthread_mutex_destroy(&shared->lock);
	free(shared);
	return 0;
}

/* ---- files ---- */

static int64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail with this clock */
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void name_of(uint64_t id, char name[static 32])
{
	(void)snprintf(name, 32, "%" PRIu64, id);
}

/* One of its own for each commit of any daemon, in no order. */
static uint64_t new_lsn(struct shared *shared)
{
	uint64_t number = atomic_fetch_add(&shared->commits, 1) + ((uint64_t)getpid() << 32);

	return (number * UINT64_C(0x9E3779B97F4A7C15)) | 1;
}

/* Who changes something does so alone. The descriptor, which is to be closed. */
static int lock_all(struct shared *shared)
{
	int fd = openat(shared->folder, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0 && flock(fd, LOCK_EX) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -errno;
}

/* The file `name`: its row and, where `bytes` is not NULL, `length` bytes. */
static int read_file(struct shared *shared, const char *name, struct row *row, void *bytes,
                     size_t length)
{
	int fd = openat(shared->folder, name, O_RDONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (read(fd, row, sizeof(*row)) != sizeof(*row))
		r = -EIO;
	if (r == 0 && bytes != NULL && read(fd, bytes, length) != (ssize_t)length)
		r = -EIO;
	close(fd); /* only read */
	return r;
}

static int write_file(struct shared *shared, const char *name, const struct row *row,
                      const void *bytes, size_t length)
{
	char fresh[64];
	int fd, r = 0;

	(void)snprintf(fresh, sizeof(fresh), ".new.%d.%" PRIu64, (int)getpid(),
	               atomic_fetch_add(&shared->commits, 1));
	fd = openat(shared->folder, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, row, sizeof(*row)) != sizeof(*row) ||
	    (length > 0 && write(fd, bytes, length) != (ssize_t)length))
		r = -ENOSPC;
	if (close(fd) != 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(shared->folder, fresh, shared->folder, name) != 0)
		r = -errno;
	return r;
}

/* ---- reading ---- */

static int shared_get(struct quiver *store, uint64_t id, unsigned flags, struct quiver_ref *ref)
{
	struct shared *shared = shared_of(store);
	size_t n = shared->geometry.vector_bytes;
	struct pin *pin;
	char name[32];
	int r = travel(store, "get", flags);

	if (r != 0)
		return r;
	pin = malloc(sizeof(*pin) + n);
	if (pin == NULL)
		return -ENOMEM;
	name_of(id, name);
	r = read_file(shared, name, &pin->row, pin->bytes, n);
	if (r != 0) {
		free(pin);
		return r;
	}
	*ref = (struct quiver_ref){
		.id = id,
		.lsn = pin->row.lsn,
		.slot = UINT64_MAX,
		.attr = pin->row.attr,
		.pin = pin,
	};
	return 0;
}

static void shared_unref(struct quiver *store, struct quiver_ref *ref)
{
	(void)store;
	free(ref->pin);
	ref->pin = NULL;
}

static int shared_ref_verify(struct quiver *store, const struct quiver_ref *ref, unsigned flags)
{
	(void)store;
	(void)ref;
	(void)flags;
	return 0; /* the filesystem's business */
}

static int shared_ref_read(struct quiver *store, const struct quiver_ref *ref, uint64_t offset,
                           size_t length, unsigned flags, void *to)
{
	const struct pin *pin = ref->pin;

	(void)store;
	(void)flags;
	memcpy(to, pin->bytes + offset, length);
	return 0;
}

static bool shared_ref_resident(struct quiver *store, const struct quiver_ref *ref)
{
	(void)store;
	(void)ref;
	return true;
}

static int shared_get_copy(struct quiver *store, uint64_t id, void *to, struct quiver_attr *attr,
                           uint64_t *lsn)
{
	struct shared *shared = shared_of(store);
	struct row row;
	char name[32];
	int r = travel(store, "get", 0);

	name_of(id, name);
	if (r == 0)
		r = read_file(shared, name, &row, to, shared->geometry.vector_bytes);
	if (r == 0 && attr != NULL)
		*attr = row.attr;
	if (r == 0 && lsn != NULL)
		*lsn = row.lsn;
	return r;
}

static int shared_stat(struct quiver *store, uint64_t id, unsigned flags, struct quiver_attr *attr,
                       uint64_t *lsn)
{
	struct row row;
	char name[32];
	int r = travel(store, "stat", flags);

	name_of(id, name);
	if (r == 0)
		r = read_file(shared_of(store), name, &row, NULL, 0);
	if (r == 0 && attr != NULL)
		*attr = row.attr;
	if (r == 0 && lsn != NULL)
		*lsn = row.lsn;
	return r;
}

/* What is there, `room` at first. NULL: no memory. */
static struct ids *read_ids(DIR *folder)
{
	size_t room = 64;
	struct ids *ids = malloc(sizeof(*ids) + room * sizeof(ids->ids[0])), *more;
	struct dirent *entry;

	if (ids == NULL)
		return NULL;
	ids->count = 0;
	while ((entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (ids->count == room) {
			room *= 2;
			more = realloc(ids, sizeof(*ids) + room * sizeof(ids->ids[0]));
			if (more == NULL) {
				free(ids);
				return NULL;
			}
			ids = more;
		}
		ids->ids[ids->count++] = strtoull(entry->d_name, NULL, 10);
	}
	return ids;
}

static int shared_list_open(struct quiver *store, unsigned flags, struct quiver_list **list)
{
	struct shared *shared = shared_of(store);
	struct ids *ids;
	DIR *folder;
	int fd, r = travel(store, "list", flags);

	if (r != 0)
		return r;
	fd = openat(shared->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	folder = fd >= 0 ? fdopendir(fd) : NULL;
	if (folder == NULL)
		return -errno;
	ids = read_ids(folder);
	closedir(folder); /* only read */
	if (ids == NULL)
		return -ENOMEM;
	atomic_store(&shared->counted, ids->count);
	*list = (struct quiver_list *)(void *)ids;
	return 0;
}

static int64_t shared_list_read(struct quiver *store, struct quiver_list *list, uint64_t position,
                                unsigned flags, uint64_t *ids, size_t max)
{
	const struct ids *all = (const struct ids *)(void *)list;
	size_t count = position < all->count ? all->count - position : 0;

	(void)store;
	(void)flags;
	if (count > max)
		count = max;
	if (count > 0)
		memcpy(ids, all->ids + position, count * sizeof(*ids));
	return (int64_t)count;
}

static uint64_t shared_list_count(struct quiver *store, const struct quiver_list *list)
{
	(void)store;
	return ((const struct ids *)(const void *)list)->count;
}

static void shared_list_close(struct quiver *store, struct quiver_list *list)
{
	(void)store;
	free(list);
}

static uint64_t shared_count(struct quiver *store)
{
	return atomic_load(&shared_of(store)->counted);
}

/* ---- changing ---- */

/* As quiver.h says of attributes that a put does not mean. */
static void merge(struct quiver_attr *to, const struct quiver_attr *from, unsigned mask)
{
	if (mask & QUIVER_ATTR_MTIME)
		to->mtime_ns = from->mtime_ns;
	if (mask & QUIVER_ATTR_MODE)
		to->mode = from->mode;
	else if (mask & QUIVER_ATTR_DROP_SETID)
		to->mode &= (uint16_t) ~(S_ISUID | S_ISGID);
	if (mask & QUIVER_ATTR_UID)
		to->uid = from->uid;
	if (mask & QUIVER_ATTR_GID)
		to->gid = from->gid;
	to->ctime_ns = now_ns();
}

/* The folder's own times move. The lock held. */
static int touch_folder(struct shared *shared)
{
	struct row row;
	int r = read_file(shared, ".dir", &row, NULL, 0);

	if (r != 0)
		return r;
	row.attr.mtime_ns = row.attr.ctime_ns = now_ns();
	return write_file(shared, ".dir", &row, NULL, 0);
}

/* 0, or why nothing can be changed; with the descriptor of the lock. */
static int begin_change(struct quiver *store, const char *call, unsigned flags, int *locked)
{
	struct shared *shared = shared_of(store);
	int r = shared->read_only ? -EROFS : travel(store, call, flags);

	if (r != 0)
		return r;
	*locked = lock_all(shared);
	return *locked < 0 ? *locked : 0;
}

static int shared_put(struct quiver *store, uint64_t id, const void *data,
                      const struct quiver_attr *attr, unsigned attr_mask, unsigned flags,
                      uint64_t *lsn)
{
	struct shared *shared = shared_of(store);
	struct row row;
	char name[32];
	int locked, r;

	if (id > QUIVER_ID_MAX)
		return -EINVAL;
	r = begin_change(store, "put", flags, &locked);
	if (r != 0)
		return r;
	name_of(id, name);
	r = read_file(shared, name, &row, NULL, 0);
	if (r == 0 && (flags & QUIVER_NOREPLACE)) {
		r = -EEXIST;
	} else if (r == 0) {
		merge(&row.attr, attr, attr_mask);
	} else if (r == -ENOENT) {
		row.attr = *attr;
		row.attr.ctime_ns = now_ns();
		r = touch_folder(shared);
	}
	row.lsn = new_lsn(shared);
	if (r == 0)
		r = write_file(shared, name, &row, data, shared->geometry.vector_bytes);
	if (r == 0 && lsn != NULL)
		*lsn = row.lsn;
	close(locked); /* lets go of it */
	return r;
}

static int shared_remove(struct quiver *store, uint64_t id, unsigned flags, uint64_t *lsn)
{
	struct shared *shared = shared_of(store);
	char name[32];
	int locked, r = begin_change(store, "remove", flags, &locked);

	if (r != 0)
		return r;
	name_of(id, name);
	if (unlinkat(shared->folder, name, 0) != 0)
		r = -errno;
	else
		r = touch_folder(shared);
	if (r == 0 && lsn != NULL)
		*lsn = new_lsn(shared);
	close(locked); /* lets go of it */
	return r;
}

static int shared_set_attr(struct quiver *store, uint64_t id, const struct quiver_attr *attr,
                           unsigned mask, unsigned flags)
{
	struct shared *shared = shared_of(store);
	size_t n = shared->geometry.vector_bytes;
	unsigned char *bytes;
	struct row row;
	char name[32];
	int locked, r = begin_change(store, "set_attr", flags, &locked);

	if (r != 0)
		return r;
	name_of(id, name);
	bytes = malloc(n);
	r = bytes != NULL ? read_file(shared, name, &row, bytes, n) : -ENOMEM;
	if (r == 0) {
		merge(&row.attr, attr, mask);
		r = write_file(shared, name, &row, bytes, n);
	}
	free(bytes);
	close(locked); /* lets go of it */
	return r;
}

static int shared_dir_attr(struct quiver *store, unsigned flags, struct quiver_attr *attr)
{
	struct row row;
	int r = travel(store, "dir_attr", flags);

	if (r == 0)
		r = read_file(shared_of(store), ".dir", &row, NULL, 0);
	if (r == 0)
		*attr = row.attr;
	return r;
}

static int shared_set_dir_attr(struct quiver *store, const struct quiver_attr *attr, unsigned mask,
                               unsigned flags)
{
	struct shared *shared = shared_of(store);
	struct row row;
	int locked, r = begin_change(store, "set_dir_attr", flags, &locked);

	if (r != 0)
		return r;
	r = read_file(shared, ".dir", &row, NULL, 0);
	if (r == 0) {
		merge(&row.attr, attr, mask);
		r = write_file(shared, ".dir", &row, NULL, 0);
	}
	close(locked); /* lets go of it */
	return r;
}

/* ---- the rest ---- */

static int shared_flush(struct quiver *store)
{
	return travel(store, "flush", 0);
}

static int shared_space(struct quiver *store, unsigned flags, struct quiver_space *space)
{
	struct statvfs st;
	int r = travel(store, "space", flags);

	if (r == 0 && fstatvfs(shared_of(store)->folder, &st) != 0)
		r = -errno;
	if (r == 0)
		*space = (struct quiver_space){
			.total_bytes = st.f_blocks * st.f_frsize,
			.free_bytes = st.f_bfree * st.f_frsize,
			.available_bytes = st.f_bavail * st.f_frsize,
		};
	return r;
}

static void shared_describe(struct quiver *store, struct quiver_description *description)
{
	*description = shared_of(store)->description;
}

static void shared_stats(struct quiver *store, struct quiver_stats *stats)
{
	struct shared *shared = shared_of(store);

	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	stats->count = atomic_load(&shared->counted);
	stats->vector_bytes = shared->geometry.vector_bytes;
	stats->durability = QUIVER_ALWAYS;
	stats->read_only = shared->read_only;
	stats->errors = report_total(&shared->report);
}

static const struct quiver_kind shared_kind = {
	.name = "shared",
	.close = shared_close,
	.get = shared_get,
	.unref = shared_unref,
	.ref_verify = shared_ref_verify,
	.ref_read = shared_ref_read,
	.ref_resident = shared_ref_resident,
	.get_copy = shared_get_copy,
	.stat = shared_stat,
	.list_open = shared_list_open,
	.list_read = shared_list_read,
	.list_count = shared_list_count,
	.list_close = shared_list_close,
	.count = shared_count,
	.put = shared_put,
	.remove = shared_remove,
	.set_attr = shared_set_attr,
	.dir_attr = shared_dir_attr,
	.set_dir_attr = shared_set_dir_attr,
	.flush = shared_flush,
	.space = shared_space,
	.stats = shared_stats,
	.describe = shared_describe,
};

/* What the store that was made in the usual way is, which nobody changes any more. */
static int read_made(struct shared *shared, const char *path, const struct quiver_options *options,
                     struct quiver_error *error)
{
	struct quiver_options reading = *options;
	struct quiver_attr attr;
	struct quiver *made;
	struct row row;
	char folder[4096];
	int locked, r;

	reading.read_only = true;
	r = __real_quiver_open(path, &reading, &made, error);
	if (r != 0)
		return r;
	shared->geometry = *quiver_geometry(made);
	quiver_describe(made, &shared->description);
	r = quiver_dir_attr(made, 0, &attr);
	(void)quiver_close(made); /* it was only read */
	if (r != 0)
		return r;
	(void)snprintf(folder, sizeof(folder), "%s/shared", path);
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return -errno;
	shared->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (shared->folder < 0)
		return -errno;
	locked = lock_all(shared);
	if (locked < 0)
		return locked;
	if (read_file(shared, ".dir", &row, NULL, 0) != 0) {
		row = (struct row){ .attr = attr };
		r = write_file(shared, ".dir", &row, NULL, 0);
	}
	close(locked); /* lets go of it */
	return r;
}

int __wrap_quiver_open(const char *path, const struct quiver_options *options, struct quiver **out,
                       struct quiver_error *error)
{
	const char *delay_us = getenv("QUIVERFS_KIND_DELAY_US"),
		   *calls = getenv("QUIVERFS_KIND_CALLS");
	struct shared *shared = calloc(1, sizeof(*shared));
	int r;

	*out = NULL;
	if (shared == NULL)
		return -ENOMEM;
	shared->folder = shared->calls = -1;
	r = read_made(shared, path, options, error);
	if (r == 0)
		r = report_init(&shared->report, options->on_report, options->on_report_arg);
	if (r != 0) {
		if (shared->folder >= 0)
			close(shared->folder);
		free(shared);
		return r;
	}
	if (calls != NULL)
		shared->calls = open(calls, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	shared->read_only = options->read_only;
	shared->delay_us = delay_us != NULL ? strtol(delay_us, NULL, 10) : DELAY_US;
	shared->faults_path = getenv("QUIVERFS_KIND_FAULTS");
	pthread_mutex_init(&shared->lock, NULL);
	shared->head = (struct quiver_head){
		.kind = &shared_kind,
		.capabilities = 0,
		.geometry = &shared->geometry,
		.report = &shared->report,
	};
	*out = (struct quiver *)(void *)shared;
	return 0;
}
