#include "unit.h"

#include "store_test.h"
#include "tests/common/listed.h"

/*
 * Snapshots made, read and removed beside writers and compaction. Each writer does operations that
 * follow from their number, on vectors of its own, and notes their LSNs. So a snapshot, which tells its
 * LSN, must be what exactly those operations of all writers have made that have theirs at or below
 * it: one state, between the begin and the end of its making, with batches and renames whole in it.
 */
#define WRITERS 3u
#define OF_WRITER 12u /* vectors */
#define BATCH 4u /* the first of them come together, */
#define SINGLE 4u /* the next one by one, */
#define MOVING 4u /* and the last are renamed, removed and made again */
#define KEEPERS 3u /* of snapshots */
#define OPERATIONS_MAX (1u << 21) /* of a writer */
#define LOOKS 3
#define NEAR 64u /* operations, of which some have an LSN */
#define RUN_MS_DEFAULT 2000

_Static_assert(BATCH + SINGLE + MOVING == OF_WRITER, "each vector is of one kind");

struct entry {
	uint64_t version; /* 0: not there */
	uint64_t origin; /* ID under which it was put */
	uint32_t uid;
};

/* What a writer has made, by so many operations. */
struct made {
	uint64_t operations;
	struct entry entries[OF_WRITER];
};

struct shared {
	struct quiver *store;
	const char *path;
	uint32_t n;
	_Atomic bool stop;
	_Atomic uint64_t begun[WRITERS];
	_Atomic uint64_t done[WRITERS];
	_Atomic uint64_t *lsns[WRITERS]; /* by operation; 0: it has none, or tells none */
	_Atomic uint64_t snapshots, looks;
	_Atomic int wrong; /* the line of the first thing that was wrong */
};

struct worker {
	struct shared *shared;
	unsigned number;
	uint64_t random;
	struct made made[WRITERS]; /* a keeper's: as of its last snapshot */
	pthread_t thread;
};

#define MUST(condition)                                                                            \
	do {                                                                                       \
		int none_ = 0;                                                                     \
		if (!(condition))                                                                  \
			(void)atomic_compare_exchange_strong(&w->shared->wrong, &none_, __LINE__); \
	} while (0)

/* ---- what the operations are ---- */

enum kind { PUT_BATCH, PUT_SINGLE, SET_UID, RENAME, REMOVE, PUT_MOVING, KINDS };

struct operation {
	enum kind kind;
	unsigned at; /* of the writer's vectors */
	unsigned to; /* RENAME */
	uint64_t version;
};

static struct operation operation(unsigned writer, uint64_t number)
{
	uint64_t random = number * WRITERS + writer;
	uint64_t first = test_random(&random);
	struct operation op = { .kind = (enum kind)(first % KINDS), .version = number + 1 };

	first /= KINDS;
	if (op.kind == PUT_SINGLE || op.kind == SET_UID)
		op.at = BATCH + (unsigned)(first % SINGLE);
	else if (op.kind != PUT_BATCH)
		op.at = BATCH + SINGLE + (unsigned)(first % MOVING);
	op.to = BATCH + SINGLE +
	        (op.at - BATCH - SINGLE + 1 + (unsigned)(first / MOVING % (MOVING - 1))) % MOVING;
	return op;
}

static uint64_t id_of(unsigned writer, unsigned at)
{
	return (uint64_t)writer * 1000 + at;
}

static void make_entry(struct made *made, unsigned writer, unsigned at, uint64_t version)
{
	made->entries[at] = (struct entry){ .version = version,
		                            .origin = id_of(writer, at),
		                            .uid = attr_of(version).uid };
}

/* The next operation of the writer has been done. */
static void apply(struct made *made, unsigned writer)
{
	struct operation op = operation(writer, made->operations++);
	struct entry *entry = &made->entries[op.at];

	switch (op.kind) {
	case PUT_BATCH:
		for (unsigned at = 0; at < BATCH; at++)
			make_entry(made, writer, at, op.version);
		break;
	case SET_UID:
		if (entry->version)
			entry->uid = attr_of(op.version).uid;
		break;
	case RENAME:
		if (entry->version) {
			made->entries[op.to] = *entry;
			entry->version = 0;
		}
		break;
	case REMOVE:
		entry->version = 0;
		break;
	default:
		make_entry(made, writer, op.at, op.version);
	}
}

