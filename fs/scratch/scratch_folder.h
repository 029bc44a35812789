/*
 * scratch_folder.h - folders of scratch files: what libfuse asks of them.
 */
#ifndef SCRATCH_FOLDER_H
#define SCRATCH_FOLDER_H

#include "fs/base/node_ops.h"

extern const struct node_ops scratch_folder_ops;

/* MKDIR in vectors/. Answers the request itself. */
void scratch_folder_make(fuse_req_t req, const char *name, mode_t mode);

#endif
