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

/* The nodes there are now, in order of creation, in *nodes (to be freed). -ENOMEM. */
int scratch_list(struct fs *fs, uint64_t **nodes, size_t *count);

/* The name (copied) and attributes of `ino`. -ENOENT where it has no name any more. */
int scratch_describe(struct fs *fs, uint64_t ino, char name[static SCRATCH_NAME_MAX + 1],
                     struct stat *st);

#endif
