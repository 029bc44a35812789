/*
 * file_attr.h - the attributes of files, as vectors have them.
 */
#ifndef FILE_ATTR_H
#define FILE_ATTR_H

#include "engine/quiver.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* What this process may give: root an owner, others a group that they are in. */
struct file_rights {
	bool root;
	gid_t *groups; /* that others are in */
	size_t count;
};

/* Find them out; to be given back with file_rights_free. -ENOMEM; errors of getgroups(2). */
int file_rights_get(struct file_rights *rights);
void file_rights_free(struct file_rights *rights);

/* The attributes a new vector would get from open(2) by this process. Main thread: it looks at the
 * umask. */
void file_attr_new(struct quiver_attr *attr);

/* The attributes of a file. A time that no vector can have becomes the nearest. */
void file_attr_of(const struct stat *status, struct quiver_attr *attr);

/* Which of them rsync -a, run by this process, would keep: QUIVER_ATTR_*. */
unsigned file_attr_kept(const struct file_rights *rights, const struct quiver_attr *attr);

/* Whether two are the same in all that `mask` means. */
bool file_attr_same(const struct quiver_attr *one, const struct quiver_attr *other, unsigned mask);

/* Give an open file, or folder, what `mask` means of the attributes. Errors of fchown(2), fchmod(2)
 * and futimens(2). */
int file_attr_set(int fd, const struct quiver_attr *attr, unsigned mask);

#endif
