/* Rows that have ended while a snapshot has them: added, held, looked for. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/index/versions.h"

/* Room in the file is made ahead by as much as there is, within these, so that few commits wait
 * for it: 682 records and 174,762. */
#define ROOM_MIN_BYTES (UINT64_C(64) << 10)
#define ROOM_MAX_BYTES (UINT64_C(16) << 20)
#define PENDING_MIN 256u

/* A larger table: made aside, so that who looks waits for the swap alone. Writer lock. */
static int grow(struct versions *versions, size_t capacity)
{
	struct versions_table former = versions->table;
	struct versions_table table;
	int r = versions_table_copy(&former, capacity, &table);

	if (r)
		return r;
	pthread_rwlock_wrlock(&versions->lock);
	versions->table = table;
	pthread_rwlock_unlock(&versions->lock);
	versions_table_free(&former);
	return 0;
}

static int grow_pending(struct versions *versions, size_t want)
{
	size_t capacity = versions->pending_capacity ? versions->pending_capacity : PENDING_MIN;
	struct meta_row *grown;

	while (capacity < want)
		capacity *= 2;
	pthread_rwlock_wrlock(&versions->lock);
	grown = realloc(versions->pending_rows, capacity * sizeof(*grown));
	if (grown) {
		versions->pending_rows = grown;
		versions->pending_capacity = capacity;
	}
	pthread_rwlock_unlock(&versions->lock);
	return grown ? 0 : -ENOMEM;
}

int versions_make_room(struct versions *versions, size_t count)
{
	const size_t want = versions->table.count + versions->promised + count;
	const size_t pending = versions->pending + versions->promised + count;
	int r = want > versions->table.capacity ? grow(versions, want) : 0;

	if (r == 0 && pending > versions->pending_capacity)
		r = grow_pending(versions, pending);
	return r;
}

int versions_room_on_disk(struct versions *versions, uint64_t count)
{
	const uint64_t least = ROOM_MIN_BYTES / VERSION_RECORD_BYTES;
	const uint64_t most = ROOM_MAX_BYTES / VERSION_RECORD_BYTES;
	uint64_t need = versions->recorded + versions->promised + count;
	uint64_t ahead = need < least ? least : need < most ? need : most;

	if (versions_has_room_on_disk(versions, count))
		return 0;
	if (versions_file_make_room(&versions->file, need + ahead) == 0)
		return 0;
	return versions_file_make_room(&versions->file, need);
}

/* Of one that is superseded the slot counts, whatever its attributes were last. */
static bool is_same(const struct version *a, const struct version *b)
{
	return a->slot == b->slot && a->kind == b->kind &&
	       (a->kind == VERSION_SUPERSEDED ? a->born == b->born : a->from == b->from);
}

/* Lock held. */
static bool has_same(const struct versions *versions, const struct version *version)
{
	uint32_t next = versions_table_slot_chain(&versions->table, version->slot);

	while (next > 0) {
		const struct version *item = &versions->table.items[next - 1];

		if (is_same(item, version))
			return true;
		next = item->next_of_slot;
	}
	return false;
}

/* LSN of the last change of attributes of what is superseded, of those that are kept and `known`. Where
 * the log does not tell of it and a crash has taken it from the columns, the row still has them as they
 * were before, and would be in a snapshot twice. Lock held. */
static uint64_t last_attributes(const struct versions *versions, const struct version *version,
                                uint64_t known)
{
	uint32_t next = versions_table_slot_chain(&versions->table, version->slot);

	while (next > 0) {
		const struct version *item = &versions->table.items[next - 1];

		if (item->slot == version->slot && item->born == version->born &&
		    item->kind == VERSION_ATTRIBUTES && item->until > known)
			known = item->until;
		next = item->next_of_slot;
	}
	return known;
}

struct snapshot *versions_sole_owner(const struct versions *versions, const struct version *version)
{
	uint64_t from = version->kind == VERSION_SUPERSEDED ? version->born : version->from;
	struct snapshot *first;

	if (versions->damaged_count > 0 ||
	    versions_count_having(versions, from, version->until, &first) != 1)
		return NULL;
	return first;
}

void versions_count_own(struct versions *versions, const struct version *version)
{
	struct snapshot *owner = versions_sole_owner(versions, version);

	if (!owner)
		return;
	owner->own_records++;
	owner->own_vectors += version->kind == VERSION_SUPERSEDED;
}

