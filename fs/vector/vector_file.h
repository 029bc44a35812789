/*
 * vector_file.h - vectors/ID: the handlers of libfuse for them.
 */
#ifndef VECTOR_FILE_H
#define VECTOR_FILE_H

#include "fs/base/node_ops.h"

extern const struct node_ops vector_ops;

/* CREATE of an ID. Answers the request itself. */
void vector_create(fuse_req_t req, uint64_t id, mode_t mode, struct fuse_file_info *fi);

#endif
