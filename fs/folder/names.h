/*
 * names.h - what acts on names: lookup, create, remove.
 */
#ifndef NAMES_H
#define NAMES_H

#include "fs/base/fs.h"

/* "." or "..": names_lookup_node. */
bool names_is_dots(const char *name);

void names_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
/*
 * Looks up the node itself ("." of it, and the kernel asks that of files too) or the folder
 * it is in: what the kernel asks for where somebody comes with a file handle, as NFS does,
 * and its own inode is gone. Answers -ENOENT where the node is, which becomes ESTALE.
 */
void names_lookup_node(fuse_req_t req, uint64_t node, bool itself);

/* Refused in all folders but vectors/ and those of scratch files in it. */
void names_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi);
void names_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void names_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
/* Folders of scratch files, in vectors/ alone. */
void names_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void names_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);

/* Whether the name is that of a scratch file: any name is, in a folder of them. */
bool names_scratch(fuse_ino_t parent, const char *name);

#endif
