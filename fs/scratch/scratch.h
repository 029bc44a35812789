/*
 * scratch.h - scratch files: names in vectors/ that begin with a dot.
 *
 * They live in memory, hold at most N bytes each and are gone at unmount. One
 * becomes a vector when it is renamed to an ID or to the name of a view. Tools that
 * write to a temporary name first (rsync, editors) need nothing more. Those of views
 * are named after them, and may hold what a view may.
 *
 * In vectors/ there may also be folders of them, whose names begin with a dot; in such a
 * folder any name is that of a scratch file, and no folder. rsync --delay-updates renames
 * its files from there. `parent` is the node of the folder, or TREE_VECTORS.
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

/* Number, attributes and timeouts (none). -ENOENT. A folder that is handed out is counted as looked
 * up: the entry is for scratch_reply_entry, or scratch_forget. */
int scratch_entry(struct fs *fs, uint64_t parent, const char *name, struct fuse_entry_param *entry);

/* The same of the file or folder `ino`, as long as it has a name. -ENOENT. */
int scratch_node_entry(struct fs *fs, fuse_ino_t ino, unsigned flags,
                       struct fuse_entry_param *entry);

/* Answer with an entry, or with an error; one that does not get through is no lookup. */
void scratch_reply_entry(fuse_req_t req, int err, const struct fuse_entry_param *entry);

/* The kernel has forgotten `count` lookups of a folder; files are not counted. Any thread. */
void scratch_forget(struct fs *fs, fuse_ino_t ino, uint64_t count);

/* The folder that the file `ino` is in; TREE_NONE where it is gone. */
uint64_t scratch_parent(struct fs *fs, uint64_t ino);

/* Folders that there are now. */
unsigned scratch_folders(struct fs *fs);

/* Attributes of a file that `ctx` creates in `parent` with `mode`; of a folder too where that says
 * S_IFDIR. */
struct quiver_attr scratch_attr_new(struct fs *fs, const struct fuse_ctx *ctx, uint64_t parent,
                                    mode_t mode);

/* Make a file, or find one that exists unless `exclusive`, and open it if `open`.
 * -EEXIST, -EISDIR, -EDQUOT and -ENOSPC too many (charge.h), -ENAMETOOLONG, -ENOMEM; -ENOENT the
 * folder is gone. */
int scratch_create(struct fs *fs, uint64_t parent, const char *name, const struct quiver_attr *attr,
                   bool exclusive, bool truncate, bool open, struct fuse_entry_param *entry);

/* Make a folder in vectors/. Errors as of scratch_create, entry as of scratch_entry. */
int scratch_mkdir(struct fs *fs, const char *name, const struct quiver_attr *attr,
                  struct fuse_entry_param *entry);

/* -ENOENT, -EISDIR. Open files go on as they are, without a name. */
int scratch_unlink(struct fs *fs, uint64_t parent, const char *name);

/* Of a folder in vectors/. -ENOENT, -ENOTDIR, -ENOTEMPTY. */
int scratch_rmdir(struct fs *fs, const char *name);

/* Within a folder or from one to another. -ENOENT; -EEXIST with `noreplace`; -EISDIR, -ENOTDIR,
 * -ENOTEMPTY by what has the new name; -ENAMETOOLONG, -ENOMEM. A folder has to go on as one in
 * vectors/. */
struct scratch_place {
	uint64_t parent;
	const char *name;
};
int scratch_rename(struct fs *fs, struct scratch_place from, struct scratch_place to,
                   bool noreplace);
/* Whether it is a folder. */
bool scratch_names_folder(struct fs *fs, struct scratch_place place);

/* The nodes there are now in vectors/, in order of creation, in *nodes (to be freed). -ENOMEM. */
int scratch_list(struct fs *fs, uint64_t **nodes, size_t *count);

/* The name (copied) and attributes of `ino`. -ENOENT where it is not in vectors/ any more. */
int scratch_describe(struct fs *fs, uint64_t ino, char name[static SCRATCH_NAME_MAX + 1],
                     struct stat *st);

#endif
