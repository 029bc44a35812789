/*
 * vectors_attr.h - the vectors of a session as files: their attributes, and those of their folder.
 */
#ifndef VECTORS_ATTR_H
#define VECTORS_ATTR_H

#include "engine/quiver.h"
#include "tools/cli/session.h"

#include <stddef.h>
#include <stdint.h>

/* In all of these `folder_fd` is what vectors_open_folder gave, and nothing is said of errors. */

/* The attributes of vector `id`. -ENOENT, -EIO one that is damaged; -ENOTCONN and others of a
 * mount. Any thread. */
int vectors_stat(struct session *session, int folder_fd, uint64_t id, struct quiver_attr *attr);

/* The same of `count` of them, results[i] being 0 or what vectors_stat says of ids[i]: of a store
 * elsewhere with one question for many. 0, or a negative errno of the whole. Any thread. */
int vectors_stat_many(struct session *session, int folder_fd, const uint64_t *ids, size_t count,
                      struct quiver_attr *attrs, int *results);

/* Remove vector `id`. -ENOENT; as vectors_stat. Any thread. */
int vectors_remove(struct session *session, int folder_fd, uint64_t id);

/* The attributes of the folder of vectors, and giving it those that `mask` means. */
int vectors_folder_attr(struct session *session, int folder_fd, struct quiver_attr *attr);
int vectors_set_folder_attr(struct session *session, int folder_fd, const struct quiver_attr *attr,
                            unsigned mask);

#endif
