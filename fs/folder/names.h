/*
 * names.h - what acts on names: lookup, create, remove, rename, and all that
 * is refused. The signatures are those of struct fuse_lowlevel_ops.
 */
#ifndef NAMES_H
#define NAMES_H

#include "fs/base/fs.h"

void names_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void names_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi);
void names_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void names_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void names_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void names_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void names_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name);
void names_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname);

/* rename.c */
void names_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                  const char *newname, unsigned int flags);

/* A name fit for a line of control/errors: what does not print becomes '?', and what
 * is long is cut. */
#define NAMES_SHOWN_BYTES 64u
void names_show(const char *name, char shown[static NAMES_SHOWN_BYTES]);

#endif
