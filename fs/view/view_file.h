/*
 * view_file.h - vectors/ID.npy and ID.txt: the handlers of libfuse for them.
 */
#ifndef VIEW_FILE_H
#define VIEW_FILE_H

#include "fs/base/node_ops.h"

extern const struct node_ops view_ops;

/* CREATE of the name of a view. Answers the request itself. */
void view_create(fuse_req_t req, uint64_t id, enum tree_form form, mode_t mode,
                 struct fuse_file_info *fi);

/* Open a view for writing for those who have the file open that has become it; *ino and *fh as in
 * their requests. Errors of node_open_writer. */
int view_open_heir(struct fs *fs, uint64_t id, enum tree_form form, uint64_t *ino, uint64_t *fh);

#endif
