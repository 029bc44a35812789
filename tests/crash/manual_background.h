/*
 * manual_background.h - the work of the store's threads, done when a test says so: with it a
 * run can be had again exactly.
 */
#ifndef MANUAL_BACKGROUND_H
#define MANUAL_BACKGROUND_H

#include "engine/quiver.h"

/* What the housekeeper does when it is woken: a segment and room ahead of need. 0 or -errno. */
int manual_background_keep_house(struct quiver *store);
/* What the prefetcher does for who writes fast, whatever the time is: windows over the slots that
 * are taken next, here in the holes, too. Where no files can be mapped, nothing. */
void manual_background_prefetch(struct quiver *store);
/* What the housekeeper does when the commit interval is over. 0 or -errno. */
int manual_background_sync(struct quiver *store);
/* What the thread of an index of nearest neighbours does: until there is nothing more to do at once. Where
 * there is no index, and none is wanted, nothing. */
void manual_background_keep_lists(struct quiver *store);
/* A compaction from begin to end. 0 or -errno. */
int manual_background_compact(struct quiver *store);

#endif
