/*
 * repair.h - moving aside a vector that contradicts itself; FORMAT.md, "lost+found".
 */
#ifndef QUIVER_RADOS_REPAIR_H
#define QUIVER_RADOS_REPAIR_H

#include "engine/rados/collection.h"

/*
 * Of vector `id`, which was found damaged: its bytes and its row, as they are, go to an object of
 * their own, whose name *to gets, and only then, if its row is still the same, the vector goes. 0;
 * -ENOENT it is whole or gone by now, somebody else was there before: nothing has changed; errors of a call that writes
 * (reported).
 */
int repair_move_aside(struct collection *collection, uint64_t id, char to[OBJECT_NAME_BYTES]);

#endif
