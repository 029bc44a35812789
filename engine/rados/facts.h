/*
 * facts.h - what a collection tells of itself and of its cluster.
 */
#ifndef QUIVER_RADOS_FACTS_H
#define QUIVER_RADOS_FACTS_H

#include "engine/rados/collection.h"

/* As quiver_facts. Without QUIVER_NOWAIT a monitor is asked, for op_timeout at most. */
int facts_tell(struct quiver *store, unsigned flags, char **text);

#endif
