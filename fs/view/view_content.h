/*
 * view_content.h - the bytes of a view, made of its vector.
 */
#ifndef VIEW_CONTENT_H
#define VIEW_CONTENT_H

#include <stddef.h>

#include "fs/base/fs.h"
#include "fs/base/tree.h"

struct view_content {
	char *bytes; /* to be freed by whoever asked for it */
	size_t size, room;
	struct quiver_attr attr;
	uint64_t lsn;
};
/* The file of what is committed now, its checksum compared. Reads the vector, so on a
 * worker. -ENOENT, -EIO, -ENOMEM. */
int view_make(struct fs *fs, uint64_t id, enum tree_form form, struct view_content *content);

#endif
