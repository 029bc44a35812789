/*
 * neighbours_file.h - the files of nearest/: ID and ID.K, which read the neighbours of a vector, and query
 * and query.K, to which vectors are written.
 *
 * Names are found and not listed, but for query, so that who reads all files of a folder does not search
 * for everything. A vector's neighbours are looked for when its file is opened, and what is read is from
 * then. Owner, group and mode are those of the vector, to read. Nothing is searched to tell a size: until
 * the file is open it is one that no text is longer than, and then that of the text; so whatever reads up
 * to a size gets all, and where a READ gives less the kernel knows that this is the end.
 *
 * The kernel caches nothing of it for anybody else: names and attributes have no timeouts, bytes are read
 * past its pages (direct I/O), and those that it has all the same are of one open (neighbours_node.h).
 * Where it opens by itself: neighbours_kept.h.
 */
#ifndef NEIGHBOURS_FILE_H
#define NEIGHBOURS_FILE_H

#include "fs/base/node_ops.h"

extern const struct node_ops neighbours_ops;

/* Look up a name in nearest/, other than query. */
void neighbours_lookup(fuse_req_t req, const char *name);

#endif
