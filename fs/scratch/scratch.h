/*
 * scratch.h - scratch files: names in vectors/ that begin with a dot.
 *
 * They live in memory, hold at most N bytes each and are gone at unmount. One
 * becomes a vector when it is renamed to an ID or to the name of a view. Tools that
 * write to a temporary name first (rsync, editors) need nothing more. Those of views
 * are named after them, and may hold what a view may.
 *
 * One lock guards all of them; it is held for short steps in memory only.
 */
#ifndef SCRATCH_H
#define SCRATCH_H

#include "fs/base/fs.h"

/* How long a file may be even where a vector is shorter: editors keep more than the vector
 * in theirs, vim's swap file begins with 12 KiB. */
#define SCRATCH_FILE_BYTES_MIN 65536u
/* As on other filesystems. */
#define SCRATCH_NAME_MAX 255u

/* How long any scratch file may be. Any thread. */
uint32_t scratch_least_limit(const struct fs *fs);

int scratch_new(struct scratch **scratch);
void scratch_free(struct fs *fs, struct scratch *scratch);

/* Name, attributes and timeouts (none). -ENOENT. */
int scratch_entry(struct fs *fs, const char *name, struct fuse_entry_param *entry);

/* The same of the file `ino`, as long as it has a name. -ENOENT. */
int scratch_node_entry(struct fs *fs, fuse_ino_t ino, unsigned flags,
                       struct fuse_entry_param *entry);

/* Make a file, or find one that exists unless `exclusive`, and open it if `open`.
 * -EEXIST, -EDQUOT and -ENOSPC too many (charge.h), -ENAMETOOLONG, -ENOMEM. */
int scratch_create(struct fs *fs, const char *name, const struct quiver_attr *attr, bool exclusive,
                   bool truncate, bool open, struct fuse_entry_param *entry);

/* -ENOENT. Open files go on as they are, without a name. */
int scratch_unlink(struct fs *fs, const char *name);

/* -ENOENT; -EEXIST with `noreplace`; -ENAMETOOLONG, -ENOMEM. */
int scratch_rename(struct fs *fs, const char *from, const char *to, bool noreplace);

/*
 * A file becomes a vector: first its bytes are had, and stay as they are; who would change them, or
 * its attributes, waits. Then it either goes on as before, or loses its name and, if somebody has it
 * open, gets an heir, an open file of another kind: what comes by those descriptors is the heir's.
 */
struct scratch_bytes {
	const unsigned char *data; /* NULL where there are none */
	uint32_t size;
	struct quiver_attr attr;
	uint64_t ino;
};
/* -ENOENT; -ENODATA it does not hold `wanted` bytes, unless that is 0 (bytes->size tells how
 * many). */
int scratch_begin(struct fs *fs, const char *name, uint32_t wanted, struct scratch_bytes *bytes);
void scratch_stay(struct fs *fs, uint64_t ino);
struct node_ops;
struct scratch_heir {
	const struct node_ops *ops; /* NULL: there is none */
	fuse_ino_t ino;
	uint64_t fh;
	int err; /* what it could not be opened for */
};
typedef struct scratch_heir scratch_open_fn(struct fs *fs, const void *arg);
/* `open` makes the heir, or fails: then all that comes by the descriptors does. The one returned is
 * for scratch_close_heir: the last descriptor was closed meanwhile. */
struct scratch_heir scratch_become(struct fs *fs, uint64_t ino, scratch_open_fn *open,
                                   const void *arg);
/* Close an heir that nobody has open, if it is one. Waits for a change of what it is (change.h), so
 * never between change_begin and change_end, nor with a lock held. */
void scratch_close_heir(struct fs *fs, struct scratch_heir heir);

/* The nodes there are now, in order of creation, in *nodes (to be freed). -ENOMEM. */
int scratch_list(struct fs *fs, uint64_t **nodes, size_t *count);

/* The name (copied) and attributes of `ino`. -ENOENT where it has no name any more. */
int scratch_describe(struct fs *fs, uint64_t ino, char name[static SCRATCH_NAME_MAX + 1],
                     struct stat *st);

/* For scratch_file.c. */
struct scratch_file {
	uint64_t ino;
	uint32_t generation; /* of the number, should they have run out once */
	uid_t uid; /* constant; who made it, and pays for it */
	char *name; /* NULL: removed */
	unsigned char *data; /* `capacity` bytes, zero from `size` on */
	uint32_t size;
	uint32_t capacity;
	uint32_t limit; /* it never holds more */
	unsigned opens;
	bool leaving; /* between scratch_begin and what ends it */
	struct scratch_heir heir;
	struct quiver_attr attr;
	struct scratch_file *by_name; /* chain */
	struct scratch_file *by_ino; /* chain */
	struct scratch_file *newer, *older; /* list in order of creation */
};
void scratch_lock(struct fs *fs);
void scratch_unlock(struct fs *fs);
/* NULL where there is none. The caller holds the lock. */
struct scratch_file *scratch_find(struct fs *fs, uint64_t ino);
/* The same, once it is not leaving. -ESTALE; -EAGAIN where that would wait and must not. */
int scratch_settled(struct fs *fs, uint64_t ino, bool may_wait, struct scratch_file **file);
/* One opener less. What is left to be done without the lock: an heir that nobody has open. */
struct scratch_heir scratch_closed(struct fs *fs, struct scratch_file *file);
/* Have room for `size` bytes. -EFBIG, -EDQUOT, -ENOSPC, -ENOMEM. The caller holds the lock. */
int scratch_reserve(struct fs *fs, struct scratch_file *file, uint32_t size);
/* Its bytes were changed now. The caller holds the lock. */
void scratch_changed(struct scratch_file *file);

#endif
