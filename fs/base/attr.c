/* attr.c - struct stat for everything on the mount. */
#include "fs/base/attr.h"

#include <errno.h>
#include <string.h>

#include "fs/base/clock.h"

#define NS_PER_S INT64_C(1000000000)
#define STAT_BLOCK_BYTES 512u

static struct timespec timespec_of(int64_t ns)
{
	struct timespec ts;

	ts.tv_sec = ns / NS_PER_S;
	ts.tv_nsec = ns % NS_PER_S;
	if (ts.tv_nsec < 0) {
		ts.tv_sec--;
		ts.tv_nsec += NS_PER_S;
	}
	return ts;
}

void attr_set_times(struct stat *st, int64_t mtime_ns, int64_t ctime_ns)
{
	st->st_mtim = timespec_of(mtime_ns);
	st->st_atim = st->st_mtim;
	st->st_ctim = timespec_of(ctime_ns);
}

void attr_file(const struct fs *fs, fuse_ino_t ino, const struct quiver_attr *attr, uint64_t size,
               unsigned links, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = attr_inode(fs, ino);
	st->st_mode = S_IFREG | (attr->mode & 07777u);
	st->st_nlink = links;
	st->st_uid = attr_uid(fs, attr->uid);
	st->st_gid = attr_gid(fs, attr->gid);
	st->st_size = (off_t)size;
	st->st_blksize = (blksize_t)fs->block_bytes;
	st->st_blocks = (blkcnt_t)((size + STAT_BLOCK_BYTES - 1) / STAT_BLOCK_BYTES);
	/* Who owns it by an option of the mount alone has not made it what it is. */
	if (st->st_uid != attr->uid)
		st->st_mode &= ~(mode_t)S_ISUID;
	if (st->st_gid != attr->gid)
		st->st_mode &= ~(mode_t)S_ISGID;
	attr_set_times(st, attr->mtime_ns, attr->ctime_ns);
}

#define HEIRS (UINT64_C(1) << 32) /* in fs.dir_group, above any group */

uint64_t attr_dir_group(const struct quiver_attr *dir)
{
	return dir->mode & S_ISGID ? HEIRS | dir->gid : 0;
}

void attr_dir_seen(struct fs *fs, const struct quiver_attr *dir)
{
	atomic_store(&fs->dir_group, attr_dir_group(dir));
}

/* The group of what `ctx` makes. */
static gid_t group_new(const struct fs *fs, const struct fuse_ctx *ctx, uint64_t dir_group)
{
	if (fs->set_gid)
		return fs->gid;
	return dir_group & HEIRS ? (gid_t)dir_group : ctx->gid;
}

struct quiver_attr attr_new_in(const struct fs *fs, const struct fuse_ctx *ctx, mode_t mode,
                               uint64_t dir_group)
{
	mode_t masked = mode & ~(fs->set_umask ? fs->umask : ctx->umask);
	int64_t now_ns = clock_now_ns();
	struct quiver_attr attr = {
		.mtime_ns = now_ns,
		.ctime_ns = now_ns,
		.uid = attr_uid(fs, ctx->uid),
		.gid = group_new(fs, ctx, dir_group),
		.mode = (uint16_t)(masked & 07777u),
	};

	/* Nobody makes a program that runs as somebody else. */
	if (attr.uid != ctx->uid)
		attr.mode &= (uint16_t)~S_ISUID;
	if (attr.gid != ctx->gid && (fs->set_gid || ctx->uid != 0))
		attr.mode &= (uint16_t)~S_ISGID;
	return attr;
}

struct quiver_attr attr_new(const struct fs *fs, const struct fuse_ctx *ctx, mode_t mode)
{
	return attr_new_in(fs, ctx, mode, atomic_load(&fs->dir_group));
}

/* The nearest time that the store can keep: what 64 bits of nanoseconds hold ends in 1677 and in
 * 2262. */
static int64_t ns_of(const struct timespec *ts)
{
	int64_t s = ts->tv_sec;
	int64_t ns = ts->tv_nsec;

	if (s < 0) { /* so that the product lies on this side of the sum */
		s++;
		ns -= NS_PER_S;
	}
	if (__builtin_mul_overflow(s, NS_PER_S, &s) || __builtin_add_overflow(s, ns, &ns))
		return ts->tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

unsigned attr_wanted(const struct stat *attr, int to_set, struct quiver_attr *to,
                     bool *explicit_mtime)
{
	unsigned mask = 0;

	memset(to, 0, sizeof(*to));
	*explicit_mtime = false;
	if (to_set & FUSE_SET_ATTR_MODE) {
		to->mode = (uint16_t)(attr->st_mode & 07777u);
		mask |= QUIVER_ATTR_MODE;
	}
	if (to_set & FUSE_SET_ATTR_UID) {
		to->uid = attr->st_uid;
		mask |= QUIVER_ATTR_UID;
	}
	if (to_set & FUSE_SET_ATTR_GID) {
		to->gid = attr->st_gid;
		mask |= QUIVER_ATTR_GID;
	}
	if (to_set & FUSE_SET_ATTR_MTIME_NOW) {
		to->mtime_ns = clock_now_ns();
		mask |= QUIVER_ATTR_MTIME;
	} else if (to_set & FUSE_SET_ATTR_MTIME) {
		to->mtime_ns = ns_of(&attr->st_mtim);
		mask |= QUIVER_ATTR_MTIME;
		*explicit_mtime = true;
	}
	return mask;
}

uint16_t attr_without_setid(uint16_t mode)
{
	return (uint16_t)(mode & ~(unsigned)(S_ISUID | S_ISGID));
}

bool attr_drops_setid(const struct fs *fs, const struct fuse_ctx *ctx,
                      const struct fuse_file_info *fi)
{
	return fs->drops_setid ? fi->kill_suidgid : ctx->uid != 0;
}

struct attr_change attr_change_of(const struct stat *attr, int to_set)
{
	struct attr_change change = {
		.resize = (to_set & FUSE_SET_ATTR_SIZE) != 0,
		.size = (uint64_t)attr->st_size,
		.cuts = (to_set & FUSE_SET_ATTR_KILL_SUID) != 0,
	};

	change.mask = attr_wanted(attr, to_set, &change.attr, &change.explicit_mtime);
	change.set = change.mask != 0 || !change.resize;
	/* Whoever does it; a chown to the owner that there is comes without any of them. */
	if ((to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0 || to_set == 0)
		change.mask |= QUIVER_ATTR_DROP_SETID;
	return change;
}

int attr_may_set(const struct fs *fs, const struct stat *attr, int *to_set)
{
	if (fs->set_uid && *to_set & FUSE_SET_ATTR_UID) {
		if (attr->st_uid != fs->uid)
			return -EPERM;
		*to_set &= ~FUSE_SET_ATTR_UID;
	}
	if (fs->set_gid && *to_set & FUSE_SET_ATTR_GID) {
		if (attr->st_gid != fs->gid)
			return -EPERM;
		*to_set &= ~FUSE_SET_ATTR_GID;
	}
	return 0;
}

void attr_merge(struct quiver_attr *to, const struct quiver_attr *from, unsigned mask)
{
	if (mask & QUIVER_ATTR_MTIME)
		to->mtime_ns = from->mtime_ns;
	if (mask & QUIVER_ATTR_MODE)
		to->mode = from->mode;
	else if (mask & QUIVER_ATTR_DROP_SETID)
		to->mode = attr_without_setid(to->mode);
	if (mask & QUIVER_ATTR_UID)
		to->uid = from->uid;
	if (mask & QUIVER_ATTR_GID)
		to->gid = from->gid;
}
