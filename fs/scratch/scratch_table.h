/*
 * scratch_table.h - the table of scratch files and their folders, for the files of fs/scratch.
 */
#ifndef SCRATCH_TABLE_H
#define SCRATCH_TABLE_H

#include <pthread.h>

#include "fs/base/fs.h"
#include "fs/base/tree.h"

/* What a file has become. */
struct node_ops;
struct scratch_heir {
	const struct node_ops *ops; /* NULL: there is none */
	fuse_ino_t ino;
	uint64_t fh;
	int err; /* what it could not be opened for */
};

/* A file or a folder: tree_class says which. */
struct scratch_file {
	uint64_t ino;
	uint64_t serial; /* constant; of all ever made, from SCRATCH_FIRST_SERIAL on */
	uint64_t parent; /* the folder it is in; of one without a name, was in last */
	uint32_t generation; /* of the number, should they have run out once */
	uid_t uid; /* constant; who made it, and pays for it */
	char *name; /* NULL: removed */
	unsigned char *data; /* `capacity` bytes, zero from `size` on */
	uint32_t size;
	uint32_t capacity;
	uint32_t limit; /* it never holds more */
	unsigned opens;
	unsigned names; /* of a folder: how many files it holds */
	uint64_t lookups; /* of a folder: how often the kernel was given the number */
	bool leaving; /* between scratch_begin and what ends it */
	struct scratch_heir heir;
	struct quiver_attr attr;
	struct scratch_file *by_name; /* chain */
	struct scratch_file *by_ino; /* chain */
	struct scratch_file *newer, *older; /* list in order of creation */
};

#define SCRATCH_BUCKETS 1024u
/* So that serials are offsets of a listing, behind those of "." and "..". */
#define SCRATCH_FIRST_SERIAL 2u

struct scratch {
	pthread_mutex_t lock;
	pthread_cond_t settled; /* a file is no longer leaving */
	struct scratch_file *names[SCRATCH_BUCKETS]; /* lock */
	struct scratch_file *inos[SCRATCH_BUCKETS]; /* lock */
	struct scratch_file *newest, *oldest; /* lock */
	unsigned count; /* lock; files and folders, those without a name included */
	unsigned folders; /* lock; those that have a name */
	uint64_t serial; /* lock; of the next one made */
	uint64_t next, next_folder; /* lock; number of the next file, of the next folder */
	uint32_t generation; /* lock; raised when the numbers begin again */
};

int scratch_new(struct scratch **scratch); /* -ENOMEM */
void scratch_free(struct fs *fs, struct scratch *scratch);

/* How long any scratch file may be. Any thread. */
uint32_t scratch_least_limit(const struct fs *fs);

void scratch_lock(struct fs *fs);
void scratch_unlock(struct fs *fs);
/* NULL where there is none. The caller holds the lock. */
struct scratch_file *scratch_find(struct fs *fs, uint64_t ino);
/* One opener less. What is left to be done without the lock: an heir that nobody has open. */
struct scratch_heir scratch_closed(struct fs *fs, struct scratch_file *file);
/* Have room for `size` bytes. -EFBIG, -EDQUOT, -ENOSPC, -ENOMEM. The caller holds the lock. */
int scratch_reserve(struct fs *fs, struct scratch_file *file, uint32_t size);
/* Its bytes were changed now. The caller holds the lock. */
void scratch_changed(struct scratch_file *file);

/* The file or folder of that name in the folder `parent`, or NULL. The caller holds the lock. */
struct scratch_file *scratch_find_name(struct scratch *s, uint64_t parent, const char *name);
/* Whether names can be given in it: it is vectors/, or a folder that is there. The caller holds the
 * lock. */
bool scratch_is_there(struct fs *fs, uint64_t parent);
/* A new file, or folder, with that name; its folder changes. -ENAMETOOLONG, -ENOENT the folder is
 * gone, -EDQUOT, -ENOSPC, -ENOMEM. The caller holds the lock. */
int scratch_add(struct fs *fs, uint64_t parent, const char *name, const struct quiver_attr *attr,
                bool folder, struct scratch_file **added);
/* Give it a name, which is its own then. The caller holds the lock. */
void scratch_set_name(struct fs *fs, struct scratch_file *file, uint64_t parent, char *name);
/* Take the name away. The caller holds the lock. */
void scratch_clear_name(struct fs *fs, struct scratch_file *file);
/* The names in a folder, or in vectors/, have changed now; only in memory, as they are. The caller
 * holds the lock. */
void scratch_touch_dir(struct fs *fs, uint64_t parent);
/* Free what has neither a name nor a user. The caller holds the lock. */
void scratch_reap(struct fs *fs, struct scratch_file *file);
/* What stat(2) shows. The caller holds the lock. */
void scratch_stat(const struct fs *fs, const struct scratch_file *file, struct stat *st);

static inline bool scratch_is_folder(const struct scratch_file *file)
{
	return tree_class(file->ino) == TREE_IS_FOLDER;
}

#endif
