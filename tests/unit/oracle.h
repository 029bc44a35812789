/*
 * oracle.h - what a store has to hold after a crash, kept outside of it: in memory that a
 * process which dies shares with the one that looks afterwards.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <sys/mman.h>

#include "store_test.h"

#define ORACLE_IDS 24u

struct oracle_entry {
	uint64_t version; /* 0: not there */
	uint64_t id; /* whose bytes these are: a rename takes them along */
	uint64_t attr; /* version of the attributes */
	int64_t ctime_ns; /* as the store said after the change; 0 where nobody has asked yet */
};

struct oracle_world {
	struct oracle_entry ids[ORACLE_IDS];
	struct quiver_attr dir;
};

struct oracle {
	struct oracle_world now; /* acknowledged */
	struct oracle_world next; /* if what is under way takes effect */
	struct oracle_world kept; /* at the last checkpoint; mode none */
	bool under_way; /* next counts, too */
	bool checkpointing; /* a checkpoint of `next` is under way */
	bool dir_known; /* the directory's attributes in `next` are right already */
	enum quiver_durability mode;
	uint64_t version; /* last one used */
	uint64_t max_lsn; /* highest that a call has returned */
	uint64_t random;
	uint64_t ops; /* that succeeded, for the log of the test */
	int error; /* what the last call returned */
};