/* ---- writers ---- */

static int put_batch(struct shared *sh, unsigned writer, uint64_t version, uint64_t *lsn)
{
	uint8_t bytes[BATCH][STORE_BYTES_MAX];
	struct quiver_record records[BATCH];
	struct quiver_attr attr = attr_of(version);

	for (unsigned at = 0; at < BATCH; at++) {
		vector_fill(bytes[at], sh->n, id_of(writer, at), version);
		records[at] = (struct quiver_record){ .id = id_of(writer, at), .data = bytes[at] };
	}
	return quiver_put_batch(sh->store, records, BATCH, &attr, QUIVER_ATTR_ALL, 0, lsn);
}

static int put_one(struct shared *sh, uint64_t id, uint64_t version, uint64_t *lsn)
{
	uint8_t bytes[STORE_BYTES_MAX];
	struct quiver_attr attr = attr_of(version);

	vector_fill(bytes, sh->n, id, version);
	return quiver_put(sh->store, id, bytes, &attr, QUIVER_ATTR_ALL, 0, lsn);
}

static int do_operation(struct shared *sh, unsigned writer, const struct operation *op,
                        uint64_t *lsn)
{
	uint64_t id = id_of(writer, op->at);
	struct quiver_attr attr = attr_of(op->version);

	switch (op->kind) {
	case PUT_BATCH:
		return put_batch(sh, writer, op->version, lsn);
	case SET_UID:
		return quiver_set_attr(sh->store, id, &attr, QUIVER_ATTR_UID, 0);
	case RENAME:
		return quiver_rename(sh->store, id, id_of(writer, op->to), 0, lsn);
	case REMOVE:
		return quiver_remove(sh->store, id, 0, lsn);
	default:
		return put_one(sh, id, op->version, lsn);
	}
}

static void *writer(void *arg)
{
	struct worker *w = arg;
	struct shared *sh = w->shared;
	struct made *made = &w->made[w->number];

	while (!atomic_load(&sh->stop) && made->operations < OPERATIONS_MAX) {
		uint64_t number = made->operations;
		struct operation op = operation(w->number, number);
		bool there = made->entries[op.at].version || op.kind == PUT_BATCH ||
		             op.kind == PUT_SINGLE || op.kind == PUT_MOVING;
		uint64_t lsn = 0;

		atomic_store(&sh->begun[w->number], number + 1);
		MUST(do_operation(sh, w->number, &op, &lsn) == (there ? 0 : -ENOENT));
		apply(made, w->number);
		atomic_store(&sh->lsns[w->number][number], there ? lsn : 0);
		atomic_store(&sh->done[w->number], number + 1);
	}
	return NULL;
}

/* ---- snapshots ---- */

/* Whether a snapshot has of this writer what `made` says. */
static bool fits(struct worker *w, struct quiver *view, unsigned writer, const struct made *made)
{
	for (unsigned at = 0; at < OF_WRITER; at++) {
		const struct entry *entry = &made->entries[at];
		uint8_t bytes[STORE_BYTES_MAX];
		struct quiver_attr attr;
		int r = quiver_get_copy(view, id_of(writer, at), bytes, &attr, NULL);

		if (r != (entry->version ? 0 : -ENOENT))
			return false;
		if (r == 0 &&
		    (attr.uid != entry->uid ||
		     vector_version(bytes, w->shared->n, entry->origin) != entry->version))
			return false;
	}
	return true;
}

static void wait_for(struct shared *sh, unsigned writer, uint64_t begun)
{
	while (atomic_load(&sh->done[writer]) < begun)
		usleep(50);
}

/* The operations of a writer that a snapshot with this LSN has. Of those that tell no LSN, next to the
 * last one, any may be; the state tells. */
