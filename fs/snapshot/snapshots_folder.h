/*
 * snapshots_folder.h - the folder snapshots/: mkdir makes a snapshot, rmdir removes one, whatever is in
 * it.
 *
 * Nobody but this mount makes or removes snapshots of its store, so names in it and their attributes
 * are cached for a day; that there is none of a name is not. Both calls wait for the disk, in a
 * worker; the kernel keeps others who use the folder itself waiting meanwhile.
 */
#ifndef SNAPSHOTS_FOLDER_H
#define SNAPSHOTS_FOLDER_H

#include "fs/base/node_ops.h"

extern const struct node_ops snapshots_ops;

void snapshots_mkdir(fuse_req_t req, const char *name);
void snapshots_rmdir(fuse_req_t req, const char *name);

#endif
