#include "oracle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "chance.h"
#include "clock.h"
#include "engine/store/store.h"
#include "tests/common/listed.h"

uint64_t oracle_id(unsigned i)
{
	/* The ends of the range, neighbours, and numbers far apart. */
	if (i == 0)
		return QUIVER_ID_MAX;
	return i % 3 == 0 ? UINT64_C(1000000007) * i : i - 1;
}

void oracle_fill(const struct oracle *oracle, unsigned i, uint64_t version, uint8_t *to)
{
	struct chance chance = chance_of(oracle_id(i), version);

	for (uint32_t at = 0; at < oracle->vector_bytes; at += 8) {
		uint64_t word = chance_next(&chance);
		uint32_t left = oracle->vector_bytes - at;

		memcpy(to + at, &word, left < 8 ? left : 8);
	}
}

bool oracle_same_attr(const struct quiver_attr *a, const struct quiver_attr *b)
{
	return a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->uid == b->uid &&
	       a->gid == b->gid && a->mode == b->mode;
}

bool oracle_same_entry(const struct oracle_entry *a, const struct oracle_entry *b)
{
	if (!a->present || !b->present)
		return a->present == b->present;
	return a->hash == b->hash && oracle_same_attr(&a->attr, &b->attr) &&
	       (a->attr_lsn == b->attr_lsn || !a->attr_lsn || !b->attr_lsn);
}

static uint64_t attr_hash(const struct quiver_attr *attr)
{
	uint64_t words[5] = { (uint64_t)attr->mtime_ns, (uint64_t)attr->ctime_ns, attr->uid,
		              attr->gid, attr->mode };

	return XXH3_64bits(words, sizeof(words));
}

static void digest(struct oracle_state *state)
{
	uint64_t sum = attr_hash(&state->dir);

	for (unsigned i = 0; i < ORACLE_IDS; i++) {
		const struct oracle_entry *entry = &state->entries[i];
		uint64_t words[3] = { i, entry->hash, 0 };

		if (!entry->present)
			continue;
		words[2] = attr_hash(&entry->attr);
		sum += XXH3_64bits(words, sizeof(words));
	}
	state->digest = sum;
}

static void push(struct oracle *oracle, const struct oracle_state *state)
{
	if (oracle->count == oracle->room) {
		oracle->room = oracle->room ? oracle->room * 2 : 64;
		oracle->states = realloc(oracle->states, oracle->room * sizeof(*state));
		if (!oracle->states)
			abort();
	}
	oracle->states[oracle->count] = *state;
	digest(&oracle->states[oracle->count++]);
}

void oracle_init(struct oracle *oracle, uint32_t vector_bytes)
{
	static const struct oracle_state nothing;

	memset(oracle, 0, sizeof(*oracle));
	oracle->vector_bytes = vector_bytes;
	oracle->next_version = 1;
	push(oracle, &nothing);
}

void oracle_free(struct oracle *oracle)
{
	free(oracle->states);
}

const struct oracle_state *oracle_now(const struct oracle *oracle)
{
	return &oracle->states[oracle->count - 1];
}

/* FORMAT.md, "The columns". */
static int64_t later_than(int64_t was_ns, int64_t now_ns)
{
	if (now_ns > was_ns)
		return now_ns;
	return was_ns == INT64_MAX ? was_ns : was_ns + 1;
}

/* FORMAT.md, "Recovery": what a commit that had this time does to the folder. */
static void touch_dir(struct oracle_state *state, int64_t ns)
{
	if (ns != state->dir.mtime_ns)
		state->dir.ctime_ns = later_than(state->dir.ctime_ns, ns);
	state->dir.mtime_ns = ns;
}

static void merge_attr(struct quiver_attr *attr, const struct quiver_attr *from, unsigned mask)
{
	if (mask & QUIVER_ATTR_MTIME)
		attr->mtime_ns = from->mtime_ns;
	if (mask & QUIVER_ATTR_MODE)
		attr->mode = from->mode;
	if (mask & QUIVER_ATTR_UID)
		attr->uid = from->uid;
	if (mask & QUIVER_ATTR_GID)
		attr->gid = from->gid;
	attr->ctime_ns = later_than(attr->ctime_ns, clock_now());
}

void oracle_put(struct oracle *oracle, struct oracle_state *state, unsigned i,
                const struct quiver_attr *attr, unsigned mask, uint8_t *bytes)
{
	struct oracle_entry *entry = &state->entries[i];

	if (!entry->present) {
		*entry = (struct oracle_entry){ .attr.ctime_ns = INT64_MIN };
		mask = QUIVER_ATTR_ALL;
		touch_dir(state, clock_now());
	}
	merge_attr(&entry->attr, attr, mask);
	entry->present = true;
	entry->version = oracle->next_version++;
	entry->attr_lsn = 0;
	oracle_fill(oracle, i, entry->version, bytes);
	entry->hash = XXH3_64bits(bytes, oracle->vector_bytes);
}