static void find_made(struct worker *w, struct quiver *view, uint64_t lsn, unsigned writer,
                      uint64_t least, uint64_t most)
{
	struct made *made = &w->made[writer];
	const _Atomic uint64_t *lsns = w->shared->lsns[writer];
	uint64_t last = least;
	struct made found;

	for (uint64_t op = least; op < most && atomic_load(&lsns[op]) <= lsn; op++)
		if (atomic_load(&lsns[op]) != 0)
			last = op + 1;
	/* What had been done before is in it. */
	for (uint64_t op = least > NEAR ? least - NEAR : 0; op < least; op++)
		MUST(atomic_load(&lsns[op]) <= lsn);
	while (made->operations < last)
		apply(made, writer);
	found = *made;
	while (!fits(w, view, writer, &found)) {
		if (found.operations == most || atomic_load(&lsns[found.operations]) != 0) {
			MUST(!"one state of the writer");
			return;
		}
		apply(&found, writer);
	}
	*made = found;
}

static void look(struct worker *w, struct quiver *view, uint64_t count)
{
	struct listed list;
	uint64_t there = 0;

	for (unsigned writer = 0; writer < WRITERS; writer++) {
		MUST(fits(w, view, writer, &w->made[writer]));
		for (unsigned at = 0; at < OF_WRITER; at++)
			there += w->made[writer].entries[at].version != 0;
	}
	MUST(listed_all(view, &list) == 0);
	MUST(list.count == there && count == there && quiver_count(view) == there);
	listed_free(&list);
	atomic_fetch_add(&w->shared->looks, 1);
}

static int open_view(struct worker *w, const char *name, struct quiver **view)
{
	struct quiver_options options = { .size = sizeof(options), .read_only = true };
	char path[UNIT_PATH_BYTES + 64];

	if (test_below(&w->random, 3) > 0)
		return quiver_snapshot_open(w->shared->store, name, view);
	snprintf(path, sizeof(path), "%s@%s", w->shared->path, name);
	return quiver_open(path, &options, view, NULL);
}

static void make_and_look(struct worker *w, const char *name)
{
	struct shared *sh = w->shared;
	bool removed_while_open = test_below(&w->random, 2) == 0;
	uint64_t least[WRITERS], most[WRITERS];
	struct quiver_snapshot made;
	struct quiver *view;
	int r;

	for (unsigned i = 0; i < WRITERS; i++)
		least[i] = atomic_load(&sh->done[i]);
	MUST(quiver_snapshot_create(sh->store, name, &made) == 0);
	for (unsigned i = 0; i < WRITERS; i++)
		most[i] = atomic_load(&sh->begun[i]);
	MUST(open_view(w, name, &view) == 0);
	if (atomic_load(&sh->wrong))
		return;
	for (unsigned i = 0; i < WRITERS; i++) {
		wait_for(sh, i, most[i]);
		find_made(w, view, made.lsn, i, least[i], most[i]);
	}
	look(w, view, made.count);
	if (removed_while_open) {
		r = quiver_snapshot_remove(sh->store, name);
		MUST(r == 0 || r == -EBUSY); /* another process, as it were, has it open */
		removed_while_open = r == 0;
	}
	for (unsigned i = 0; i < LOOKS; i++) {
		usleep((useconds_t)test_below(&w->random, 20000));
		look(w, view, made.count);
	}
	MUST(quiver_close(view) == 0);
	if (!removed_while_open)
		MUST(quiver_snapshot_remove(sh->store, name) == 0);
	atomic_fetch_add(&sh->snapshots, 1);
}

static void *keeper(void *arg)
{
	struct worker *w = arg;
	char name[16];

	snprintf(name, sizeof(name), "of-%u", w->number);
	while (!atomic_load(&w->shared->stop) && !atomic_load(&w->shared->wrong))
		make_and_look(w, name);
	return NULL;
}

/* Those that the keepers have come and go meanwhile. */
static void list_snapshots(struct worker *w)
{
	struct quiver_snapshot *all = NULL;
	size_t count = 0;

	MUST(quiver_snapshots(w->shared->store, &all, &count) == 0);
	MUST(count <= KEEPERS);
	for (size_t i = 1; i < count; i++)
		MUST(all[i].lsn >= all[i - 1].lsn && !all[i].damaged);
	free(all);
}

