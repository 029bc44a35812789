/*
 * inside.h - what the kernel knows of snapshots.
 *
 * The view of a snapshot is a struct fs of its own within that of the mount (fs->outer), over a
 * store of its own, so that all kinds of files are there as on a mount (fs/snapshot). To the kernel
 * all of them are one filesystem, so a node in a snapshot has two numbers: the inner one, as
 * anywhere, and the outer one, by which the kernel knows it. They are translated where a request
 * comes in (fs/snapshot) and where a name is answered (inside_entry, listings).
 *
 * An outer number is a place in a table. It stays for as long as the kernel has it; of those that it
 * has forgotten the last INSIDE_KEPT_MAX stay, too, for file handles. What is left of a number that
 * was used again is told from it by the generation.
 *
 * One lock guards the table and what is shared of the snapshots. It is held for short steps in memory.
 */
#ifndef INSIDE_H
#define INSIDE_H

#include <pthread.h>

#include "fs/base/fs.h"

/* 2.5 MiB. */
#define INSIDE_KEPT_MAX 65536u

/* A snapshot, as the table sees it: the first member of what fs/snapshot knows of it. */
struct guest {
	uint64_t serial; /* constant; no other ever has it */
	uint64_t known; /* inside's lock; its nodes in the table */
	uint64_t views; /* inside's lock; those among them that are views, or others in a table */
	uint64_t users; /* inside's lock; requests under way and open files: its fs stays */
	/* inside's lock; its fs was opened so often: the inner number of a view is of one opening. */
	uint32_t openings;
};

struct inside;

/* Called with the lock held, when a guest has no users or no nodes any more, which may free it. */
typedef void inside_unused_fn(void *arg, struct guest *guest);

/* -ENOMEM. */
int inside_new(inside_unused_fn *unused, void *arg, struct inside **inside);
void inside_free(struct inside *inside); /* NULL is allowed */

void inside_lock(struct inside *inside);
void inside_unlock(struct inside *inside);
pthread_mutex_t *inside_mutex(struct inside *inside); /* to wait with */

/* The node that the kernel knows by `outer`. False: it is none, or was forgotten long ago. The lock is
 * held. */
bool inside_find(struct inside *inside, uint64_t outer, struct guest **guest, uint64_t *inner);

/* The kernel is being told of `inner` in the snapshot, once more: the number to tell it, and its
 * generation. -ENOMEM. The lock is not held. */
int inside_give(struct inside *inside, struct guest *guest, uint64_t inner, uint64_t *outer,
                uint64_t *generation);
/* The kernel has forgotten `count` times, or was never told. Neither is the lock held here. */
void inside_forget(struct inside *inside, uint64_t outer, uint64_t count);

/* The entry of a node is about to be answered: has it the number that the kernel is to know. Nothing
 * to do on the mount itself. -ENOMEM. */
int inside_entry(struct fs *fs, struct fuse_entry_param *entry);
/* It was not, after all; `ino` as inside_entry has left it. */
void inside_entry_failed(struct fs *fs, uint64_t ino);

/* One user more of the snapshot that `fs` is the view of, if it is one; one less. The fs may be
 * gone after that. The lock is not held. */
void inside_hold(struct fs *fs);
void inside_let_go(struct fs *fs);

/* Answer an OPEN or OPENDIR; an open file is a user until its RELEASE. 0; a negative errno where
 * nobody got it. */
int inside_reply_open(struct fs *fs, fuse_req_t req, const struct fuse_file_info *fi);

#endif
