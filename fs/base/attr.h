/*
 * attr.h - struct stat for everything on the mount.
 *
 * atime is the mtime, st_ino is the node number, of a view one that derives from its ID, and in a
 * snapshot another: attr_inode.
 */
#ifndef ATTR_H
#define ATTR_H

#include "fs/base/fs.h"

/*
 * st_ino of what has `inode` on the mount. In a snapshot it is another, the same whenever and wherever
 * that is looked at: to cp(1), diff(1) and others two files with one st_ino are one, so that nobody
 * could bring a vector back from a snapshot, or see what has changed.
 */
static inline uint64_t attr_inode(const struct fs *fs, uint64_t inode)
{
	/* Steps that can all be undone, so that no two of one snapshot meet. */
	uint64_t mixed = (inode ^ fs->inode_key) * UINT64_C(0x9E3779B97F4A7C15);

	if (fs->inode_key == 0)
		return inode;
	mixed = (mixed ^ mixed >> 32) * UINT64_C(0xD6E8FEB86659FD93);
	return mixed ^ mixed >> 32;
}

/* A regular file of `size` bytes with the attributes of a vector or scratch file. */
void attr_file(const struct fs *fs, fuse_ino_t ino, const struct quiver_attr *attr, uint64_t size,
               unsigned links, struct stat *st);

/* st_blksize of a folder. */
#define ATTR_DIR_BLOCK_BYTES 4096

/* Times before 1970 round down. */
void attr_set_times(struct stat *st, int64_t mtime_ns, int64_t ctime_ns);

/* The attributes of vectors/ are these, as read or set last: with the set-group-ID bit new files get
 * its group, as elsewhere. Any thread. */
void attr_dir_seen(struct fs *fs, const struct quiver_attr *dir);

/* What a folder with these attributes leaves to new files: its group and a bit above it, or 0. */
uint64_t attr_dir_group(const struct quiver_attr *dir);

/* Attributes of a file that `ctx` creates in vectors/ with `mode`; its times are now. The second: in
 * a folder of which attr_dir_group says `dir_group`. */
struct quiver_attr attr_new(const struct fs *fs, const struct fuse_ctx *ctx, mode_t mode);
struct quiver_attr attr_new_in(const struct fs *fs, const struct fuse_ctx *ctx, mode_t mode,
                               uint64_t dir_group);

/* What a SETATTR sets of a vector, a scratch file or a directory: the QUIVER_ATTR_*
 * mask, and the members in *to. Access and change times are left out, but each SETATTR moves the
 * change time. *explicit_mtime
 * tells whether the caller named the time rather than asked for now. */
unsigned attr_wanted(const struct stat *attr, int to_set, struct quiver_attr *to,
                     bool *explicit_mtime);

/* What a SETATTR asks for. */
struct attr_change {
	bool resize;
	uint64_t size;
	bool cuts; /* a change of size by somebody who has no right to keep set-ID bits */
	bool set; /* these are set, if only the ctime: */
	unsigned mask; /* QUIVER_ATTR_*; with a change of owner set-ID bits go */
	bool explicit_mtime;
	struct quiver_attr attr;
};
struct attr_change attr_change_of(const struct stat *attr, int to_set);

/* What a SETATTR may set: who owns what is on the mount does not change where an option says it. Takes
 * out of *to_set what is the same anyway. 0, or -EPERM. */
int attr_may_set(const struct fs *fs, const struct stat *attr, int *to_set);

/* The owner and the group to be shown for those that are stored. */
static inline uid_t attr_uid(const struct fs *fs, uid_t stored)
{
	return fs->set_uid ? fs->uid : stored;
}

static inline gid_t attr_gid(const struct fs *fs, gid_t stored)
{
	return fs->set_gid ? fs->gid : stored;
}

/* A mode without the set-user-ID and set-group-ID bits: what is left after a change by somebody who
 * has no right to them. */
uint16_t attr_without_setid(uint16_t mode);
/* Whether a WRITE, or an O_TRUNC, is by such. */
bool attr_drops_setid(const struct fs *fs, const struct fuse_ctx *ctx,
                      const struct fuse_file_info *fi);

/* Copy the members in `mask`, QUIVER_ATTR_DROP_SETID as the store does. */
void attr_merge(struct quiver_attr *to, const struct quiver_attr *from, unsigned mask);

#endif
