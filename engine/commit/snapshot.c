/* Making a snapshot: a checkpoint, of whose LSN it is, and a file that says so. */
#include "engine/commit/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/latency.h"
#include "engine/base/uuid.h"
#include "engine/disk/snapshot_files.h"

/* Room for so many rows before the first of them ends: 128 KiB. */
#define FIRST_ROOM_RECORDS (2 * VERSIONS_SPARE_RECORDS)

static int new_snapshot(struct checkpointer *checkpointer, const char *name, const uint8_t *uuid,
                        const struct quiver_description *description, struct snapshot **out)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	int r = snapshot ? 0 : -ENOMEM;

	if (r == 0 && uuid)
		memcpy(snapshot->page.uuid, uuid, sizeof(snapshot->page.uuid));
	else if (r == 0)
		r = uuid_random(snapshot->page.uuid);
	if (r) {
		free(snapshot);
		return r;
	}
	memcpy(snapshot->name, name, strlen(name) + 1);
	memcpy(snapshot->page.store_uuid, checkpointer->superblock->now.geometry.uuid,
	       sizeof(snapshot->page.store_uuid));
	snapshot->page.created_ns = clock_realtime_ns();
	snapshot->page.description = *description;
	snapshot->making = true;
	*out = snapshot;
	return 0;
}

/* The file of the rows, and room in it, so that who overwrites the first of them need not wait. */
static int make_versions_file(struct versions *versions)
{
	int r = 0;

	if (versions_any(versions))
		return 0;
	if (versions->file.fd < 0) {
		/* Somebody may want to know how large it is. */
		pthread_rwlock_wrlock(&versions->lock);
		r = versions_file_create(&versions->file);
		pthread_rwlock_unlock(&versions->lock);
	}
	if (r == 0 && versions->file.room < versions->recorded + FIRST_ROOM_RECORDS)
		r = versions_file_make_room(&versions->file,
		                            versions->recorded + FIRST_ROOM_RECORDS);
	return r;
}

static void forget(struct catalog *catalog, struct snapshot *snapshot)
{
	pthread_mutex_lock(&catalog->writer_lock);
	versions_snapshot_forget(&catalog->versions, snapshot);
	pthread_mutex_unlock(&catalog->writer_lock);
}

/* It is there now, and gets its file. Where that fails and is not there it is forgotten. */
static int write_file(struct checkpointer *checkpointer, struct snapshot *snapshot)
{
	struct superblock_file *superblock = checkpointer->superblock;
	struct catalog *catalog = checkpointer->commits->catalog;
	struct versions_file *file = &catalog->versions.file;
	int r = snapshot_files_write(superblock->io, file->dir_fd, snapshot->name, &snapshot->page);
	int undone;

	if (r == 0) {
		versions_snapshot_made(&catalog->versions, snapshot);
		return 0;
	}
	undone = snapshot_files_remove(superblock->io, file->dir_fd, snapshot->name);
	if (undone == 0 || undone == -ENOENT) {
		forget(catalog, snapshot);
	} else {
		versions_snapshot_made(&catalog->versions, snapshot);
		report_add(&catalog->health->report,
		           "snapshots/%s: it could not be made (%s), and what was made could not "
		           "be removed (%s); it may or may not be there; remove it",
		           snapshot->name, quiver_strerror(r), quiver_strerror(undone));
	}
	return r;
}

/* Checkpoint lock. */
static int create(struct checkpointer *checkpointer, const char *name, const uint8_t *uuid,
                  const struct quiver_description *description)
{
	struct catalog *catalog = checkpointer->commits->catalog;
	struct snapshot *snapshot = NULL;
	int r = health_writable(catalog->health);

	if (r == 0 && versions_snapshot(&catalog->versions, name, false))
		r = -EEXIST;
	if (r == 0)
		r = new_snapshot(checkpointer, name, uuid, description, &snapshot);
	if (r == 0)
		r = make_versions_file(&catalog->versions);
	if (r == 0) {
		pthread_mutex_lock(&catalog->writer_lock);
		r = versions_snapshot_room(&catalog->versions);
		pthread_mutex_unlock(&catalog->writer_lock);
	}
	if (r) {
		free(snapshot);
		return r;
	}
	r = checkpoint_run_for(checkpointer, snapshot);
	return r ? r : write_file(checkpointer, snapshot);
}

int snapshot_create(struct checkpointer *checkpointer, const char *name, const uint8_t *uuid,
                    const struct quiver_description *description, struct quiver_snapshot *made)
{
	struct catalog *catalog = checkpointer->commits->catalog;
	int r;

	if (!quiver_snapshot_name_is_valid(name))
		return -EINVAL;
	pthread_mutex_lock(&checkpointer->lock);
	r = create(checkpointer, name, uuid, description);
	if (r == 0 && made)
		r = versions_tell_one(&catalog->versions, name, made);
	pthread_mutex_unlock(&checkpointer->lock);
	row_watch_settle(checkpointer->commits->row_watch);
	return r;
}

int snapshot_remove(struct checkpointer *checkpointer, const char *name)
{
	struct catalog *catalog = checkpointer->commits->catalog;
	struct snapshot *snapshot;
	int r;

	pthread_mutex_lock(&checkpointer->lock);
	r = health_writable(catalog->health);
	snapshot = versions_snapshot(&catalog->versions, name, false);
	if (r == 0 && !snapshot)
		r = -ENOENT;
	if (r == 0)
		r = snapshot_files_remove(checkpointer->superblock->io,
		                          catalog->versions.file.dir_fd, name);
	/* One that is not there is removed, too. */
	if (r == 0 || (r == -ENOENT && snapshot)) {
		versions_snapshot_removed(&catalog->versions, snapshot);
		/* It is gone for good: what cannot be let go of now is at a checkpoint. */
		(void)checkpoint_tidy(checkpointer);
		r = 0;
	}
	pthread_mutex_unlock(&checkpointer->lock);
	row_watch_settle(checkpointer->commits->row_watch);
	return r;
}
