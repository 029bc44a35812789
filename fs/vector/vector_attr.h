/*
 * vector_attr.h - attributes of vectors: lookup, stat, chmod, touch, truncate.
 */
#ifndef VECTOR_ATTR_H
#define VECTOR_ATTR_H

#include "fs/base/attr.h"
#include "fs/vector/node.h"

/* Name, attributes and timeouts of a committed vector. `flags`: 0 or QUIVER_NOWAIT. Errors of
 * quiver_stat. */
int vector_entry(struct fs *fs, uint64_t id, unsigned flags, struct fuse_entry_param *entry);
/* The same of a node. */
int vector_node_entry(struct fs *fs, fuse_ino_t ino, unsigned flags,
                      struct fuse_entry_param *entry);
/* The same for a lookup by thread `tid`. */
int vector_lookup(struct fs *fs, uint64_t id, pid_t tid, unsigned flags,
                  struct fuse_entry_param *entry);

/*
 * Set times, mode and owner of what `user` has open, or means by the name of vector `id`. What he
 * has staged takes an mtime with it into its commit, and the committed vector keeps the one it has
 * until then. All else is set in the store at once, where there is a vector: with `mask` 0 the
 * ctime alone. -ENOENT, errors of quiver_set_attr; -EAGAIN where it would wait and must not: doing
 * it again is harmless.
 */
int vector_set_attr(struct fs *fs, uint64_t id, const struct node_user *user,
                    const struct quiver_attr *attr, unsigned mask, bool explicit_mtime,
                    bool may_wait);

/* What fstat shows to `user` of what he has open as `id`, or stat by that name, and how long it may
 * be cached. -ESTALE, -EIO, -EAGAIN. */
int vector_stat(struct fs *fs, uint64_t id, const struct node_user *user, unsigned flags,
                struct stat *st, double *timeout);

/* Of a committed vector with `attr`: what the user that `view` is for has staged shows to him. */
void vector_show_staged(const struct node_view *view, struct quiver_attr *attr);

/* Handlers of libfuse, for node_ops. */
void vector_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void vector_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                    struct fuse_file_info *fi);
int vector_stat_open(struct fs *fs, fuse_ino_t ino, uint64_t fh, bool may_wait, struct stat *st);
int vector_set_open(struct fs *fs, fuse_ino_t ino, uint64_t fh, const struct attr_change *change,
                    bool may_wait);

#endif
