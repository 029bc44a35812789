/*
 * snapshot_list.h - showing the snapshots of a store.
 */
#ifndef SNAPSHOT_LIST_H
#define SNAPSHOT_LIST_H

#include <stdbool.h>

/* A line on stdout for each snapshot of the STORE|MNT `given`, oldest first, or a JSON array of them.
 * 0, or a negative errno after having said what is wrong. */
int snapshot_list(const char *given, bool json);

#endif
