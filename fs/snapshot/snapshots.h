/*
 * snapshots.h - the snapshots that somebody looks at, and the views of those that are open.
 *
 * The store of a snapshot is opened, with a struct fs over it, when something in it is asked for, by
 * a worker. It stays open while a request is under way or a file is open in it, and then until
 * SNAPSHOTS_IDLE_MAX others have been looked at since. What the kernel has cached of one that was
 * closed is right all the same: nothing in a snapshot changes, and it is opened again when it is
 * needed.
 *
 * One that was removed has no name any more, and nothing new is opened in it. What is open reads on.
 */
#ifndef SNAPSHOTS_H
#define SNAPSHOTS_H

#include "fs/base/fs.h"
#include "fs/base/inside.h"

/* Views that are open and not used: each some 270 KiB. */
#define SNAPSHOTS_IDLE_MAX 64u
/* All that are open: whoever has a file open in each of more snapshots is refused. */
#define SNAPSHOTS_OPEN_MAX 1024u

struct snapshot_view; /* snapshot_view.h */

struct snapshot {
	struct guest guest;
	struct quiver_snapshot is; /* as it was found; constant */
	uint64_t inode_key; /* constant */
	bool removed; /* inside's lock */
	bool opening; /* inside's lock; a worker is about it */
	struct snapshot_view *view; /* inside's lock; NULL: it is not open */
	struct snapshot
		*next; /* inside's lock; chain of the same hash; of those that are not removed */
	struct snapshot *after, **back; /* inside's lock; list of all */
	struct snapshot *newer,
		*older; /* inside's lock; list of those that are open and not used */
};

/* -ENOMEM, errors of the store. */
int snapshots_new(struct fs *fs, struct snapshots **snapshots);
/* Closes all; no request is under way. */
void snapshots_free(struct fs *fs, struct snapshots *snapshots);

/* When a snapshot came or went last. One does now. */
int64_t snapshots_mtime(const struct snapshots *snapshots);
void snapshots_changed(struct snapshots *snapshots);

/* What is known of the snapshot that `found` tells of, with one user more. -ENOMEM. */
int snapshots_get(struct fs *fs, const struct quiver_snapshot *found, struct snapshot **snapshot);
/* One user less. */
void snapshot_put(struct fs *fs, struct snapshot *snapshot);
/* It was removed from the store. */
void snapshots_removed(struct fs *fs, const char *name);

/* What its folder is, which is known without opening it. */
void snapshot_stat(struct fs *fs, struct snapshot *snapshot, struct stat *st);
/* The same as an entry, of which the kernel has a lookup now. -ENOMEM. */
int snapshot_entry(struct fs *fs, struct snapshot *snapshot, struct fuse_entry_param *entry);
/* st_ino of the folder of a snapshot. */
uint64_t snapshot_inode(const struct quiver_snapshot *snapshot);

/* A request in a snapshot, on a node of it: the snapshot stays for as long. */
struct visit {
	struct snapshot *snapshot;
	struct fs *fs; /* its view; NULL where it was not asked for */
	uint64_t ino; /* the inner number */
};

enum visit_kind {
	VISIT_FOLDER, /* the view is not needed for its own folder */
	VISIT_OPEN, /* something is open in it, or was told of */
	VISIT_NEW, /* something is looked up or opened: not in one that was removed */
};

/* Begin one by the number that the kernel knows. -EAGAIN where that would wait for its store and
 * must not; -ESTALE no such node, or it was removed; errors of opening, which are told. */
int visit_begin(struct fs *fs, uint64_t outer, enum visit_kind kind, bool may_wait,
                struct visit *visit);
void visit_end(struct fs *fs, struct visit *visit);

/* The kernel has forgotten a node. */
void snapshots_forget(struct fs *fs, fuse_ino_t outer, uint64_t count);

#endif
