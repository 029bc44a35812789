/*
 * copies.h - what a LOOKUP has read, for the rest of the call that it belongs to.
 *
 * Where others change the store at any time (fs->shared) the kernel keeps nothing, so open(2) sends a
 * LOOKUP, a GETATTR and an OPEN, and each would ask the store. So the LOOKUP reads the vector, and
 * what it found answers one GETATTR and one OPEN (or, that there is none, one CREATE) of the same
 * thread: they are of the same call, or of one that has looked up nothing since. A copy goes with
 * the thread's next request of another kind or for another node, with a commit to the vector made
 * here, and after COPIES_MS. A thread that is not known by a number, being of another pid namespace,
 * has none.
 *
 * Any thread may call these; they wait for nothing. Where the mount has no copies (fs->copies is
 * NULL) they do nothing and find nothing.
 */
#ifndef COPIES_H
#define COPIES_H

#include "fs/vector/handle.h"

/* The requests of one call follow each other at once. */
#define COPIES_MS 100

struct copies;

/* -ENOMEM. */
int copies_new(uint32_t vector_bytes, struct copies **copies);
void copies_free(struct fs *fs, struct copies *copies); /* NULL is allowed */

/* Whether a LOOKUP of thread `tid` is to read the whole vector. */
bool copies_wanted(const struct fs *fs, pid_t tid);

/* How often `id`, or another that it stands for, was committed here: from before it is read. */
uint32_t copies_stamp(const struct fs *fs, uint64_t id);
/* A LOOKUP of thread `tid` has found `version` (NULL: none), which is shared. */
void copies_keep(struct fs *fs, uint64_t id, pid_t tid, uint32_t stamp, struct version *version);

/* For an OPEN: the version, to be given to version_drop; or NULL. */
struct version *copies_take(struct fs *fs, uint64_t id, pid_t tid);
/* For a CREATE: whether it was found not to be there. */
bool copies_take_none(struct fs *fs, uint64_t id, pid_t tid);
/* For a GETATTR, once: its attributes. */
bool copies_stat(struct fs *fs, uint64_t id, pid_t tid, struct quiver_attr *attr);

/* Thread `tid` has sent a request that is none of these. */
void copies_drop(struct fs *fs, pid_t tid);
/* The same of its being removed, or replaced by a rename. */
uint32_t copies_loss_stamp(const struct fs *fs, uint64_t id);
void copies_lost(struct fs *fs, uint64_t id);
/* `id` was changed here; before whoever did it is answered. */
void copies_changed(struct fs *fs, uint64_t id);

#endif
