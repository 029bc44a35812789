/*
 * keep.h - the snapshots of a store that is being opened, checked or repaired, and what they keep;
 * FORMAT.md, Snapshots. While nobody else is there.
 */
#ifndef QUIVER_KEEP_H
#define QUIVER_KEEP_H

#include "engine/disk/superblock_file.h"
#include "engine/index/catalog.h"

/*
 * Read the snapshots and `versions` into catalog->versions, before the log is read and the index
 * filled. What is damaged is reported (health's report) and hinders nobody. `read_only`: nothing on
 * disk is changed. 0, -ENOTSUP something is of a newer version, -ENOMEM, -errno.
 */
int keep_load(struct catalog *catalog, const struct superblock_file *superblock, int dir_fd,
              bool read_only);
/* Those that are held are taken: once it is known which slots are live. */
void keep_hold_slots(struct catalog *catalog);
/* What the superblock that is written next shall say of them. */
void keep_tell(const struct catalog *catalog, struct superblock *sb);

#endif