/* Lock held. */
static void add(struct versions *versions, const struct version *version)
{
	versions_table_add(&versions->table, version);
	versions->added++;
	if (version->kind == VERSION_SUPERSEDED)
		atomic_fetch_add(&versions->held, 1);
	versions_count_own(versions, version);
}

static struct version version_of(uint64_t slot, uint64_t id, const struct meta_row *row,
                                 uint64_t until, enum version_kind kind)
{
	return (struct version){ .id = id,
		                 .born = row->lsn,
		                 .from = version_from(row),
		                 .until = until,
		                 .slot = (uint32_t)slot,
		                 .kind = (uint8_t)kind };
}

void versions_end(struct versions *versions, uint64_t slot, uint64_t id, const struct meta_row *row,
                  uint64_t until, enum version_kind kind)
{
	struct version version = version_of(slot, id, row, until, kind);
	struct meta_row kept = *row;

	pthread_rwlock_wrlock(&versions->lock);
	if (kind == VERSION_SUPERSEDED)
		kept.attr_lsn = last_attributes(versions, &version, row->attr_lsn);
	version.from = version_from(&kept);
	if (versions_is_wanted(versions, &version) && !has_same(versions, &version)) {
		add(versions, &version);
		assert(versions->pending < versions->pending_capacity);
		versions->pending_rows[versions->pending++] = kept;
		versions->recorded++;
	}
	pthread_rwlock_unlock(&versions->lock);
}

int versions_load(struct versions *versions, uint64_t number, const struct version_record *record)
{
	struct version version =
		version_of(record->slot, record->id, &record->row, record->until, record->kind);
	int r;

	if (number >= versions->recorded)
		versions->recorded = number + 1;
	version.place = (uint32_t)number;
	if (!versions_is_wanted(versions, &version)) {
		versions->untidy = true; /* the file may be written anew */
		return 0;
	}
	r = number > UINT32_MAX ? -ENOSPC : versions_make_room(versions, 1);
	if (r)
		return r;
	pthread_rwlock_wrlock(&versions->lock);
	if (!has_same(versions, &version))
		add(versions, &version);
	pthread_rwlock_unlock(&versions->lock);
	return 0;
}

/* Whether a row that is known here came into the slot of this one later. Lock held. */
static bool has_later(const struct versions *versions, const struct version *version)
{
	uint32_t next = versions_table_slot_chain(&versions->table, version->slot);

	while (next > 0) {
		const struct version *item = &versions->table.items[next - 1];

		if (item->slot == version->slot && item->born > version->born)
			return true;
		next = item->next_of_slot;
	}
	return false;
}

/* It stays in its chains, and is nobody's. Lock held. Whether a snapshot has lost it. */
static bool spoil(struct versions *versions, struct version *version)
{
	bool superseded = version->kind == VERSION_SUPERSEDED;
	struct snapshot *first;
	bool lost = versions_count_having(versions, superseded ? version->born : version->from,
	                                  version->until, &first) > 0;

	version->kind = 0;
	version->from = version->until = 0;
	if (superseded)
		atomic_fetch_sub(&versions->held, 1);
	versions->untidy = true;
	return lost;
}

uint64_t versions_spoil_reused(struct versions *versions,
                               uint64_t (*lsn_in)(void *arg, uint64_t slot), void *arg)
{
	uint64_t lost = 0;

	pthread_rwlock_wrlock(&versions->lock);
	for (size_t i = 0; i < versions->table.count; i++) {
		struct version *item = &versions->table.items[i];

		uint64_t lsn = item->kind != 0 ? lsn_in(arg, item->slot) : 0;
		bool ended_not = item->kind == VERSION_SUPERSEDED && lsn != 0;
		bool is_there = lsn == item->born;

		if (item->kind != 0 && (has_later(versions, item) || lsn > item->born || ended_not))
			lost += spoil(versions, item) && !is_there;
	}
	pthread_rwlock_unlock(&versions->lock);
	atomic_fetch_add(&versions->lost_bytes, lost * VERSION_RECORD_BYTES);
	return lost;
}

