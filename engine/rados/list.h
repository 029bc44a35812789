/*
 * list.h - listings: calls of the kind; kind.h. A listing is a copy of all IDs, ascending, made when
 * it is opened.
 */
#ifndef QUIVER_RADOS_LIST_H
#define QUIVER_RADOS_LIST_H

#include "engine/store/kind.h"

int list_open(struct quiver *store, unsigned flags, struct quiver_list **list);
int64_t list_read(struct quiver *store, struct quiver_list *list, uint64_t position, unsigned flags,
                  uint64_t *ids, size_t max);
uint64_t list_count(struct quiver *store, const struct quiver_list *list);
void list_close(struct quiver *store, struct quiver_list *list);
/* As the last listing has found, with own changes since; 0 before the first. */
uint64_t list_count_all(struct quiver *store);

#endif
