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

/* Read vector `id`, whole, to `to`. 0, -ENOENT (nothing is said) where it was
 * removed, or a negative errno after having said what is wrong. `folder_fd` is
 * what vectors_open_folder gave. */
int vectors_read(struct session *session, int folder_fd, uint64_t id, void *to);

/* The folder vectors/ of a live mount, to be closed by the caller; -1 for a store
 * that is opened directly. 0 or a negative errno after having said it. */
int vectors_open_folder(struct session *session, int *folder_fd);

#endif