void versions_forget_rows(struct versions *versions)
{
	pthread_rwlock_wrlock(&versions->lock);
	versions_table_free(&versions->table);
	versions->pending = 0;
	versions->recorded = 0;
	atomic_store(&versions->held, 0);
	for (size_t i = 0; i < versions->snapshot_count; i++)
		versions->snapshots[i]->own_vectors = versions->snapshots[i]->own_records = 0;
	pthread_rwlock_unlock(&versions->lock);
}

/* Lock held. */
static const struct version *superseded_in(const struct versions *versions, uint64_t slot)
{
	uint32_t next = versions_table_slot_chain(&versions->table, slot);

	while (next > 0) {
		const struct version *item = &versions->table.items[next - 1];

		if (item->slot == slot && item->kind == VERSION_SUPERSEDED)
			return item;
		next = item->next_of_slot;
	}
	return NULL;
}

bool versions_hold(struct versions *versions, uint64_t slot)
{
	bool hold;

	if (atomic_load(&versions->held) == 0)
		return false;
	pthread_rwlock_rdlock(&versions->lock);
	hold = superseded_in(versions, slot) != NULL;
	pthread_rwlock_unlock(&versions->lock);
	return hold;
}

void versions_each_held(struct versions *versions, void (*each)(void *arg, uint64_t slot),
                        void *arg)
{
	pthread_rwlock_rdlock(&versions->lock);
	for (size_t i = 0; i < versions->table.count; i++)
		if (versions->table.items[i].kind == VERSION_SUPERSEDED)
			each(arg, versions->table.items[i].slot);
	pthread_rwlock_unlock(&versions->lock);
}

/* ---- looking ---- */

static bool holds_at(const struct version *version, uint64_t lsn)
{
	return version->from <= lsn && lsn < version->until;
}

/* The record of item `number`. Lock held. */
static int record_of(const struct versions *versions, size_t number, struct version_record *record)
{
	const struct version *item = &versions->table.items[number];
	size_t first_pending = versions->table.count - versions->pending;

	if (number < first_pending)
		return versions_file_read(&versions->file, item->place, record);
	*record = (struct version_record){ .slot = item->slot,
		                           .id = item->id,
		                           .until = item->until,
		                           .row = versions->pending_rows[number - first_pending],
		                           .kind = (enum version_kind)item->kind };
	return 0;
}

int versions_of_id(struct versions *versions, uint64_t id, uint64_t lsn,
                   struct version_record *record)
{
	int r = -ENOENT;
	uint32_t next;

	pthread_rwlock_rdlock(&versions->lock);
	next = versions_table_id_chain(&versions->table, id);
	while (r == -ENOENT && next > 0) {
		const struct version *item = &versions->table.items[next - 1];

		if (item->id == id && holds_at(item, lsn))
			r = record_of(versions, next - 1, record);
		next = item->next_of_id;
	}
	pthread_rwlock_unlock(&versions->lock);
	return r;
}

int versions_id_in_slot(struct versions *versions, uint64_t slot, uint64_t lsn, uint64_t *id)
{
	int r = -ENOENT;
	uint32_t next;

	pthread_rwlock_rdlock(&versions->lock);
	next = versions_table_slot_chain(&versions->table, slot);
	while (r == -ENOENT && next > 0) {
		const struct version *item = &versions->table.items[next - 1];

		if (item->slot == slot && holds_at(item, lsn)) {
			*id = item->id;
			r = 0;
		}
		next = item->next_of_slot;
	}
	pthread_rwlock_unlock(&versions->lock);
	return r;
}

size_t versions_rows(struct versions *versions)
{
	size_t count;

	pthread_rwlock_rdlock(&versions->lock);
	count = versions->table.count;
	pthread_rwlock_unlock(&versions->lock);
	return count;
}

size_t versions_copy(struct versions *versions, size_t *at, struct version *rows, size_t max)
{
	size_t n = 0;

	pthread_rwlock_rdlock(&versions->lock);
	while (n < max && *at < versions->table.count) {
		const struct version *item = &versions->table.items[(*at)++];

		rows[n++] = (struct version){ .id = item->id,
			                      .born = item->born,
			                      .from = item->from,
			                      .until = item->until,
			                      .slot = item->slot,
			                      .kind = item->kind };
	}
	pthread_rwlock_unlock(&versions->lock);
	return n;
}
