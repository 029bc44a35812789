/*
 * vector_file.h - vectors/ID: the handlers of libfuse for them.
 */
#ifndef VECTOR_FILE_H
#define VECTOR_FILE_H

#include "fs/base/node_ops.h"

extern const struct node_ops vector_ops;

/* CREATE of an ID. Answers the request itself. */
void vector_create(fuse_req_t req, uint64_t id, mode_t mode, struct fuse_file_info *fi);

/* Open `id` for writing for those who have the file open that has become it; *fh as in their
 * requests. Errors of node_open_writer. */
int vector_open_heir(struct fs *fs, uint64_t id, uint64_t *fh);

#endif
