/*
 * snapshot_diff.h - what differs between two snapshots of a store.
 */
#ifndef SNAPSHOT_DIFF_H
#define SNAPSHOT_DIFF_H

#include <stdbool.h>

/*
 * A line on stdout for each ID of the STORE|MNT `given` that differs: "+ ID" where only `newer` has
 * it, "- ID" where only `older`, "~ ID" where it was written again and, with `attributes`, "= ID"
 * where only its attributes differ. 0, or a negative errno after having said what is wrong.
 */
int snapshot_diff(const char *given, const char *older, const char *newer, bool attributes);

#endif
