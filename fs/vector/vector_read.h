/*
 * vector_read.h - reading vectors.
 */
#ifndef VECTOR_READ_H
#define VECTOR_READ_H

#include "fs/base/fs.h"

/* Handler of libfuse, for node_ops. */
void vector_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);

#endif
