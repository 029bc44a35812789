/*
 * view.h - vectors/ID.npy and vectors/ID.txt: one vector as a file of another form; and a second
 * node of vectors/ID, for who opens it while the kernel caches another version (gone.h).
 *
 * Views are found by name and not listed. They keep nothing: what is read is made of the
 * vector when the file is opened, what is written is taken apart at fsync or close and
 * committed as the vector, whole or not at all.
 *
 * Node numbers: two forms of nearly 2^64 IDs do not fit into what is left of 64 bits. So
 * each lookup hands out a number of its own, and what it names is remembered until the
 * kernel forgets it; of those that nobody has open the oldest are dropped beyond VIEWS_MAX,
 * and the kernel, told ESTALE, looks up again. Therefore every open has an inode of its own
 * in the kernel, with its own pages and its own size: no reader meets the bytes or the
 * length of another version, and no writer changes what a reader sees. Names and attributes
 * have no timeout, so nothing else can be stale. (An inode can be opened twice all the same,
 * by way of /proc/PID/fd: then both see the version of the first.)
 *
 * One lock guards the table and the lists of handles; it is held for short steps in memory.
 */
#ifndef VIEW_H
#define VIEW_H

#include <pthread.h>

#include "fs/base/attempt.h"
#include "fs/base/fs.h"
#include "fs/base/handoff.h"
#include "fs/base/tree.h"
#include "fs/vector/handle.h"

/* Nodes that are remembered though nobody has them open: 8 MiB. */
#define VIEWS_MAX 65536u

struct view {
	uint64_t ino;
	uint64_t id;
	enum tree_form form;
	uint64_t lookups; /* views' lock; how often the kernel was given the number */
	unsigned users; /* views' lock; handles and requests under way: it stays */
	struct view_handle *handles; /* views' lock; newest first */
	struct view *by_ino; /* views' lock; chain */
	struct view *newer, *older; /* views' lock; list of those without users */
	struct quiver_attr found[]; /* TREE_FORM_SAME: one, as the lookup found it; constant */
};

/* One open file. */
struct view_handle {
	struct handoff handoff; /* given before each reply that others may follow */
	struct view *view;
	struct view_handle *next; /* views' lock */
	pid_t tid; /* the thread that opened it */
	uid_t uid; /* constant; and whose it was: pays for the bytes */

	/* A reader's: constant once it is open. A writer's: under `lock`, which is held
	 * while it commits, so on workers only. */
	pthread_mutex_t lock;
	char *bytes;
	size_t size, room;
	struct quiver_attr attr; /* a reader's: of its version */
	uint64_t lsn; /* a reader's: its version */

	/* A writer's. */
	struct handle *vector; /* its handle on the vector; NULL for readers */
	bool loaded; /* lock; `bytes` is what the file holds */
	bool dirty; /* lock; which has not been committed */
	bool reported; /* lock; it was reported as it is now */
	bool meant; /* lock; what it holds is: it was written, or made the vector */
	int failed; /* lock; what its last commit failed with */
	/* What others are told of it without waiting for a commit. */
	bool touched; /* views' lock; has had a request since it was opened */
	bool cut; /* views' lock; O_TRUNC: empty from the next step on */
	bool shown; /* views' lock; the size below is that of the file */
	size_t shown_size; /* views' lock */
	/* A RELEASE on its way through a worker, which must not fail for memory. */
	struct attempt release;
};

int views_new(struct views **views); /* -ENOMEM */
/* Also drops every handle that is left, as after an aborted connection. Before
 * nodes_free; no request is under way. */
void views_free(struct fs *fs, struct views *views);

void views_lock(struct fs *fs);
void views_unlock(struct fs *fs);

/* A new node for a lookup that has found `attr`, counted as looked up once, with one user.
 * -ENOMEM. */
int view_add(struct fs *fs, uint64_t id, enum tree_form form, const struct quiver_attr *attr,
             struct view **view);
/* The node `ino`, with one user more, or NULL. */
struct view *view_get(struct fs *fs, uint64_t ino);
/* One user less. */
void view_put(struct fs *fs, struct view *view);
/* The kernel has been given the number once more. */
void view_looked_up(struct fs *fs, struct view *view);
/* The kernel has forgotten `count` lookups of a node. Any thread. */
void view_forget(struct fs *fs, fuse_ino_t ino, uint64_t count);

/* The handle that a request came with. */
static inline struct view_handle *view_handle_of(const struct fuse_file_info *fi)
{
	struct view_handle *h = (struct view_handle *)(uintptr_t)fi->fh;

	handoff_take(&h->handoff);
	return h;
}

/* Put a handle on its view's list; its user becomes the handle's. Take it off. */
void view_attach(struct fs *fs, struct view_handle *h);
void view_detach(struct fs *fs, struct view_handle *h);
/* The handle that a request without one is taken to mean: a writer of thread `tid`, else the
 * newest writer, else the newest; NULL. The caller holds the lock. */
struct view_handle *view_pick(const struct view *view, pid_t tid);

/* The length of the text of a version, as long as it is remembered. False otherwise. */
bool view_known_size(struct fs *fs, uint64_t id, uint64_t lsn, size_t *size);
void view_remember_size(struct fs *fs, uint64_t id, uint64_t lsn, size_t size);

#endif
