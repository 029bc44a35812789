#include "faults.h"

#include <fcntl.h>

#include "engine/base/fault.h"

struct faults faults;

/* The real table, below --wrap=quiver_io_posix. */
const struct quiver_io *__real_quiver_io_posix(void);
const struct quiver_io *__wrap_quiver_io_posix(void);

static _Atomic bool in_place; /* quiver_io_posix gives the counting table */

static const struct quiver_io *real(void)
{
	return __real_quiver_io_posix();
}

const struct quiver_io *__wrap_quiver_io_posix(void)
{
	return atomic_load(&in_place) ? &faults.io.table : real();
}

/* 0 go on, FAULT_SHORT, FAULT_LATE, or the error. */
static int now(int kind, int fd)
{
	int e = trouble_now(&faults.io, kind, fd);
	bool of_file = fd >= 0 && fd < TROUBLE_FDS;
	int file = of_file ? atomic_load(&faults.io.letters[fd]) : 0;
	int none = 0;

	if (e && (kind == TROUBLE_SYNC || (kind == TROUBLE_WRITE && file == 'd')))
		atomic_fetch_add(&faults.syncs_failed, 1);
	if (e && atomic_compare_exchange_strong(&faults.first_kind, &none, kind))
		atomic_store(&faults.first_file, file);
	if (e == FAULT_LATE && !(kind & (TROUBLE_WRITE | FAULT_STORE)))
		return -EIO;
	return e == FAULT_SHORT && !(kind & (FAULT_READ | TROUBLE_WRITE | FAULT_STORE)) ? 0 : e;
}

static int fault_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                      mode_t mode)
{
	int e = now(flags & O_CREAT ? TROUBLE_CREATE : FAULT_OPEN, -1);
	int fd = e ? e : real()->open(real(), dir_fd, name, flags, mode);

	(void)self;
	if (fd < 0)
		return fd;
	atomic_fetch_add(&faults.open_files, 1);
	if (fd < TROUBLE_FDS)
		atomic_store(&faults.io.letters[fd], trouble_letter(name));
	return fd;
}

static int fault_close(const struct quiver_io *self, int fd)
{
	int e = now(FAULT_CLOSE, fd);
	int r = real()->close(real(), fd);

	(void)self;
	atomic_fetch_sub(&faults.open_files, 1);
	return e ? e : r;
}

static ssize_t fault_pread(const struct quiver_io *self, int fd, void *to, size_t length,
                           uint64_t offset)
{
	int e = now(FAULT_READ, fd);

	(void)self;
	if (e == FAULT_SHORT)
		length = (length + 1) / 2; /* not 0, which would be the end of the file */
	else if (e)
		return e;
	return real()->pread(real(), fd, to, length, offset);
}

static ssize_t fault_pwritev(const struct quiver_io *self, int fd, const struct iovec *parts,
                             int count, uint64_t offset)
{
	int e = now(TROUBLE_WRITE, fd);
	struct iovec half = parts[0];

	(void)self;
	if (e == 0)
		return real()->pwritev(real(), fd, parts, count, offset);
	if (e == FAULT_LATE) {
		ssize_t n = real()->pwritev(real(), fd, parts, count, offset);

		return n < 0 ? n : -EIO;
	}
	if (e != FAULT_SHORT)
		return e;
	half.iov_len = (half.iov_len + 1) / 2;
	return real()->pwritev(real(), fd, &half, 1, offset);
}

static int fault_fdatasync(const struct quiver_io *self, int fd)
{
	int e = now(TROUBLE_SYNC, fd);
	char letter = fd < TROUBLE_FDS ? atomic_load(&faults.io.letters[fd]) : 'o';
	/* Rows of snapshots are written again, and without notes or an index all goes on. */
	bool harmless = letter == 'r' || letter == 'n' || letter == 'x';

	(void)self;
	/* The first is tried again. */
	if (e && e != -EINTR && !harmless)
		atomic_fetch_add(&faults.data_syncs_failed, 1);
	return e ? e : real()->fdatasync(real(), fd);
}

static int fault_fsync(const struct quiver_io *self, int fd)
{
	int e = now(TROUBLE_SYNC, fd);

	(void)self;
	return e ? e : real()->fsync(real(), fd);
}

static int fault_forget(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	int e = now(FAULT_READ, fd);

	(void)self;
	return e && e != FAULT_SHORT ? e : real()->forget(real(), fd, offset, length);
}

static int fault_write_out(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	int e = now(TROUBLE_SYNC, fd);
	bool of_log = fd < TROUBLE_FDS && atomic_load(&faults.io.letters[fd]) == 'l';

	(void)self;
	if (e && e != -EINTR && !of_log) /* a segment is made again, and is of no use before */
		atomic_fetch_add(&faults.data_syncs_failed, 1);
	return e ? e : real()->write_out(real(), fd, offset, length);
}

static int fault_truncate(const struct quiver_io *self, int fd, uint64_t length)
{
	int e = now(TROUBLE_TRUNCATE, fd);

	(void)self;
	return e ? e : real()->truncate(real(), fd, length);
}

/* Holes in the place of blocks: the disk here is memory, and thousands of stores grow on it.
 * As on a full disk, half of it is there when it fails. */
static int fault_allocate(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	int e = now(TROUBLE_ALLOCATE, fd);
	uint64_t end = offset + (e ? length / 2 : length);
	struct stat st;
	int r = real()->stat(real(), fd, &st);

	(void)self;
	if (r == 0 && (uint64_t)st.st_size < end)
		r = real()->truncate(real(), fd, end);
	return e ? e : r;
}

