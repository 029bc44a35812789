/*
 * receiving.h - a store into which a stream is being received: its mark, which keeps all others away
 * from what is live, and what else who receives needs of an open store; FORMAT.md, RECEIVING.
 */
#ifndef QUIVER_RECEIVING_H
#define QUIVER_RECEIVING_H

#include "engine/media/receive_mark.h"
#include "engine/quiver.h"

/* What a whole stream makes lies there until it has all of it. */
#define RECEIVING_SUFFIX ".receiving"

/* As quiver_open of a folder, of one that is marked, too. */
int receiving_open(const char *path, const struct quiver_options *options, struct quiver **out,
                   struct quiver_error *error);

/* Whether an open store is marked, by either sign: 1, 0 or -errno. Any thread, as all here. */
int receiving_is_marked(const struct quiver *store);
/* Why one that is marked is not opened, to `error`. -EINPROGRESS. */
int receiving_refuse(const struct quiver *store, const char *path, struct quiver_error *error);

/* The mark. 0; -ENOENT there is no file; -EUCLEAN, -ENOTSUP, -errno. */
int receiving_read(const struct quiver *store, struct receive_mark *mark);
/* Mark the store, or change its mark, durably. The store's uuid is set in it. 0; -errno: as it was,
 * or after -EIO marked. */
int receiving_write(struct quiver *store, struct receive_mark *mark);
/* Take the mark away, durably. 0; -errno, and it may still be marked. */
int receiving_clear(struct quiver *store);

/* As quiver_snapshot_create, of one that has a uuid already. */
int receiving_snapshot(struct quiver *store, const char *name, const uint8_t uuid[16],
                       struct quiver_snapshot *made);

#endif
