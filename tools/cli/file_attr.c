/*
 * file_attr.c - the attributes of files, as vectors have them.
 */
#include "tools/cli/file_attr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
#define MODE_BITS 07777u

int file_rights_get(struct file_rights *rights)
{
	int count = getgroups(0, NULL);

	memset(rights, 0, sizeof(*rights));
	rights->root = geteuid() == 0;
	if (count < 0)
		return -errno;
	rights->groups = calloc((size_t)count + 1, sizeof(*rights->groups));
	if (rights->groups == NULL)
		return -ENOMEM;
	if (count > 0)
		count = getgroups(count, rights->groups);
	if (count < 0) {
		int result = -errno;

		file_rights_free(rights);
		return result;
	}
	rights->groups[count] = getegid();
	rights->count = (size_t)count + 1;
	return 0;
}

void file_rights_free(struct file_rights *rights)
{
	free(rights->groups);
	rights->groups = NULL;
	rights->count = 0;
}

void file_attr_new(struct quiver_attr *attr)
{
	struct timespec now = { 0 };
	mode_t mask = umask(0);

	(void)umask(mask);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	memset(attr, 0, sizeof(*attr));
	attr->mtime_ns = (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
	attr->uid = geteuid();
	attr->gid = getegid();
	attr->mode = (uint16_t)(0666 & ~mask);
}

void file_attr_of(const struct stat *status, struct quiver_attr *attr)
{
	int64_t s = status->st_mtim.tv_sec, ns = status->st_mtim.tv_nsec;

	memset(attr, 0, sizeof(*attr));
	if (s < 0) { /* so that the product lies on this side of the sum */
		s++;
		ns -= NS_PER_S;
	}
	if (__builtin_mul_overflow(s, NS_PER_S, &s) || __builtin_add_overflow(s, ns, &ns))
		ns = status->st_mtim.tv_sec < 0 ? INT64_MIN : INT64_MAX;
	attr->mtime_ns = ns;
	attr->uid = status->st_uid;
	attr->gid = status->st_gid;
	attr->mode = (uint16_t)(status->st_mode & MODE_BITS);
}

unsigned file_attr_kept(const struct file_rights *rights, const struct quiver_attr *attr)
{
	if (rights->root)
		return QUIVER_ATTR_ALL;
	for (size_t i = 0; i < rights->count; i++)
		if (rights->groups[i] == attr->gid)
			return QUIVER_ATTR_MTIME | QUIVER_ATTR_MODE | QUIVER_ATTR_GID;
	return QUIVER_ATTR_MTIME | QUIVER_ATTR_MODE;
}

bool file_attr_same(const struct quiver_attr *one, const struct quiver_attr *other, unsigned mask)
{
	return ((mask & QUIVER_ATTR_MTIME) == 0 || one->mtime_ns == other->mtime_ns) &&
	       ((mask & QUIVER_ATTR_MODE) == 0 || one->mode == other->mode) &&
	       ((mask & QUIVER_ATTR_UID) == 0 || one->uid == other->uid) &&
	       ((mask & QUIVER_ATTR_GID) == 0 || one->gid == other->gid);
}

int file_attr_set(int fd, const struct quiver_attr *attr, unsigned mask)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

	/* The owner first: a change of it takes bits of the mode away. */
	if ((mask & (QUIVER_ATTR_UID | QUIVER_ATTR_GID)) != 0 &&
	    fchown(fd, mask & QUIVER_ATTR_UID ? attr->uid : (uid_t)-1,
	           mask & QUIVER_ATTR_GID ? attr->gid : (gid_t)-1) < 0)
		return -errno;
	if ((mask & QUIVER_ATTR_MODE) != 0 && fchmod(fd, attr->mode) < 0)
		return -errno;
	if ((mask & QUIVER_ATTR_MTIME) == 0)
		return 0;
	times[1].tv_sec = attr->mtime_ns / NS_PER_S;
	times[1].tv_nsec = attr->mtime_ns % NS_PER_S;
	if (times[1].tv_nsec < 0) {
		times[1].tv_sec--;
		times[1].tv_nsec += NS_PER_S;
	}
	return futimens(fd, times) < 0 ? -errno : 0;
}
