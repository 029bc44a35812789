/*
 * view_attr.h - lookup and attributes of views. Handlers answer their requests themselves.
 */
#ifndef VIEW_ATTR_H
#define VIEW_ATTR_H

#include "fs/base/attr.h"
#include "fs/base/fs.h"
#include "fs/base/tree.h"

void view_lookup(fuse_req_t req, uint64_t id, enum tree_form form);

/* For node_ops. */
int view_node_entry(struct fs *fs, fuse_ino_t ino, unsigned flags, struct fuse_entry_param *entry);
void view_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void view_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                  struct fuse_file_info *fi);
int view_stat_open(struct fs *fs, fuse_ino_t ino, uint64_t fh, bool may_wait, struct stat *st);
int view_set_open(struct fs *fs, fuse_ino_t ino, uint64_t fh, const struct attr_change *change,
                  bool may_wait);

#endif
