/*
 * vectors.h - reading all vectors of a session, by ID.
 */
#ifndef VECTORS_H
#define VECTORS_H

#include "tools/cli/session.h"

#include <stddef.h>
#include <stdint.h>

/* The IDs present at one moment, ascending. */
struct vectors_list {
	uint64_t *ids;
	size_t count;
};

/* List them: 8 bytes of memory a vector. 0, to be given back with
 * vectors_list_free, or a negative errno after having said what is wrong. */
int vectors_list(struct session *session, struct vectors_list *list);
void vectors_list_free(struct vectors_list *list);

/* So many vectors are read at once, or written: of a store elsewhere as many as keep a cluster busy, a
 * power of two, so that those with IDs that count up are whole objects of it; else one is as good as
 * many. */
size_t vectors_at_once(const struct session *session);

/*
 * Read `count` vectors: row i of `to`, N bytes, is ids[i], attrs[i] its attributes (`attrs` may be
 * NULL), results[i] is 0, or what is wrong with this one: -ENOENT it was removed, -EIO it is damaged,
 * -EACCES it may not be read. `folder_fd` is what vectors_open_folder gave. 0, or a negative errno,
 * with nothing said, of what holds for no single one. Any thread.
 */
int vectors_read(struct session *session, int folder_fd, const uint64_t *ids, size_t count,
                 void *to, struct quiver_attr *attrs, int *results);

/* The folder vectors/ of a live mount, to be closed by the caller; -1 for a store
 * that is opened directly. 0 or a negative errno after having said it. */
int vectors_open_folder(struct session *session, int *folder_fd);

#endif
