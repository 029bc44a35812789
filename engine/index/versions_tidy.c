/* What a checkpoint does with the rows that snapshots have: they go to disk, and those that no snapshot
 * has any more go. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/index/versions.h"

#define RECORDS_AT_ONCE 256u /* on the stack: 28 KiB */
/* A file of fewer records is not written anew for their sake: it is smaller than a vector column's
 * first growth. */
#define TIDY_RECORDS_MIN 4096u
/* Writers wait for so many at most: some ten microseconds. */
#define ITEMS_AT_ONCE 1024u
/* A table of fewer that is full is made larger in less than a millisecond. */
#define CROWDED_MIN 16384u
/* Memory for so many pending rows, 224 KiB, is not worth giving back. */
#define PENDING_KEPT 4096u

/* Copy pending rows from number `done` of them on that ended up to `lsn`; how many. */
static size_t take_pending(struct versions *versions, size_t done, uint64_t lsn,
                           struct version_record records[RECORDS_AT_ONCE])
{
	size_t n = 0;

	pthread_rwlock_rdlock(&versions->lock);
	for (; n < RECORDS_AT_ONCE && done + n < versions->pending; n++) {
		size_t first = versions->table.count - versions->pending;
		const struct version *item = &versions->table.items[first + done + n];

		if (item->until > lsn)
			break;
		records[n] = (struct version_record){ .slot = item->slot,
			                              .id = item->id,
			                              .until = item->until,
			                              .row = versions->pending_rows[done + n],
			                              .kind = (enum version_kind)item->kind };
	}
	pthread_rwlock_unlock(&versions->lock);
	return n;
}

/* After many have gone to the file the memory of their rows goes back. Lock and writer lock held. */
static void shrink_pending(struct versions *versions)
{
	size_t capacity = 2 * (versions->pending + versions->promised);
	struct meta_row *shrunk;

	if (capacity < PENDING_KEPT)
		capacity = PENDING_KEPT;
	if (versions->pending_capacity < 2 * capacity)
		return;
	shrunk = realloc(versions->pending_rows, capacity * sizeof(*shrunk));
	if (!shrunk)
		return;
	versions->pending_rows = shrunk;
	versions->pending_capacity = capacity;
}

/* The first `count` of the pending ones are in the file, from record `place` on. Nobody reads where
 * before they are no longer pending, so writers need not wait for all of it. */
static void settle(struct versions *versions, size_t count, uint64_t place)
{
	size_t first, done = 0;

	while (done < count) {
		size_t end = count - done < ITEMS_AT_ONCE ? count : done + ITEMS_AT_ONCE;

		pthread_mutex_lock(versions->writer_lock);
		first = versions->table.count - versions->pending;
		for (; done < end; done++)
			versions->table.items[first + done].place = (uint32_t)(place + done);
		pthread_mutex_unlock(versions->writer_lock);
	}
	pthread_mutex_lock(versions->writer_lock);
	pthread_rwlock_wrlock(&versions->lock);
	versions->pending -= count;
	memmove(versions->pending_rows, versions->pending_rows + count,
	        versions->pending * sizeof(*versions->pending_rows));
	shrink_pending(versions);
	pthread_rwlock_unlock(&versions->lock);
	pthread_mutex_unlock(versions->writer_lock);
}

int versions_persist(struct versions *versions, uint64_t lsn)
{
	struct version_record records[RECORDS_AT_ONCE];
	uint64_t place = versions->file.records;
	size_t done = 0;
	size_t n;
	int r = 0;

	while (r == 0 && (n = take_pending(versions, done, lsn, records)) > 0) {
		r = versions_file_append(&versions->file, records, n);
		done += n;
	}
	if (r == 0 && done > 0)
		r = versions_file_sync(&versions->file);
	if (r)
		versions->file.records = place; /* once more, at the same place */
	else if (done > 0)
		settle(versions, done, place);
	return r;
}

/* What is left when those are gone that no snapshot has. */
struct tidying {
	struct versions_table table;
	size_t seen; /* items of the former one that were looked at */
	struct version *gone; /* owned; of them the superseded ones, whose slots come free */
	size_t gone_count;
	size_t filed; /* of those that are left, how many are in the file */
};

static void tidying_free(struct tidying *tidying)
{
	versions_table_free(&tidying->table);
	free(tidying->gone);
}

/* Look at each that is in the file; the pending ones are few, and go the next time. Writers add others
 * meanwhile, behind them, and may move all of them. Checkpoint lock. */
