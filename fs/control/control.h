/*
 * control.h - the files of control/.
 *
 * `ino` is always a node from TREE_CONTROL_FIRST up to TREE_CONTROL_END. Each
 * handler answers its request itself, from a worker where it may wait. Entry
 * and attribute timeouts of control files are zero.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "fs/base/fs.h"

/* Called by fs_init (the store is open, fs->workers exists) and fs_destroy. */
int control_init(struct fs *fs);
void control_fini(struct fs *fs);

/* Attributes of a control file; -ENOENT where this mount does not have it (it is
 * then neither found nor listed). Must not wait. */
int control_attr(struct fs *fs, fuse_ino_t ino, struct stat *st);

/* On a mount with fs->no_open there is no control_open: fi->fh is 0 in
 * control_read, which then answers from a snapshot made for this one request. */
void control_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void control_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                  struct fuse_file_info *fi);
/* `buf` is valid during the call only. */
void control_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                   struct fuse_file_info *fi);
/* `fi` may be NULL; a size change (from O_TRUNC) is a success without effect. */
void control_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                     struct fuse_file_info *fi);
void control_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void control_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void control_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