static int fault_punch(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	int e = now(TROUBLE_PUNCH, fd);

	(void)self;
	return e ? e : real()->punch(real(), fd, offset, length);
}

static int fault_rename(const struct quiver_io *self, int dir_fd, const char *from, const char *to)
{
	int e = now(TROUBLE_NAME, -1);

	(void)self;
	return e ? e : real()->rename(real(), dir_fd, from, to);
}

static int fault_unlink(const struct quiver_io *self, int dir_fd, const char *name)
{
	int e = now(TROUBLE_NAME, -1);

	(void)self;
	return e ? e : real()->unlink(real(), dir_fd, name);
}

static int fault_mkdir(const struct quiver_io *self, int dir_fd, const char *name, mode_t mode)
{
	int e = now(TROUBLE_NAME, -1);

	(void)self;
	return e ? e : real()->mkdir(real(), dir_fd, name, mode);
}

static int fault_stat(const struct quiver_io *self, int fd, struct stat *st)
{
	int e = now(FAULT_STAT, fd);

	(void)self;
	return e ? e : real()->stat(real(), fd, st);
}

static int fault_list(const struct quiver_io *self, int dir_fd, char **names, size_t *count)
{
	int e = now(FAULT_LIST, dir_fd);

	(void)self;
	return e ? e : real()->list(real(), dir_fd, names, count);
}

static int fault_map_at(const struct quiver_io *self, int fd, void *at, size_t length,
                        uint64_t offset)
{
	int e = now(FAULT_MAP, fd);

	(void)self;
	return e ? e : real()->map_at(real(), fd, at, length, offset);
}

static void *fault_map_to_store(const struct quiver_io *self, int fd, uint64_t offset,
                                size_t length)
{
	bool of_vectors = fd < TROUBLE_FDS && atomic_load(&faults.io.letters[fd]) == 'v';

	(void)self;
	if (!faults.maps || of_vectors || now(FAULT_MAP, fd))
		return NULL;
	return real()->map_to_store(real(), fd, offset, length);
}

static int fault_unmap(const struct quiver_io *self, void *map, size_t length)
{
	int e = now(FAULT_MAP, -1);
	int r = real()->unmap(real(), map, length);

	(void)self;
	return e ? e : r;
}

static int fault_stored(const struct quiver_io *self, void *to, const void *from, size_t length)
{
	const size_t word = sizeof(uint64_t);
	int e = now(FAULT_STORE, -1);
	bool words = (uintptr_t)to % word == 0 && length % word == 0;
	int r;

	(void)self;
	if (e < 0)
		return -EIO;
	if (e == FAULT_SHORT)
		length = length / word / 2 * word;
	/* Rows are read meanwhile. */
	r = words ? fault_store(to, from, length) : fault_fill(to, from, length);
	return e ? -EIO : r;
}

static int fault_lock(const struct quiver_io *self, int fd)
{
	int e = now(FAULT_LOCK, fd);

	(void)self;
	return e ? e : real()->lock(real(), fd);
}

static int fault_share(const struct quiver_io *self, int fd)
{
	int e = now(FAULT_LOCK, fd);

	(void)self;
	return e ? e : real()->share(real(), fd);
}

static int fault_locked(const struct quiver_io *self, int fd)
{
	int e = now(FAULT_LOCK, fd);

	(void)self;
	return e ? e : real()->locked(real(), fd);
}

static int fault_space(const struct quiver_io *self, int fd, uint64_t *total, uint64_t *free,
                       uint64_t *available)
{
	int e = now(FAULT_SPACE, fd);

	(void)self;
	return e ? e : real()->space(real(), fd, total, free, available);
}

const struct quiver_io *faults_table(void)
{
	static const struct quiver_io table = {
		.open = fault_open,
		.close = fault_close,
		.pread = fault_pread,
		.pwritev = fault_pwritev,
		.fdatasync = fault_fdatasync,
		.fsync = fault_fsync,
		.forget = fault_forget,
		.hint = io_hint_nothing,
		.write_out = fault_write_out,
		.truncate = fault_truncate,
		.allocate = fault_allocate,
		.punch = fault_punch,
		.rename = fault_rename,
		.unlink = fault_unlink,
		.mkdir = fault_mkdir,
		.stat = fault_stat,
		.list = fault_list,
		.map_at = fault_map_at,
		.map_to_store = fault_map_to_store,
		.unmap = fault_unmap,
		.store = fault_stored,
		.lock = fault_lock,
		.share = fault_share,
		.locked = fault_locked,
		.space = fault_space,
	};

	faults.io.table = table;
	return &faults.io.table;
}

void faults_arm(bool allocations, long at, enum trouble_how how, int error)
{
	atomic_store(&in_place, true);
	(void)faults_table();
	faults.allocations = allocations;
	atomic_store(&faults.first_kind, 0);
	atomic_store(&faults.first_file, 0);
	atomic_store(&faults.allocated, 0);
	atomic_store(&faults.syncs_failed, 0);
	atomic_store(&faults.data_syncs_failed, 0);
	trouble_arm(&faults.io, at, how, allocations ? 0 : FAULT_ALL, 0, error);
}

void faults_disarm(void)
{
	trouble_disarm(&faults.io);
}

long faults_calls(void)
{
	return faults.allocations ? atomic_load(&faults.allocated) : atomic_load(&faults.io.calls);
}

bool faults_fired(void)
{
	return atomic_load(&faults.first_kind) != 0;
}

long faults_syncs_failed(void)
{
	return atomic_load(&faults.syncs_failed);
}
