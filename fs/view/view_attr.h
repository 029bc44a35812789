/*
 * view_attr.h - lookup and attributes of views. Handlers answer their requests themselves.
 */
#ifndef VIEW_ATTR_H
#define VIEW_ATTR_H

#include "fs/base/fs.h"
#include "fs/base/tree.h"

void view_lookup(fuse_req_t req, uint64_t id, enum tree_form form);

/* For node_ops. */
int view_node_entry(struct fs *fs, fuse_ino_t ino, unsigned flags, struct fuse_entry_param *entry);
void view_getattr(fuse_req_t req, fuse_ino_t ino);
void view_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                  struct fuse_file_info *fi);

#endif