static inline struct oracle *oracle_new(enum quiver_durability mode, uint64_t seed)
{
	struct oracle *oracle = mmap(NULL, sizeof(*oracle), PROT_READ | PROT_WRITE,
	                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(oracle != MAP_FAILED);
	oracle->mode = mode;
	oracle->random = seed;
	return oracle;
}

static inline void oracle_free(struct oracle *oracle)
{
	assert_int_equal(munmap(oracle, sizeof(*oracle)), 0);
}

static inline void oracle_begin(struct oracle *oracle, bool checkpoints)
{
	oracle->next = oracle->now;
	oracle->checkpointing = checkpoints;
	oracle->dir_known = false;
	oracle->under_way = true;
}

/* Ask the store for ctimes that are not known: later than before, also of a vector that had
 * another ID; the rest has not moved. */
static inline void oracle_learn_ctimes(struct oracle_world *world, struct quiver *store,
                                       const struct oracle_world *before)
{
	for (uint64_t id = 0; id < ORACLE_IDS; id++) {
		struct oracle_entry *entry = &world->ids[id];
		struct quiver_attr attr;

		if (entry->version == 0)
			continue;
		assert_int_equal(quiver_stat(store, id, 0, &attr, NULL), 0);
		assert_true(entry->ctime_ns == 0 || attr.ctime_ns == entry->ctime_ns);
		if (entry->ctime_ns == 0)
			for (uint64_t i = 0; i < ORACLE_IDS; i++)
				assert_true((i != id && before->ids[i].version != entry->version) ||
				            attr.ctime_ns > before->ids[i].ctime_ns);
		entry->ctime_ns = attr.ctime_ns;
	}
}

/* What a call returned; false ends the run. */
static inline bool oracle_end(struct oracle *oracle, struct quiver *store, int r)
{
	oracle->error = r;
	if (r)
		return false; /* whether it took effect is for the test to say */
	oracle_learn_ctimes(&oracle->next, store, &oracle->now);
	(void)quiver_dir_attr(store, 0, &oracle->next.dir); /* of a local folder: does not fail */
	assert_true(oracle->next.dir.ctime_ns >= oracle->now.dir.ctime_ns);
	oracle->now = oracle->next;
	if (oracle->checkpointing)
		oracle->kept = oracle->now;
	oracle->under_way = oracle->checkpointing = false;
	oracle->ops++;
	return true;
}

static inline void oracle_fill(uint8_t *to, uint32_t n, const struct oracle_entry *entry)
{
	vector_fill(to, n, entry->id, entry->version);
}

static inline struct oracle_entry oracle_fresh(struct oracle *oracle, uint64_t id)
{
	oracle->version++;
	return (struct oracle_entry){ .version = oracle->version,
		                      .id = id,
		                      .attr = oracle->version };
}

static inline int oracle_put(struct oracle *oracle, struct quiver *store, uint64_t id)
{
	uint32_t n = quiver_geometry(store)->vector_bytes;
	bool sync = test_below(&oracle->random, 8) == 0;
	uint8_t bytes[STORE_BYTES_MAX];
	struct oracle_entry entry = oracle_fresh(oracle, id);
	struct quiver_attr attr = attr_of(entry.attr);
	uint64_t lsn = 0;
	int r;

	oracle_begin(oracle, sync && oracle->mode == QUIVER_NONE);
	oracle->next.ids[id] = entry;
	oracle_fill(bytes, n, &entry);
	r = quiver_put(store, id, bytes, &attr, QUIVER_ATTR_ALL, sync ? QUIVER_SYNC : 0, &lsn);
	if (r == 0)
		oracle->max_lsn = lsn;
	return r;
}

static inline int oracle_batch(struct oracle *oracle, struct quiver *store)
{
	uint32_t n = quiver_geometry(store)->vector_bytes;
	size_t count = 1 + test_below(&oracle->random, 12);
	uint8_t bytes[12][STORE_BYTES_MAX];
	struct quiver_record records[12];
	struct quiver_attr attr;
	uint64_t lsn = 0;
	uint64_t shared = ++oracle->version;
	int r;

	oracle_begin(oracle, false);
	attr = attr_of(shared);
	for (size_t i = 0; i < count; i++) {
		uint64_t id = test_below(&oracle->random, ORACLE_IDS);

		oracle->next.ids[id] = oracle_fresh(oracle, id);
		oracle->next.ids[id].attr = shared;
		oracle_fill(bytes[i], n, &oracle->next.ids[id]);
		records[i] = (struct quiver_record){ .id = id, .data = bytes[i] };
	}
	r = quiver_put_batch(store, records, count, &attr, QUIVER_ATTR_ALL, 0, &lsn);
	if (r == 0)
		oracle->max_lsn = lsn;
	return r;
}

static inline int oracle_rename(struct oracle *oracle, struct quiver *store, uint64_t from)
{
	uint64_t to = test_below(&oracle->random, ORACLE_IDS);

	oracle_begin(oracle, false);
	if (to != from) {
		oracle->next.ids[to] = oracle->next.ids[from];
		oracle->next.ids[to].ctime_ns = 0;
		oracle->next.ids[from] = (struct oracle_entry){ 0 };
	}
	return quiver_rename(store, from, to, 0, &oracle->max_lsn);
}

static inline int oracle_attr(struct oracle *oracle, struct quiver *store, uint64_t id)
{
	struct quiver_attr attr;

	oracle_begin(oracle, false);
	oracle->next.ids[id].attr = ++oracle->version;
	oracle->next.ids[id].ctime_ns = 0;
	attr = attr_of(oracle->version);
	return quiver_set_attr(store, id, &attr, QUIVER_ATTR_ALL, 0);
}

static inline int oracle_compact(struct oracle *oracle, struct quiver *store)
{
	struct quiver_job_status status;
	int r;

	oracle_begin(oracle, true);
	r = quiver_job_start(store, QUIVER_COMPACT);
	if (r)
		return r;
	do {
		usleep(200);
		quiver_job_status(store, QUIVER_COMPACT, &status);
	} while (status.running);
	return status.result;
}

static inline int oracle_other(struct oracle *oracle, struct quiver *store, uint64_t kind)
{
	enum quiver_durability mode = oracle->mode;
	struct quiver_attr attr;
	int r;

	if (kind == 0) {
		attr = attr_of(++oracle->version);
		oracle_begin(oracle, false);
		oracle->next.dir = attr;
		return quiver_set_dir_attr(store, &attr, QUIVER_ATTR_ALL, 0);
	}
	if (kind == 1)
		return oracle_compact(oracle, store);
	if (kind == 2) {
		mode = (enum quiver_durability)test_below(&oracle->random, 4);
		oracle_begin(oracle, mode != oracle->mode);
		oracle->dir_known = true;
		r = quiver_set_durability(store, mode);
		if (r == 0)
			oracle->mode = mode;
		return r;
	}
	if (kind == 3) {
		oracle_begin(oracle, oracle->mode == QUIVER_NONE);
		oracle->dir_known = true;
		return quiver_flush(store);
	}
	oracle_begin(oracle, true);
	oracle->dir_known = true;
	return quiver_checkpoint(store);
}

/* One random change; false where it failed. `modes`: also change the durability. */
static inline bool oracle_step(struct oracle *oracle, struct quiver *store, bool modes)
{
	uint64_t id = test_below(&oracle->random, ORACLE_IDS);
	uint64_t kind = test_below(&oracle->random, 40);
	bool there = oracle->now.ids[id].version != 0;
	int r;

	if (kind < 6 && there) {
		oracle_begin(oracle, false);
		oracle->next.ids[id] = (struct oracle_entry){ 0 };
		r = quiver_remove(store, id, 0, &oracle->max_lsn);
	} else if (kind < 12 && there) {
		r = oracle_rename(oracle, store, id);
	} else if (kind < 20 && there) {
		r = oracle_attr(oracle, store, id);
	} else if (kind >= 35 && (modes || kind != 37)) {
		r = oracle_other(oracle, store, kind - 35);
	} else if (kind >= 31) {
		r = oracle_batch(oracle, store);
	} else {
		r = oracle_put(oracle, store, id);
	}
	return oracle_end(oracle, store, r);
}

/* NULL where the store holds this world, else what is wrong. */
static inline const char *oracle_differs(const struct oracle_world *world, struct quiver *store,
                                         bool dir)
{
	static char text[128];
	uint32_t n = quiver_geometry(store)->vector_bytes;
	uint64_t count = 0;

	for (uint64_t id = 0; id < ORACLE_IDS; id++) {
		const struct oracle_entry *entry = &world->ids[id];
		uint8_t bytes[STORE_BYTES_MAX];
		uint8_t want[STORE_BYTES_MAX];
		struct quiver_attr attr;
		struct quiver_attr want_attr = attr_of(entry->attr);
		int r = quiver_get_copy(store, id, bytes, &attr, NULL);

		count += entry->version != 0;
		oracle_fill(want, n, entry);
		snprintf(text, sizeof(text), "vector %" PRIu64 ": %d, version %" PRIu64, id, r,
		         entry->version);
		if (entry->version == 0
		            ? r != -ENOENT
		            : r || memcmp(bytes, want, n) != 0 || !attr_same(&attr, &want_attr) ||
		                      (entry->ctime_ns && attr.ctime_ns != entry->ctime_ns))
			return text;
	}
	if (quiver_count(store) != count)
		return "the count";
	if (dir) {
		struct quiver_attr attr;

		(void)quiver_dir_attr(store, 0, &attr); /* of a local folder: does not fail */
		if (!attr_same(&attr, &world->dir) || attr.ctime_ns != world->dir.ctime_ns)
			return "the directory's attributes";
	}
	return NULL;
}

/* The store has to hold one of the worlds that may be there now; that becomes `now`. */
static inline void oracle_check(struct oracle *oracle, struct quiver *store)
{
	bool none = oracle->mode == QUIVER_NONE;
	const struct oracle_world *old = none ? &oracle->kept : &oracle->now;
	const char *first = oracle_differs(old, store, true);
	char said[128];

	if (first) {
		snprintf(said, sizeof(said), "%s", first);
		/* The directory's times of what was under way are not known. */
		if (!oracle->under_way || (none && !oracle->checkpointing))
			fail_msg("after %" PRIu64 " steps: %s is wrong", oracle->ops, said);
		old = &oracle->next;
		first = oracle_differs(old, store, oracle->dir_known);
		/* In mode none a commit that has to be durable begins with a checkpoint of what
		 * came before it. */
		if (first && none && !oracle_differs(&oracle->now, store, true)) {
			old = &oracle->now;
			first = NULL;
		}
		if (first)
			fail_msg("after %" PRIu64 " steps: neither the old state (%s) nor the "
			         "new (%s)",
			         oracle->ops, said, first);
	}
	if (old != &oracle->now)
		oracle->now = *old;
	oracle_learn_ctimes(&oracle->now, store, &oracle->kept);
	(void)quiver_dir_attr(store, 0, &oracle->now.dir); /* of a local folder: does not fail */
	oracle->kept = oracle->now;
	oracle->under_way = oracle->checkpointing = false;
}

#endif
