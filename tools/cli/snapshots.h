/*
 * snapshots.h - the snapshots of a store, opened directly or through its live mount.
 */
#ifndef SNAPSHOTS_H
#define SNAPSHOTS_H

#include "engine/quiver.h"
#include "tools/cli/session.h"

#include <stddef.h>

/* The folder of a mount that has them. */
#define SNAPSHOTS_FOLDER "snapshots"

struct cli_snapshots {
	struct quiver_snapshot *list; /* malloc'd; oldest first */
	size_t count;
};

/* All of them, to be given back with cli_snapshots_free. 0, or a negative errno after having said what
 * is wrong. */
int cli_snapshots_get(struct session *session, struct cli_snapshots *snapshots);
void cli_snapshots_free(struct cli_snapshots *snapshots);

/* Make one; *made tells of it as far as it is known, and is zeros else. 0, or a negative errno after
 * having said what is wrong. */
int cli_snapshots_create(struct session *session, const char *name, struct quiver_snapshot *made);

/* Remove one. 0, or a negative errno after having said what is wrong. */
int cli_snapshots_remove(struct session *session, const char *name);

/* Say of a collection in a cluster that it has none. */
void cli_snapshots_say_none(const char *subject);

#endif