static void look_at_each(struct versions *versions, struct tidying *tidying,
                         void (*look)(struct tidying *tidying, const struct versions *versions,
                                      const struct version *item))
{
	size_t i = 0;

	while (i < tidying->seen) {
		size_t left = tidying->seen - i;
		size_t end = left < ITEMS_AT_ONCE ? tidying->seen : i + ITEMS_AT_ONCE;

		pthread_rwlock_rdlock(&versions->lock);
		for (; i < end; i++)
			look(tidying, versions, &versions->table.items[i]);
		pthread_rwlock_unlock(&versions->lock);
	}
}

static void count_one(struct tidying *tidying, const struct versions *versions,
                      const struct version *item)
{
	if (versions_is_wanted(versions, item))
		tidying->filed++;
	else if (item->kind == VERSION_SUPERSEDED)
		tidying->gone_count++;
}

static void sort_one(struct tidying *tidying, const struct versions *versions,
                     const struct version *item)
{
	if (versions_is_wanted(versions, item)) {
		struct snapshot *owner = versions_sole_owner(versions, item);

		versions_table_add(&tidying->table, item);
		if (owner) {
			owner->counted_records++;
			owner->counted_vectors += item->kind == VERSION_SUPERSEDED;
		}
	} else if (item->kind == VERSION_SUPERSEDED) {
		tidying->gone[tidying->gone_count++] = *item;
	}
}

/* What is left, and what has gone. 0 or -ENOMEM. */
static int sort_out(struct versions *versions, struct tidying *tidying)
{
	size_t spare;
	int r;

	memset(tidying, 0, sizeof(*tidying));
	pthread_rwlock_rdlock(&versions->lock);
	tidying->seen = versions->table.count - versions->pending;
	spare = versions->pending + ITEMS_AT_ONCE;
	for (size_t i = 0; i < versions->snapshot_count; i++)
		versions->snapshots[i]->counted_records = versions->snapshots[i]->counted_vectors =
			0;
	pthread_rwlock_unlock(&versions->lock);
	look_at_each(versions, tidying, count_one);
	r = versions_table_make(&tidying->table, 2 * tidying->filed + spare);
	tidying->gone = malloc((tidying->gone_count + 1) * sizeof(*tidying->gone));
	if (r == 0 && !tidying->gone)
		r = -ENOMEM;
	if (r) {
		tidying_free(tidying);
		return r;
	}
	tidying->gone_count = 0;
	look_at_each(versions, tidying, sort_one);
	return 0;
}

/* A file of those that are left, which get their places in it. */
static int write_anew(struct versions *versions, struct tidying *tidying,
                      struct versions_file *anew)
{
	struct version_record records[RECORDS_AT_ONCE];
	size_t n = 0;
	int r = versions_file_begin_anew(&versions->file, anew);

	if (r)
		return r;
	for (size_t i = 0; r == 0 && i < tidying->filed; i++) {
		r = versions_file_read(&versions->file, tidying->table.items[i].place, &records[n]);
		n++;
		if (r == 0 && (n == RECORDS_AT_ONCE || i + 1 == tidying->filed)) {
			r = versions_file_append(anew, records, n);
			n = 0;
		}
	}
	if (r == 0) /* while nobody waits for it */
		r = versions_file_finish(anew);
	if (r)
		versions_file_give_up(anew);
	return r;
}

/* Whether the file has more records of no use than of use. */
static bool is_mostly_waste(const struct versions *versions, const struct tidying *tidying)
{
	return versions->file.records >= TIDY_RECORDS_MIN &&
	       tidying->filed < versions->file.records / 2;
}

/* More may have come than there was room for then. Writer lock. */
static int make_place(const struct versions *versions, struct tidying *tidying)
{
	const size_t want =
		tidying->table.count + versions->table.count - tidying->seen + versions->promised;
	struct versions_table larger;
	int r;

	if (want <= tidying->table.capacity)
		return 0;
	r = versions_table_copy(&tidying->table, want, &larger);
	if (r)
		return r;
	versions_table_free(&tidying->table);
	tidying->table = larger;
	return 0;
}

/* What was sorted out takes the place of what there is, with those that have come since. Writer lock and
 * lock held. */
static void take_over(struct versions *versions, struct tidying *tidying)
{
	struct versions_table former = versions->table;

	for (size_t i = tidying->seen; i < former.count; i++)
		versions_table_add(&tidying->table, &former.items[i]);
	versions->table = tidying->table;
	tidying->table = former;
	atomic_fetch_sub(&versions->held, tidying->gone_count);
	for (size_t i = 0; i < versions->snapshot_count; i++) {
		versions->snapshots[i]->own_vectors = versions->snapshots[i]->counted_vectors;
		versions->snapshots[i]->own_records = versions->snapshots[i]->counted_records;
	}
	for (size_t i = tidying->filed; i < versions->table.count; i++)
		versions_count_own(versions, &versions->table.items[i]);
}

