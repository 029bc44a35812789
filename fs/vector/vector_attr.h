/*
 * vector_attr.h - attributes of vectors: lookup, stat, chmod, touch, truncate.
 */
#ifndef VECTOR_ATTR_H
#define VECTOR_ATTR_H

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
 * Set times, mode and owner, as thread `tid` asks. What it has staged takes an mtime with
 * it into its commit, and the committed vector keeps the one it has until then. All else is
 * set in the store at once, where there is a vector: with `mask` 0 the ctime alone. -ENOENT,
 * errors of quiver_set_attr; -EAGAIN where it would wait and must not: doing it again is harmless.
 */
int vector_set_attr(struct fs *fs, uint64_t id, pid_t tid, const struct quiver_attr *attr,
                    unsigned mask, bool explicit_mtime, bool may_wait);

/* Of a committed vector with `attr`: what the thread that `view` is for has staged shows to it. */
void vector_show_staged(const struct node_view *view, struct quiver_attr *attr);

/* Handlers of libfuse, for node_ops. */
void vector_getattr(fuse_req_t req, fuse_ino_t ino);
void vector_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                    struct fuse_file_info *fi);

#endif