static void *disturber(void *arg)
{
	struct worker *w = arg;
	struct quiver *store = w->shared->store;
	struct quiver_stats stats = { .size = sizeof(stats) };

	while (!atomic_load(&w->shared->stop)) {
		int r = 0;

		switch (test_below(&w->random, 7)) {
		case 0:
			r = quiver_checkpoint(store);
			break;
		case 1:
			r = quiver_flush(store);
			break;
		case 2:
			r = quiver_job_start(store, QUIVER_VERIFY);
			break;
		case 3:
			r = quiver_set_durability(
				store, (enum quiver_durability)test_below(&w->random, 4));
			break;
		case 4:
			list_snapshots(w);
			break;
		case 5:
			quiver_stats(store, &stats);
			MUST(stats.snapshots <= KEEPERS && stats.slots_used >= stats.count);
			break;
		default:
			r = quiver_job_start(store, QUIVER_COMPACT);
		}
		MUST(r == 0 || r == -EBUSY);
		usleep(500);
	}
	return NULL;
}

/* ---- all of them ---- */

static void start(struct worker *w, struct shared *sh, unsigned number, void *(*body)(void *))
{
	w->shared = sh;
	w->number = number;
	w->random = test_seed() + number * 77u + (body == keeper);
	assert_int_equal(pthread_create(&w->thread, NULL, body, w), 0);
}

static unsigned run_ms(void)
{
	const char *text = getenv("QUIVERFS_TEST_LONG");

	return text && text[0] == '1' ? 30 * RUN_MS_DEFAULT : RUN_MS_DEFAULT;
}

/* Nothing is held once there are no snapshots. */
static void check_end(struct quiver *store)
{
	struct quiver_job_status status;

	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(stats_of(store).snapshots, 0);
	assert_int_equal(stats_of(store).slots_held, 0);
	assert_int_equal(stats_of(store).versions_bytes, 0);
	assert_int_equal(leaked_slots(store), 0);
	quiver_job_status(store, QUIVER_VERIFY, &status);
	assert_int_equal(status.mismatches, 0);
}

static void all_at_once(struct store_dir *s, enum quiver_durability mode)
{
	struct worker *workers = calloc(WRITERS + KEEPERS + 1, sizeof(*workers));
	struct shared *sh = calloc(1, sizeof(*sh));
	unsigned n = 0;

	assert_true(workers && sh);
	sh->store = open_mode(s, mode);
	sh->path = s->path;
	sh->n = s->n;
	for (unsigned i = 0; i < WRITERS; i++) {
		sh->lsns[i] = calloc(OPERATIONS_MAX, sizeof(*sh->lsns[i]));
		assert_non_null(sh->lsns[i]);
		start(&workers[n++], sh, i, writer);
	}
	for (unsigned i = 0; i < KEEPERS; i++)
		start(&workers[n++], sh, i, keeper);
	start(&workers[n++], sh, 9, disturber);
	usleep(run_ms() * 1000);
	atomic_store(&sh->stop, true);
	while (n > 0)
		assert_int_equal(pthread_join(workers[--n].thread, NULL), 0);
	assert_int_equal(atomic_load(&sh->wrong), 0);
	printf("# %" PRIu64 " operations, %" PRIu64 " snapshots, looked at %" PRIu64 " times\n",
	       (uint64_t)(sh->done[0] + sh->done[1] + sh->done[2]), (uint64_t)sh->snapshots,
	       (uint64_t)sh->looks);
	check_end(sh->store);
	close_store(sh->store);
	for (unsigned i = 0; i < WRITERS; i++)
		free(sh->lsns[i]);
	free(sh);
	free(workers);
}

static void test_a_snapshot_is_one_state_between_begin_and_end_of_its_making(void **state)
{
	all_at_once(*state, QUIVER_FSYNC);
}

static void test_the_same_with_group_commit(void **state)
{
	all_at_once(*state, QUIVER_ALWAYS);
}

static void test_the_same_without_a_log(void **state)
{
	all_at_once(*state, QUIVER_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_snapshot_is_one_state_between_begin_and_end_of_its_making),
		TEST(test_the_same_with_group_commit),
		TEST(test_the_same_without_a_log),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
