/* asker.c - who asks, and which vectors he may read. */
#include "fs/question/asker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/attr.h"

/* More than most are in; Linux allows 65,536. */
#define GROUPS_FIRST 64

static bool is_in(const struct asker *asker, gid_t gid)
{
	if (asker->gid == gid)
		return true;
	for (size_t i = 0; i < asker->group_count; i++) {
		if (asker->groups[i] == gid)
			return true;
	}
	return false;
}

/* Whether a mode gives him `bit` (of S_IROTH, S_IXOTH), as the kernel has it. */
static bool may(const struct asker *asker, uid_t uid, gid_t gid, unsigned mode, unsigned bit)
{
	if (asker->uid == 0)
		return true;
	if (asker->uid == uid)
		return mode & bit << 6;
	return mode & (is_in(asker, gid) ? bit << 3 : bit);
}

/* Those groups that he is in beside the first: none where they cannot be found out, as of a process
 * that we cannot see. -ENOMEM. */
static int find_groups(fuse_req_t req, struct asker *asker)
{
	int room = GROUPS_FIRST, count;

	for (;;) {
		gid_t *groups = reallocarray(asker->groups, (size_t)room, sizeof(*groups));

		if (groups == NULL) {
			asker_free(asker);
			return -ENOMEM;
		}
		asker->groups = groups;
		count = fuse_req_getgroups(req, room, groups);
		if (count <= room)
			break;
		room = count;
	}
	asker->group_count = count > 0 ? (size_t)count : 0;
	return 0;
}

/* By matrix.npy, which has them all. */
static bool reads_matrix(const struct fs *fs, const struct asker *asker)
{
	return asker->uid == fs->owner_uid ||
	       (fs->set_matrix_mode &&
	        may(asker, fs->owner_uid, fs->owner_gid, fs->matrix_mode, S_IROTH));
}

int asker_of(fuse_req_t req, unsigned flags, struct asker *asker)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct fs *fs = fs_of(req);
	struct quiver_attr folder;
	int err;

	*asker = (struct asker){ .uid = ctx->uid, .gid = ctx->gid };
	asker->reads_all = ctx->uid == 0 || ctx->uid == fs->owner_uid;
	if (asker->reads_all)
		return 0;
	err = quiver_dir_attr(fs->store, flags, &folder);
	if (err == 0)
		err = find_groups(req, asker);
	if (err != 0)
		return err;
	asker->reads_all = reads_matrix(fs, asker);
	if (asker->reads_all ||
	    may(asker, attr_uid(fs, folder.uid), attr_gid(fs, folder.gid), folder.mode, S_IXOTH))
		return 0;
	asker_free(asker);
	return -EACCES;
}

void asker_free(struct asker *asker)
{
	free(asker->groups);
	asker->groups = NULL;
	asker->group_count = 0;
}

bool asker_may_read(const struct fs *fs, const struct asker *asker, const struct quiver_attr *attr)
{
	return asker->reads_all ||
	       may(asker, attr_uid(fs, attr->uid), attr_gid(fs, attr->gid), attr->mode, S_IROTH);
}