/* As much spare room as there is, which commits have been promised. Writer lock. */
static int keep_promise(const struct versions *versions, struct versions_file *anew)
{
	uint64_t spare = versions->file.room > versions->file.records
	                         ? versions->file.room - versions->file.records
	                         : 0;

	return versions_file_make_room(anew, anew->records + spare);
}

/* Writer lock and lock held. Where it fails the file stays as it was, and that is no error. */
static bool replace_file(struct versions *versions, struct tidying *tidying,
                         struct versions_file *anew, int *former_fd)
{
	uint64_t waste = versions->file.records - tidying->filed;

	if (keep_promise(versions, anew) != 0) {
		versions_file_give_up(anew);
		return false;
	}
	if (versions_file_swap(&versions->file, anew, former_fd) != 0)
		return false;
	for (size_t i = 0; i < tidying->filed; i++)
		versions->table.items[i].place = (uint32_t)i;
	versions->recorded -= waste;
	return true;
}

static int put_in_place(struct versions *versions, struct tidying *tidying, struct version **gone,
                        size_t *count)
{
	struct versions_file anew;
	bool is_new = is_mostly_waste(versions, tidying) &&
	              write_anew(versions, tidying, &anew) == 0;
	int former_fd;
	int r;

	pthread_mutex_lock(versions->writer_lock);
	r = make_place(versions, tidying);
	if (r) {
		pthread_mutex_unlock(versions->writer_lock);
		if (is_new)
			versions_file_give_up(&anew);
		return r;
	}
	pthread_rwlock_wrlock(&versions->lock);
	take_over(versions, tidying);
	*gone = tidying->gone;
	*count = tidying->gone_count;
	tidying->gone = NULL;
	if (is_new)
		is_new = replace_file(versions, tidying, &anew, &former_fd);
	/* One that was pending when a snapshot was dropped may have been of that alone. */
	versions->untidy |= versions->added - versions->pending < versions->added_at_drop;
	pthread_rwlock_unlock(&versions->lock);
	pthread_mutex_unlock(versions->writer_lock);
	/* Where this fails it is not known which of the two is there after a crash. */
	return is_new ? versions_file_settle(&versions->file, former_fd) : 0;
}

/* From here on whoever leaves a snapshot that was removed says so anew. Writer lock not held. */
static void begin(struct versions *versions)
{
	pthread_mutex_lock(versions->writer_lock);
	pthread_rwlock_wrlock(&versions->lock);
	versions->untidy = false;
	pthread_rwlock_unlock(&versions->lock);
	versions_drop_removed(versions);
	pthread_mutex_unlock(versions->writer_lock);
}

static void be_untidy(struct versions *versions)
{
	pthread_rwlock_wrlock(&versions->lock);
	versions->untidy = true;
	pthread_rwlock_unlock(&versions->lock);
}

/* More than half full: made larger here, in pieces, so that it seldom is by a commit, at once. */
static bool is_crowded(struct versions *versions)
{
	bool crowded;

	pthread_rwlock_rdlock(&versions->lock);
	crowded = versions->table.count > CROWDED_MIN &&
	          versions->table.count > versions->table.capacity / 2;
	pthread_rwlock_unlock(&versions->lock);
	return crowded;
}

int versions_tidy(struct versions *versions, struct version **gone, size_t *count)
{
	const bool untidy = versions_is_untidy(versions);
	struct tidying tidying;
	int r;

	*gone = NULL;
	*count = 0;
	if (!untidy && !is_crowded(versions))
		return 0;
	begin(versions);
	r = sort_out(versions, &tidying);
	if (r == 0) {
		r = put_in_place(versions, &tidying, gone, count);
		tidying_free(&tidying);
	}
	if (*gone)
		return r;
	be_untidy(versions);
	return untidy ? r : 0; /* else a commit makes it larger */
}

int versions_drop_file(struct versions *versions)
{
	struct versions_file file;
	bool drop;
	int r;

	/* Without a snapshot nobody else looks into it, so nobody waits for its removal. */
	pthread_mutex_lock(versions->writer_lock);
	pthread_rwlock_wrlock(&versions->lock);
	file = versions->file;
	drop = versions->snapshot_count == 0 && versions->table.count == 0 && file.fd >= 0;
	if (drop)
		versions->file.fd = -1;
	pthread_rwlock_unlock(&versions->lock);
	pthread_mutex_unlock(versions->writer_lock);
	if (!drop)
		return 0;
	r = versions_file_remove(&file);
	pthread_mutex_lock(versions->writer_lock);
	pthread_rwlock_wrlock(&versions->lock);
	versions->file = file;
	versions->recorded = file.records;
	pthread_rwlock_unlock(&versions->lock);
	pthread_mutex_unlock(versions->writer_lock);
	return r;
}
