/* The snapshots that there are; version_rows.c has the rows. */
#include "engine/index/versions.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void versions_init(struct versions *versions, pthread_mutex_t *writer_lock)
{
	pthread_rwlockattr_t attr;

	versions->writer_lock = writer_lock;
	versions->file.fd = -1;
	pthread_rwlockattr_init(&attr);
	/* Who commits waits for those who look now, and not for all who will. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&versions->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

void versions_destroy(struct versions *versions)
{
	for (size_t i = 0; i < versions->snapshot_count; i++)
		free(versions->snapshots[i]);
	free(versions->snapshots);
	versions_table_free(&versions->table);
	free(versions->pending_rows);
	pthread_rwlock_destroy(&versions->lock);
}

/* ---- snapshots ---- */

int versions_snapshot_room(struct versions *versions)
{
	size_t capacity = versions->snapshot_capacity;
	struct snapshot **grown;

	if (versions->snapshot_count >= QUIVER_SNAPSHOTS_MAX)
		return -ENOSPC;
	if (versions->snapshot_count < capacity)
		return 0;
	capacity = capacity ? 2 * capacity : 16;
	grown = malloc(capacity * sizeof(struct snapshot *));
	if (!grown)
		return -ENOMEM;
	pthread_rwlock_wrlock(&versions->lock);
	if (versions->snapshot_count > 0)
		memcpy(grown, versions->snapshots,
		       versions->snapshot_count * sizeof(struct snapshot *));
	free(versions->snapshots);
	versions->snapshots = grown;
	versions->snapshot_capacity = capacity;
	pthread_rwlock_unlock(&versions->lock);
	return 0;
}

/* Where the first snapshot stands that may have a row from `from` on: lsn >= from. Lock held. */
static size_t first_from(const struct versions *versions, uint64_t from)
{
	size_t low = versions->damaged_count;
	size_t high = versions->snapshot_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (versions->snapshots[middle]->page.lsn < from)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t versions_count_having(const struct versions *versions, uint64_t from, uint64_t until,
                             struct snapshot **first)
{
	size_t at = first_from(versions, from);
	size_t end = first_from(versions, until);

	*first = at < end ? versions->snapshots[at] : NULL;
	return end > at ? end - at : 0;
}

bool versions_is_wanted(const struct versions *versions, const struct version *version)
{
	uint64_t from = version->kind == VERSION_SUPERSEDED ? version->born : version->from;
	size_t at = first_from(versions, from);

	return (versions->damaged_count > 0 && from <= versions->damaged_lsn) ||
	       (at < versions->snapshot_count &&
	        versions->snapshots[at]->page.lsn < version->until);
}

/* Lock held, and the writer lock. */
static void set_newest(struct versions *versions)
{
	uint64_t newest = 0;

	versions->damaged_lsn = 0;
	for (size_t i = 0; i < versions->damaged_count && i < versions->snapshot_count; i++)
		if (versions->snapshots[i]->page.lsn > versions->damaged_lsn)
			versions->damaged_lsn = versions->snapshots[i]->page.lsn;
	newest = versions->damaged_lsn;
	if (versions->snapshot_count > versions->damaged_count &&
	    versions->snapshots[versions->snapshot_count - 1]->page.lsn > newest)
		newest = versions->snapshots[versions->snapshot_count - 1]->page.lsn;
	atomic_store_explicit(&versions->newest_lsn, newest, memory_order_release);
}

/* Whether it was made later than another of the same LSN. */
static bool is_newer(const struct snapshot *one, const struct snapshot *other)
{
	return one->page.lsn == other->page.lsn && one->page.created_ns > other->page.created_ns;
}

void versions_snapshot_add(struct versions *versions, struct snapshot *snapshot)
{
	size_t at;

	pthread_rwlock_wrlock(&versions->lock);
	assert(versions->snapshot_count < versions->snapshot_capacity);
	/* Behind the older ones of the same LSN. */
	at = snapshot->damaged ? versions->damaged_count
	                       : first_from(versions, snapshot->page.lsn + 1);
	while (!snapshot->damaged && at > versions->damaged_count &&
	       is_newer(versions->snapshots[at - 1], snapshot))
		at--;
	memmove(&versions->snapshots[at + 1], &versions->snapshots[at],
	        (versions->snapshot_count - at) * sizeof(struct snapshot *));
	versions->snapshots[at] = snapshot;
	versions->snapshot_count++;
	versions->damaged_count += snapshot->damaged;
	set_newest(versions);
	pthread_rwlock_unlock(&versions->lock);
}

void versions_snapshot_made(struct versions *versions, struct snapshot *snapshot)
{
	pthread_rwlock_wrlock(&versions->lock);
	snapshot->making = false;
	pthread_rwlock_unlock(&versions->lock);
}

void versions_snapshot_removed(struct versions *versions, struct snapshot *snapshot)
{
	pthread_rwlock_wrlock(&versions->lock);
	snapshot->removed = true;
	versions->untidy = true;
	pthread_rwlock_unlock(&versions->lock);
}

/* Those that were removed and that nobody has open. Lock and writer lock held. */
static void drop_removed(struct versions *versions)
{
	size_t kept = 0;

	for (size_t i = 0; i < versions->snapshot_count; i++) {
		struct snapshot *snapshot = versions->snapshots[i];

		if (!snapshot->removed || snapshot->users > 0) {
			versions->snapshots[kept++] = snapshot;
			continue;
		}
		versions->damaged_count -= snapshot->damaged;
		versions->added_at_drop = versions->added;
		free(snapshot);
	}
	versions->snapshot_count = kept;
	set_newest(versions);
}

void versions_snapshot_forget(struct versions *versions, struct snapshot *snapshot)
{
	bool added = false;

	pthread_rwlock_wrlock(&versions->lock);
	for (size_t i = 0; i < versions->snapshot_count; i++)
		added = added || versions->snapshots[i] == snapshot;
	if (added) {
		snapshot->removed = true;
		versions->untidy = true; /* rows may have ended since */
		drop_removed(versions);
	} else {
		free(snapshot);
	}
	pthread_rwlock_unlock(&versions->lock);
}

void versions_drop_removed(struct versions *versions)
{
	pthread_rwlock_wrlock(&versions->lock);
	drop_removed(versions);
	pthread_rwlock_unlock(&versions->lock);
}

/* Lock held. */
static bool is_there(const struct snapshot *snapshot)
{
	return !snapshot->removed && !snapshot->making;
}

/* Lock held. */
static struct snapshot *find_snapshot(const struct versions *versions, const char *name)
{
	for (size_t i = 0; i < versions->snapshot_count; i++)
		if (is_there(versions->snapshots[i]) &&
		    strcmp(versions->snapshots[i]->name, name) == 0)
			return versions->snapshots[i];
	return NULL;
}

struct snapshot *versions_snapshot(struct versions *versions, const char *name, bool use)
{
	struct snapshot *snapshot;

	if (use)
		pthread_rwlock_wrlock(&versions->lock);
	else
		pthread_rwlock_rdlock(&versions->lock);
	snapshot = find_snapshot(versions, name);
	if (use && snapshot)
		snapshot->users++;
	pthread_rwlock_unlock(&versions->lock);
	return snapshot;
}

void versions_snapshot_release(struct versions *versions, struct snapshot *snapshot)
{
	pthread_rwlock_wrlock(&versions->lock);
	assert(snapshot->users > 0);
	snapshot->users--;
	if (snapshot->removed && snapshot->users == 0)
		versions->untidy = true;
	pthread_rwlock_unlock(&versions->lock);
}

bool versions_any(struct versions *versions)
{
	bool any;

	pthread_rwlock_rdlock(&versions->lock);
	any = versions->snapshot_count > 0;
	pthread_rwlock_unlock(&versions->lock);
	return any;
}

bool versions_is_untidy(struct versions *versions)
{
	bool untidy;

	pthread_rwlock_rdlock(&versions->lock);
	untidy = versions->untidy;
	pthread_rwlock_unlock(&versions->lock);
	return untidy;
}

/* Lock held. */
static void tell(const struct versions *versions, const struct snapshot *snapshot,
                 struct quiver_snapshot *told)
{
	memset(told, 0, sizeof(*told));
	memcpy(told->name, snapshot->name, sizeof(told->name));
	told->damaged = snapshot->damaged || snapshot->page.incomplete;
	if (snapshot->damaged)
		return;
	memcpy(told->uuid, snapshot->page.uuid, sizeof(told->uuid));
	told->lsn = snapshot->page.lsn;
	told->count = snapshot->page.count;
	told->slots = snapshot->page.slots_used;
	told->created_ns = snapshot->page.created_ns;
	told->own_vectors = snapshot->own_vectors;
	told->own_bytes = snapshot->own_vectors * versions->vector_bytes +
	                  snapshot->own_records * VERSION_RECORD_BYTES;
}

int versions_tell(struct versions *versions, struct quiver_snapshot **snapshots, size_t *count)
{
	struct quiver_snapshot *told;
	size_t n = 0;

	pthread_rwlock_rdlock(&versions->lock);
	told = malloc((versions->snapshot_count + 1) * sizeof(*told));
	for (size_t i = 0; told && i < versions->snapshot_count; i++)
		if (is_there(versions->snapshots[i]))
			tell(versions, versions->snapshots[i], &told[n++]);
	pthread_rwlock_unlock(&versions->lock);
	*snapshots = told;
	*count = n;
	return told ? 0 : -ENOMEM;
}

int versions_tell_one(struct versions *versions, const char *name, struct quiver_snapshot *snapshot)
{
	const struct snapshot *found;

	pthread_rwlock_rdlock(&versions->lock);
	found = find_snapshot(versions, name);
	if (found)
		tell(versions, found, snapshot);
	pthread_rwlock_unlock(&versions->lock);
	return found ? 0 : -ENOENT;
}

bool versions_tell_most(struct versions *versions, struct quiver_snapshot *most)
{
	struct quiver_snapshot told;
	bool any = false;

	pthread_rwlock_rdlock(&versions->lock);
	for (size_t i = 0; i < versions->snapshot_count; i++) {
		if (!is_there(versions->snapshots[i]))
			continue;
		tell(versions, versions->snapshots[i], &told);
		if (!any || told.own_bytes > most->own_bytes)
			*most = told;
		any = true;
	}
	pthread_rwlock_unlock(&versions->lock);
	return any;
}

uint64_t versions_count(struct versions *versions)
{
	uint64_t count = 0;

	pthread_rwlock_rdlock(&versions->lock);
	for (size_t i = 0; i < versions->snapshot_count; i++)
		count += is_there(versions->snapshots[i]);
	pthread_rwlock_unlock(&versions->lock);
	return count;
}

uint64_t versions_bytes(struct versions *versions)
{
	const struct versions_file *file = &versions->file;
	uint64_t bytes = 0;
	struct stat st;

	pthread_rwlock_rdlock(&versions->lock);
	if (file->fd >= 0 && file->io->stat(file->io, file->fd, &st) == 0)
		bytes = (uint64_t)st.st_blocks * 512;
	pthread_rwlock_unlock(&versions->lock);
	return bytes;
}
