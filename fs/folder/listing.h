/*
 * listing.h - reading directories.
 *
 * vectors/ is listed from a copy of the IDs taken when a listing starts (at offset
 * 0, so rewinddir starts a new one); an offset is a place in that copy. What has
 * gone since is skipped. Listings that begin while no ID comes or goes share one copy; each
 * user is charged once for each copy that he holds (charge.h).
 */
#ifndef LISTING_H
#define LISTING_H

#include "fs/base/fs.h"

/* `ino` is TREE_ROOT, TREE_VECTORS, TREE_CONTROL or TREE_NEAREST. Each answers its request. */
void listing_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* fi->fh is 0 where OPENDIR is not asked for (fs->no_open). */
void listing_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus,
                  struct fuse_file_info *fi);
void listing_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* Whether this ID is one of those by whose lookups is seen whether attributes are wanted: a
 * listing gives none for it at first. They are counted in fs->probe_lookups. */
bool listing_is_probe(uint64_t id);
/* fsync of a directory makes everything durable. */
void listing_fsync(fuse_req_t req);

/* The listing of a mount without OPENDIR. -ENOMEM; NULL is allowed. */
int listing_new(struct listing **listing);
void listing_free(struct fs *fs, struct listing *listing);

#endif
