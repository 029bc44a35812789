/*
 * keep.h - the snapshots of a store that is being opened, checked or repaired, and what they keep;
 * FORMAT.md, Snapshots. While nobody else is there.
 */
#ifndef QUIVER_KEEP_H
#define QUIVER_KEEP_H

#include "engine/disk/superblock_file.h"
#include "engine/index/catalog.h"

/* A file `versions` that is not this store's, where one of its own has to be. */
#define KEEP_STRANGE_NAME "versions.broken"

/*
 * Read the snapshots and `versions` into catalog->versions, before the log is read and the index
 * filled. What is damaged is reported (health's report) and hinders nobody. `read_only`: nothing on
 * disk is changed. 0, -ENOTSUP something is of a newer version, -ENOMEM, -errno.
 */
int keep_load(struct catalog *catalog, const struct superblock_file *superblock, int dir_fd,
              bool read_only);
/* Why a snapshot is of no use, by what reading its file has given; NULL where it is not. Until
 * the next message. */
const char *keep_why_damaged(const struct superblock *sb, const struct snapshot_page *page, int r);
/* Why bytes of `versions` are lost, in words. */
const char *keep_what_is_lost(enum versions_found found);
/* Those that are held are taken: once it is known which slots are live. */
void keep_hold_slots(struct catalog *catalog);
/* What the superblock that is written next shall say of them. */
void keep_tell(const struct catalog *catalog, struct superblock *sb);

#endif
