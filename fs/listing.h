/*
 * listing.h - reading directories.
 *
 * vectors/ is listed from a copy of the IDs taken when a listing starts (at offset
 * 0, so rewinddir starts a new one); an offset is a place in that copy. What has
 * gone since is skipped.
 */
#ifndef LISTING_H
#define LISTING_H

#include "fs.h"

/* `ino` is TREE_ROOT, TREE_VECTORS or TREE_CONTROL. Each answers its request. */
void listing_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* fi->fh is 0 where OPENDIR is not asked for (fs->no_open). */
void listing_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus,
                  struct fuse_file_info *fi);
void listing_release(fuse_req_t req, struct fuse_file_info *fi);
/* fsync of a directory makes everything durable. */
void listing_fsync(fuse_req_t req);

/* The listing of a mount without OPENDIR, for fs_init and fs_destroy. */
struct listing;
int listing_new(struct listing **listing);
void listing_free(struct listing *listing);

#endif
