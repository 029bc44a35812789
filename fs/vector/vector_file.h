/*
 * vector_file.h - vectors/ID: the handlers of libfuse for them.
 *
 * `ino` is always a vector's node. Each handler answers its request itself.
 */
#ifndef VECTOR_FILE_H
#define VECTOR_FILE_H

#include "fs/base/fs.h"

/* Name, attributes and timeouts of a committed vector. -ENOENT, -EIO. */
int vector_entry(struct fs *fs, uint64_t id, struct fuse_entry_param *entry);
/* The same for a lookup by thread `tid`. */
int vector_lookup(struct fs *fs, uint64_t id, pid_t tid, struct fuse_entry_param *entry);

/*
 * Set times, mode and owner, as thread `tid` asks. What it has staged takes an mtime with
 * it into its commit, and the committed vector keeps the one it has until then. All else is
 * set in the store at once, where there is a vector. -ENOENT, errors of quiver_set_attr;
 * -EAGAIN where it would wait and must not: doing it again is harmless.
 */
int vector_set_attr(struct fs *fs, uint64_t id, pid_t tid, const struct quiver_attr *attr,
                    unsigned mask, bool explicit_mtime, bool may_wait);

void vector_create(fuse_req_t req, uint64_t id, mode_t mode, struct fuse_file_info *fi);
void vector_getattr(fuse_req_t req, fuse_ino_t ino);
/* `fi` may be NULL. */
void vector_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                    struct fuse_file_info *fi);
void vector_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* fi->fh 0: there are no handles on this mount (fs->no_open). */
void vector_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void vector_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                  struct fuse_file_info *fi);
void vector_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void vector_fsync(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void vector_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
