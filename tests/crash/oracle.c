#include "oracle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "chance.h"
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
	return a->mtime_ns == b->mtime_ns && a->uid == b->uid && a->gid == b->gid &&
	       a->mode == b->mode;
}

bool oracle_same_entry(const struct oracle_entry *a, const struct oracle_entry *b)
{
	return a->present == b->present &&
	       (!a->present || (a->hash == b->hash && oracle_same_attr(&a->attr, &b->attr)));
}

static uint64_t attr_hash(const struct quiver_attr *attr)
{
	uint64_t words[4] = { (uint64_t)attr->mtime_ns, attr->uid, attr->gid, attr->mode };

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

void oracle_merge_attr(struct quiver_attr *attr, const struct quiver_attr *from, unsigned mask)
{
	if (mask & QUIVER_ATTR_MTIME)
		attr->mtime_ns = from->mtime_ns;
	if (mask & QUIVER_ATTR_MODE)
		attr->mode = from->mode;
	if (mask & QUIVER_ATTR_UID)
		attr->uid = from->uid;
	if (mask & QUIVER_ATTR_GID)
		attr->gid = from->gid;
}

void oracle_put(struct oracle *oracle, struct oracle_state *state, unsigned i,
                const struct quiver_attr *attr, unsigned mask, uint8_t *bytes)
{
	struct oracle_entry *entry = &state->entries[i];

	oracle_merge_attr(&entry->attr, attr, entry->present ? mask : QUIVER_ATTR_ALL);
	entry->present = true;
	entry->version = oracle->next_version++;
	oracle_fill(oracle, i, entry->version, bytes);
	entry->hash = XXH3_64bits(bytes, oracle->vector_bytes);
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

static int read_entry(struct quiver *store, uint32_t vector_bytes, unsigned i,
                      struct oracle_entry *entry)
{
	uint8_t bytes[ORACLE_VECTOR_BYTES_MAX];
	int r = quiver_get_copy(store, oracle_id(i), bytes, &entry->attr, NULL);

	entry->present = r == 0;
	if (r == 0)
		entry->hash = XXH3_64bits(bytes, vector_bytes);
	return r == -ENOENT ? 0 : r;
}

int oracle_read(struct quiver *store, uint32_t vector_bytes, struct oracle_state *state, char *why,
                size_t room)
{
	struct listed list = { 0 };
	uint64_t present = 0;
	size_t listed;

	memset(state, 0, sizeof(*state));
	for (unsigned i = 0; i < ORACLE_IDS; i++) {
		int r = read_entry(store, vector_bytes, i, &state->entries[i]);

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

static void tell(const struct oracle *oracle, const struct oracle_state *state, size_t k, char *why,
                 size_t room)
{
	const struct oracle_state *want = &oracle->states[k];
	size_t at = (size_t)snprintf(why, room, "nearest is state %zu:", k);

	if (!oracle_same_attr(&state->dir, &want->dir) && at < room)
		at += (size_t)snprintf(why + at, room - at,
		                       " folder mtime %" PRId64 " not %" PRId64 ";",
		                       state->dir.mtime_ns, want->dir.mtime_ns);
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
	at = (size_t)snprintf(why, room, "none of the states %zu to %zu; ", from, to);
	if (at < room)
		tell(oracle, state, nearest, why + at, room - at);
	return SIZE_MAX;
}
