/*
 * scratch_file.h - the handlers of libfuse for scratch files.
 */
#ifndef SCRATCH_FILE_H
#define SCRATCH_FILE_H

#include "fs/base/node_ops.h"

extern const struct node_ops scratch_ops;

/* CREATE of a scratch name in vectors/ or a folder of them. Answers the request itself. */
void scratch_file_create(fuse_req_t req, uint64_t parent, const char *name, mode_t mode,
                         struct fuse_file_info *fi);

#endif
