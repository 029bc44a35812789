/*
 * matrix_file.h - matrix.npy and ids.npy, the raw views.
 *
 * `ino` is TREE_MATRIX or TREE_IDS. Each handler answers its request itself, from
 * a worker where it may wait. Entry timeouts are a day, attribute timeouts zero.
 */
#ifndef MATRIX_FILE_H
#define MATRIX_FILE_H

#include "fs/base/fs.h"

/* Called by fs_init (the store is open, fs->workers exists) and fs_destroy. */
int matrix_init(struct fs *fs);
void matrix_fini(struct fs *fs);

/* Attributes now; always succeeds. Must not wait. */
int matrix_attr(struct fs *fs, fuse_ino_t ino, struct stat *st);

void matrix_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* On a mount with fs->no_open there is no matrix_open: fi->fh is 0. */
void matrix_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void matrix_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
