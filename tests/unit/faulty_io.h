/*
 * faulty_io.h - the real table, of which calls fail by what they do to which file: several
 * faults at once, each from its n-th such call on, once, a few times or for ever. What is
 * stored goes by calls. For many threads.
 */
#ifndef FAULTY_IO_H
#define FAULTY_IO_H

#include <limits.h>
#include <pthread.h>

#include "trouble_io.h"

#define FAULTS_MAX 4
#define FAULT_EVER LONG_MAX

enum fault_call {
	FAULT_WRITE, /* of a log segment: half of it is done, then it fails */
	FAULT_SYNC, /* and write_out */
	FAULT_GROW, /* blocks behind the end of a file */
	FAULT_BLOCKS, /* behind what lies within it */
	FAULT_CUT,
	FAULT_PUNCH,
	FAULT_RENAME, /* by the new name */
	FAULT_UNLINK,
	FAULT_CREATE,
};

struct fault {
	enum fault_call call;
	char file; /* a letter of trouble_letter */
	long skip; /* such calls that go well before */
	long times; /* that fail then */
	int error; /* negative */
};

struct faulty_io {
	struct trouble_io trouble; /* first: `self` of the functions; it remembers the letters */
	pthread_mutex_t lock;
	struct fault faults[FAULTS_MAX]; /* lock */
	int count; /* lock */
	long fired; /* lock */
};

static inline struct faulty_io *faulty_self(const struct quiver_io *self)
{
	return (struct faulty_io *)(uintptr_t)self;
}

static inline char faulty_letter(struct faulty_io *f, int fd)
{
	return fd >= 0 && fd < TROUBLE_FDS ? atomic_load(&f->trouble.letters[fd]) : 0;
}

/* 0, or the error of the call at hand. */
static inline int faulty_now(struct faulty_io *f, enum fault_call call, char file)
{
	int r = 0;

	pthread_mutex_lock(&f->lock);
	for (int i = 0; r == 0 && i < f->count; i++) {
		struct fault *fault = &f->faults[i];

		if (fault->call != call || fault->file != file)
			continue;
		if (fault->skip > 0) {
			fault->skip--;
		} else if (fault->times > 0) {
			if (fault->times != FAULT_EVER)
				fault->times--;
			f->fired++;
			r = fault->error;
		}
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}

static inline int faulty_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                              mode_t mode)
{
	struct faulty_io *f = faulty_self(self);
	int r = flags & O_CREAT ? faulty_now(f, FAULT_CREATE, trouble_letter(name)) : 0;

	return r ? r : trouble_open(self, dir_fd, name, flags, mode);
}

static inline ssize_t faulty_pwritev(const struct quiver_io *self, int fd,
                                     const struct iovec *parts, int count, uint64_t offset)
{
	struct faulty_io *f = faulty_self(self);
	char file = faulty_letter(f, fd);
	int r = faulty_now(f, FAULT_WRITE, file);
	struct iovec half = parts[0];

	if (r == 0)
		return trouble_pwritev(self, fd, parts, count, offset);
	half.iov_len /= 2;
	if (file == 'l' && trouble_pwritev(self, fd, &half, 1, offset) != (ssize_t)half.iov_len)
		abort();
	return r;
}

static inline int faulty_fdatasync(const struct quiver_io *self, int fd)
{
	struct faulty_io *f = faulty_self(self);
	int r = faulty_now(f, FAULT_SYNC, faulty_letter(f, fd));

	return r ? r : trouble_fdatasync(self, fd);
}

static inline int faulty_fsync(const struct quiver_io *self, int fd)
{
	struct faulty_io *f = faulty_self(self);
	int r = faulty_now(f, FAULT_SYNC, faulty_letter(f, fd));

	return r ? r : trouble_fsync(self, fd);
}

static inline int faulty_write_out(const struct quiver_io *self, int fd, uint64_t offset,
                                   uint64_t length)
{
	struct faulty_io *f = faulty_self(self);
	int r = faulty_now(f, FAULT_SYNC, faulty_letter(f, fd));

	return r ? r : trouble_write_out(self, fd, offset, length);
}

static inline int faulty_truncate(const struct quiver_io *self, int fd, uint64_t length)
{
	struct faulty_io *f = faulty_self(self);
	int r = faulty_now(f, FAULT_CUT, faulty_letter(f, fd));

	return r ? r : trouble_truncate(self, fd, length);
}

static inline int faulty_allocate(const struct quiver_io *self, int fd, uint64_t offset,
                                  uint64_t length)
{
	struct faulty_io *f = faulty_self(self);
	struct stat st;
	bool within = fstat(fd, &st) == 0 && offset + length <= (uint64_t)st.st_size;
	int r = faulty_now(f, within ? FAULT_BLOCKS : FAULT_GROW, faulty_letter(f, fd));

	return r ? r : quiver_io_posix()->allocate(quiver_io_posix(), fd, offset, length);
}

static inline int faulty_punch(const struct quiver_io *self, int fd, uint64_t offset,
                               uint64_t length)
{
	struct faulty_io *f = faulty_self(self);
	int r = faulty_now(f, FAULT_PUNCH, faulty_letter(f, fd));

	return r ? r : trouble_punch(self, fd, offset, length);
}

static inline int faulty_rename(const struct quiver_io *self, int dir_fd, const char *from,
                                const char *to)
{
	int r = faulty_now(faulty_self(self), FAULT_RENAME, trouble_letter(to));

	return r ? r : trouble_rename(self, dir_fd, from, to);
}

static inline int faulty_unlink(const struct quiver_io *self, int dir_fd, const char *name)
{
	int r = faulty_now(faulty_self(self), FAULT_UNLINK, trouble_letter(name));

	return r ? r : trouble_unlink(self, dir_fd, name);
}

static inline void faulty_init(struct faulty_io *f)
{
	memset(f, 0, sizeof(*f));
	trouble_init(&f->trouble);
	pthread_mutex_init(&f->lock, NULL);
	f->trouble.table.open = faulty_open;
	f->trouble.table.pwritev = faulty_pwritev;
	f->trouble.table.fdatasync = faulty_fdatasync;
	f->trouble.table.fsync = faulty_fsync;
	f->trouble.table.write_out = faulty_write_out;
	f->trouble.table.truncate = faulty_truncate;
	f->trouble.table.allocate = faulty_allocate;
	f->trouble.table.punch = faulty_punch;
	f->trouble.table.rename = faulty_rename;
	f->trouble.table.unlink = faulty_unlink;
}

/* One fault more, which counts the calls from now on. */
static inline void faulty_add(struct faulty_io *f, enum fault_call call, char file, long skip,
                              long times, int error)
{
	pthread_mutex_lock(&f->lock);
	if (f->count == FAULTS_MAX)
		abort();
	f->faults[f->count++] = (struct fault){
		.call = call, .file = file, .skip = skip, .times = times, .error = error
	};
	pthread_mutex_unlock(&f->lock);
}

/* How many calls have failed. */
static inline long faulty_fired(struct faulty_io *f)
{
	long fired;

	pthread_mutex_lock(&f->lock);
	fired = f->fired;
	pthread_mutex_unlock(&f->lock);
	return fired;
}

/* No fault any more. How many calls have failed. */
static inline long faulty_clear(struct faulty_io *f)
{
	long fired;

	pthread_mutex_lock(&f->lock);
	fired = f->fired;
	f->count = 0;
	f->fired = 0;
	pthread_mutex_unlock(&f->lock);
	return fired;
}

#endif
