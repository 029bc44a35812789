/* The snapshots of a store in a local folder: made, removed, told of. */
#include <string.h>

#include "engine/commit/snapshot.h"
#include "engine/store/local.h"
#include "engine/store/store.h"

int local_snapshot_create(struct quiver *store, const char *name, struct quiver_snapshot *made)
{
	struct quiver_description description;

	local_describe(store, &description);
	return snapshot_create(&store->checkpointer, name, NULL, &description, made);
}

int local_snapshot_remove(struct quiver *store, const char *name)
{
	return snapshot_remove(&store->checkpointer, name);
}

int local_snapshots(struct quiver *store, struct quiver_snapshot **snapshots, size_t *count)
{
	return versions_tell(&store->catalog.versions, snapshots, count);
}

int local_snapshot_stat(struct quiver *store, const char *name, struct quiver_snapshot *snapshot)
{
	return versions_tell_one(&store->catalog.versions, name, snapshot);
}