void oracle_remove(struct oracle_state *state, unsigned i)
{
	if (!state->entries[i].present)
		return;
	state->entries[i].present = false;
	touch_dir(state, clock_now());
}

void oracle_rename(struct oracle_state *state, unsigned from, unsigned to)
{
	struct oracle_entry *entry = &state->entries[from];
	int64_t ns = later_than(entry->attr.ctime_ns, clock_now());

	if (state->entries[to].present)
		ns = later_than(state->entries[to].attr.ctime_ns, ns);
	state->entries[to] = *entry;
	state->entries[to].attr.ctime_ns = ns;
	state->entries[to].attr_lsn = 0;
	entry->present = false;
	if (ns > clock_now()) { /* which says nothing of the folder */
		state->dir.ctime_ns = later_than(state->dir.ctime_ns, INT64_MIN);
		state->dir.mtime_ns = later_than(state->dir.mtime_ns, INT64_MIN);
	} else {
		touch_dir(state, ns);
	}
}

void oracle_attr(struct oracle_state *state, unsigned i, const struct quiver_attr *attr,
                 unsigned mask)
{
	merge_attr(&state->entries[i].attr, attr, mask);
	state->entries[i].attr_lsn = 0;
}

void oracle_dir_attr(struct oracle_state *state, const struct quiver_attr *attr, unsigned mask)
{
	merge_attr(&state->dir, attr, mask);
}

void oracle_commit(struct oracle *oracle, struct oracle_state *state)
{
	push(oracle, state);
}

void oracle_set_dir(struct oracle *oracle, const struct quiver_attr *dir)
{
	oracle->states[oracle->count - 1].dir = *dir;
	digest(&oracle->states[oracle->count - 1]);
}

void oracle_back_to(struct oracle *oracle, size_t k)
{
	oracle->count = k + 1;
	oracle->durable = oracle->logged = k;
}

/* The row of a vector that is there. */
static int row_of(struct quiver *store, unsigned i, struct meta_row *row)
{
	uint64_t slot = index_find(&store->catalog.index, oracle_id(i));

	return slot == SLOT_NONE ? -ENOENT : catalog_row(&store->catalog, slot, oracle_id(i), row);
}

static int read_entry(struct quiver *store, uint32_t vector_bytes, unsigned i, bool frozen,
                      struct oracle_entry *entry)
{
	uint8_t bytes[ORACLE_VECTOR_BYTES_MAX];
	struct meta_row row = { 0 };
	int r = quiver_get_copy(store, oracle_id(i), bytes, &entry->attr, NULL);

	entry->present = r == 0;
	if (r)
		return r == -ENOENT ? 0 : r;
	entry->hash = XXH3_64bits(bytes, vector_bytes);
	if (frozen)
		return 0;
	r = row_of(store, i, &row);
	entry->attr_lsn = row.attr_lsn;
	return r == 0 && row.attr.ctime_ns > store->commits.ctime_max_ns ? -ERANGE : r;
}

int oracle_learn(struct quiver *store, const struct oracle_state *before,
                 struct oracle_state *state, uint64_t after, uint64_t last, char *why, size_t room)
{
	for (unsigned i = 0; i < ORACLE_IDS; i++) {
		const struct oracle_entry *was = &before->entries[i];
		struct oracle_entry *entry = &state->entries[i];
		bool put = !was->present || was->hash != entry->hash;
		struct meta_row row = { 0 };
		int r;

		if (!entry->present || entry->attr_lsn)
			continue;
		/* Changed by an earlier commit of the same group; at the end of time nothing tells
		 * that from a change to what was there. */
		if (oracle_same_entry(was, entry)) {
			if (entry->attr.ctime_ns < INT64_MAX)
				entry->attr_lsn = was->attr_lsn;
			continue;
		}
		r = row_of(store, i, &row);
		if (r == 0 && row.attr_lsn > after && (!last || row.attr_lsn <= last) &&
		    put == (row.lsn == row.attr_lsn) && row.lsn <= row.attr_lsn) {
			entry->attr_lsn = row.attr_lsn;
			continue;
		}
		(void)snprintf(why, room,
		               "vector %" PRIu64 ": %s, LSN %" PRIu64 " and %" PRIu64
		               " of its attributes after a commit with those above %" PRIu64,
		               oracle_id(i), r ? strerror(-r) : "its row has", row.lsn,
		               row.attr_lsn, after);
		return -EUCLEAN;
	}
	return 0;
}

static int read_all(struct quiver *store, uint32_t vector_bytes, bool frozen,
                    struct oracle_state *state, char *why, size_t room)
{
	struct listed list = { 0 };
	uint64_t present = 0;
	size_t listed;

