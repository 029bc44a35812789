/*
 * neighbours_node.h - the nodes of the files of nearest/.
 *
 * ID.K and query.K do not fit into 64 bits. So each lookup hands out a number of its own, and what it
 * names is remembered until the kernel forgets it; of those that nobody has open the oldest are dropped
 * beyond NEIGHBOURS_NODES_MAX, and the kernel, told ESTALE, looks up again. nearest/query, which is
 * listed, has one number for ever.
 *
 * By that each open has an inode of its own in the kernel, with its own pages, which sendfile(2) and
 * private maps go through whatever is said of caching: nobody gets what was meant for somebody else,
 * or is from another time. (An inode can be opened twice all the same, by way of /proc/PID/fd: then
 * both read the text of the first.)
 *
 * One lock guards the table; it is held for short steps in memory.
 */
#ifndef NEIGHBOURS_NODE_H
#define NEIGHBOURS_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/fs.h"
#include "fs/nearest/neighbours_name.h"

/* 2 MiB. */
#define NEIGHBOURS_NODES_MAX 16384u

struct neighbours;
struct neighbours_text; /* neighbours_text.h */

int neighbours_new(struct neighbours **neighbours); /* -ENOMEM */
/* Nobody has a file open any more. NULL is allowed. */
void neighbours_free(struct neighbours *neighbours);

/* A new node for a name, counted as looked up once. -ENOMEM. */
int neighbours_give(struct fs *fs, const struct neighbours_name *name, uint64_t *ino);
/* The kernel is told of a node once more. False: it is not known any more. */
bool neighbours_give_again(struct fs *fs, uint64_t ino, struct neighbours_name *name);
/* The kernel has forgotten `count` lookups. Any thread. */
void neighbours_forget(struct fs *fs, fuse_ino_t ino, uint64_t count);

/* What a node is. False: it is not known any more. */
bool neighbours_find(struct fs *fs, uint64_t ino, struct neighbours_name *name);
/* The length of the text of who has it open. False: nobody has. */
bool neighbours_length(struct fs *fs, uint64_t ino, size_t *length);

/* The same for who opens it: it stays until he has closed it. */
bool neighbours_hold(struct fs *fs, uint64_t ino, struct neighbours_name *name);
void neighbours_let_go(struct fs *fs, uint64_t ino);
/* Who holds it has made its text, which is taken over, charged to `uid`: unless somebody else has
 * before. What the file reads: it stays for as long as the node is held. */
const struct neighbours_text *neighbours_show(struct fs *fs, uint64_t ino, uid_t uid,
                                              struct neighbours_text *text);

#endif
