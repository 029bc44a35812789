/*
 * rename.h - a scratch file becomes a vector, or a vector gets another ID.
 */
#ifndef RENAME_H
#define RENAME_H

#include "fs/base/fs.h"

/* As struct fuse_lowlevel_ops has it. */
void rename_name(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                 const char *newname, unsigned flags);

#endif