	memset(state, 0, sizeof(*state));
	for (unsigned i = 0; i < ORACLE_IDS; i++) {
		int r = read_entry(store, vector_bytes, i, frozen, &state->entries[i]);

		if (r) {
			(void)snprintf(why, room, "reading vector %" PRIu64 ": %s", oracle_id(i),
			               strerror(-r));
			return r;
		}
		present += state->entries[i].present;
	}
	if (listed_all(store, &list) != 0)
		abort();
	listed = list.count;
	listed_free(&list);
	if (quiver_count(store) != present || listed != present) {
		(void)snprintf(why, room,
		               "%" PRIu64 " vectors counted, %zu listed, but %" PRIu64
		               " can be read",
		               quiver_count(store), listed, present);
		return -EUCLEAN;
	}
	(void)quiver_dir_attr(store, 0, &state->dir); /* of a local folder: does not fail */
	digest(state);
	return 0;
}

int oracle_read(struct quiver *store, uint32_t vector_bytes, struct oracle_state *state, char *why,
                size_t room)
{
	return read_all(store, vector_bytes, false, state, why, room);
}

int oracle_read_frozen(struct quiver *snapshot, uint32_t vector_bytes, struct oracle_state *state,
                       char *why, size_t room)
{
	return read_all(snapshot, vector_bytes, true, state, why, room);
}

bool oracle_same(const struct oracle_state *a, const struct oracle_state *b)
{
	if (a->digest != b->digest || !oracle_same_attr(&a->dir, &b->dir))
		return false;
	for (unsigned i = 0; i < ORACLE_IDS; i++)
		if (!oracle_same_entry(&a->entries[i], &b->entries[i]))
			return false;
	return true;
}

bool oracle_same_vectors(const struct oracle_state *a, const struct oracle_state *b)
{
	for (unsigned i = 0; i < ORACLE_IDS; i++)
		if (!oracle_same_entry(&a->entries[i], &b->entries[i]))
			return false;
	return true;
}

static unsigned differences(const struct oracle_state *a, const struct oracle_state *b)
{
	unsigned n = !oracle_same_attr(&a->dir, &b->dir);

	for (unsigned i = 0; i < ORACLE_IDS; i++)
		n += !oracle_same_entry(&a->entries[i], &b->entries[i]);
	return n;
}

/* Which version of ID number `i` it is, if any. */
static uint64_t version_of(const struct oracle *oracle, unsigned i, uint64_t hash)
{
	for (size_t k = 0; k < oracle->count; k++)
		if (oracle->states[k].entries[i].present &&
		    oracle->states[k].entries[i].hash == hash)
			return oracle->states[k].entries[i].version;
	return UINT64_MAX;
}

void oracle_tell(const struct oracle *oracle, const struct oracle_state *state,
                 const struct oracle_state *want, char *why, size_t room)
{
	size_t at = 0;

	if (!oracle_same_attr(&state->dir, &want->dir) && at < room)
		at += (size_t)snprintf(why + at, room - at,
		                       " folder mtime %" PRId64 " not %" PRId64 ", ctime %" PRId64
		                       " not %" PRId64 ";",
		                       state->dir.mtime_ns, want->dir.mtime_ns, state->dir.ctime_ns,
		                       want->dir.ctime_ns);
	for (unsigned i = 0; i < ORACLE_IDS && at < room; i++) {
		const struct oracle_entry *is = &state->entries[i];
		const struct oracle_entry *should = &want->entries[i];

		if (oracle_same_entry(is, should))
			continue;
		at += (size_t)snprintf(
			why + at, room - at, " %" PRIu64 ": version %" PRId64 " not %" PRId64 "%s;",
			oracle_id(i), is->present ? (int64_t)version_of(oracle, i, is->hash) : 0,
			should->present ? (int64_t)should->version : 0,
			is->present && should->present && is->hash == should->hash ? " (attributes)"
										   : "");
		if (is->present && should->present && at < room)
			at += (size_t)snprintf(why + at, room - at,
			                       " ctime %" PRId64 " not %" PRId64 ", LSN %" PRIu64
			                       " not %" PRIu64 ";",
			                       is->attr.ctime_ns, should->attr.ctime_ns,
			                       is->attr_lsn, should->attr_lsn);
	}
}

size_t oracle_find(const struct oracle *oracle, const struct oracle_state *state, size_t from,
                   size_t to, char *why, size_t room)
{
	size_t nearest = to;
	unsigned least = UINT32_MAX;
	size_t at;

	for (size_t k = to + 1; k-- > from;)
		if (oracle_same(state, &oracle->states[k]))
			return k;
	for (size_t k = 0; k < oracle->count; k++) {
		unsigned n = differences(state, &oracle->states[k]);

		if (n <= least) {
			least = n;
			nearest = k;
		}
	}
	at = (size_t)snprintf(why, room,
	                      "none of the states %zu to %zu; nearest is state %zu:", from, to,
	                      nearest);
	if (at < room)
		oracle_tell(oracle, state, &oracle->states[nearest], why + at, room - at);
	return SIZE_MAX;
}
