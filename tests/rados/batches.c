/*
 * batches.c - two clients of one collection, each with a connection of its own, at the same vectors.
 *
 * usage: batches COLLECTION WHAT
 *   halves      one writes the even IDs of each object, the other the odd ones
 *   create      both make the same objects, with QUIVER_NOREPLACE
 *   overwrite   both write the same objects over, while a third reads them
 *   singles     one writes vectors one by one that the other writes by the object
 *   records     which of the same IDs counts, attributes, errors of one batch
 *   many        reads of many: missing ones, the same twice, in any order
 *   job         verification in the background: to its end, stopped, and ended by a close
 * Ends with 0, or with a line of what is wrong. The collection is empty, of 1024 f4.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/quiver.h"

#define WORDS 512u /* of 8 bytes in a vector of 1024 f4 */
#define SLOTS 64u /* in an object of such vectors */
#define OBJECTS 8u
#define ROUNDS 25u

#define CHECK(holds) check((holds), #holds, __LINE__)

static void check(bool holds, const char *what, int line)
{
	if (holds)
		return;
	fprintf(stderr, "batches.c:%d: %s\n", line, what);
	exit(1);
}

struct client {
	struct quiver *store;
	uint64_t number; /* 1 or 2 */
	pthread_t thread;
	uint64_t won[OBJECTS * ROUNDS]; /* of `create` */
};

static struct client clients[2];
static _Atomic bool is_over;

static struct quiver *open_it(const char *path)
{
	const struct quiver_options options = { .size = sizeof(options) };
	struct quiver_error error = { "" };
	struct quiver *store = NULL;
	int r = quiver_open(path, &options, &store, &error);

	if (r != 0)
		fprintf(stderr, "%s\n", error.text);
	CHECK(r == 0);
	return store;
}

/* Of which client and round a vector is: all of its words say so, each in its way. */
static void fill(uint64_t *vector, uint64_t id, uint64_t mark)
{
	for (unsigned i = 0; i < WORDS; i++)
		vector[i] = (mark << 32 | id) * UINT64_C(0x9E3779B97F4A7C15) + i;
	vector[0] = mark;
}

static uint64_t mark_of(const uint64_t *vector, uint64_t id)
{
	uint64_t expected[WORDS];

	fill(expected, id, vector[0]);
	CHECK(memcmp(vector, expected, sizeof(expected)) == 0);
	return vector[0];
}

static uint64_t mark(const struct client *client, uint64_t round)
{
	return client->number << 24 | (round + 1);
}

/* `count` vectors from `first` on, each `step`-th. */
static int put(struct client *client, uint64_t first, unsigned count, unsigned step, uint64_t round,
               unsigned flags)
{
	static const struct quiver_attr attr = { .mode = 0644 };
	uint64_t(*vectors)[WORDS] = malloc(count * sizeof(*vectors));
	struct quiver_record *records = calloc(count, sizeof(*records));
	int r;

	CHECK(vectors && records);
	for (unsigned i = 0; i < count; i++) {
		records[i].id = first + i * step;
		fill(vectors[i], records[i].id, mark(client, round));
		records[i].data = vectors[i];
	}
	r = quiver_put_batch(client->store, records, count, &attr, QUIVER_ATTR_ALL, flags, NULL);
	free(records);
	free(vectors);
	return r;
}

static uint64_t get(struct client *client, uint64_t id)
{
	uint64_t vector[WORDS];

	CHECK(quiver_get_copy(client->store, id, vector, NULL, NULL) == 0);
	return mark_of(vector, id);
}

/* ---- what the two do ---- */

static void *write_half(void *arg)
{
	struct client *client = arg;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned object = 0; object < OBJECTS; object++)
			CHECK(put(client, object * SLOTS + client->number % 2, SLOTS / 2, 2, round,
			          0) == 0);
	}
	return NULL;
}

static void after_halves(void)
{
	for (uint64_t id = 0; id < OBJECTS * SLOTS; id++)
		CHECK(get(&clients[id % 2], id) ==
		      mark(&clients[id % 2 == clients[0].number % 2 ? 0 : 1], ROUNDS - 1));
}

static void *make_each(void *arg)
{
	struct client *client = arg;

	for (unsigned object = 0; object < OBJECTS * ROUNDS; object++) {
		int r = put(client, object * SLOTS, SLOTS, 1, object, QUIVER_NOREPLACE);

		CHECK(r == 0 || r == -EEXIST);
		client->won[object] = r == 0;
	}
	return NULL;
}

static void after_create(void)
{
	for (unsigned object = 0; object < OBJECTS * ROUNDS; object++) {
		const struct client *winner = &clients[clients[0].won[object] ? 0 : 1];

		CHECK(clients[0].won[object] + clients[1].won[object] == 1);
		for (unsigned slot = 0; slot < SLOTS; slot++)
			CHECK(get(&clients[0], object * SLOTS + slot) == mark(winner, object));
	}
}

static void *write_over(void *arg)
{
	struct client *client = arg;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned object = 0; object < OBJECTS; object++)
			CHECK(put(client, object * SLOTS, SLOTS, 1, round, 0) == 0);
	}
	return NULL;
}

/* An object as one operation leaves it: all its vectors of the same client and round. */
static void *read_objects(void *arg)
{
	struct quiver *store = arg;
	uint64_t(*vectors)[WORDS] = malloc(SLOTS * sizeof(*vectors));
	uint64_t ids[SLOTS];
	int results[SLOTS];

	CHECK(vectors != NULL);
	for (unsigned object = 0; !atomic_load(&is_over); object = (object + 1) % OBJECTS) {
		for (unsigned i = 0; i < SLOTS; i++)
			ids[i] = object * SLOTS + i;
		CHECK(quiver_get_many(store, ids, SLOTS, vectors, NULL, results) == 0);
		for (unsigned i = 0; i < SLOTS; i++) {
			CHECK(results[i] == results[0] &&
			      (results[i] == 0 || results[i] == -ENOENT));
			CHECK(results[i] != 0 || mark_of(vectors[i], ids[i]) == vectors[0][0]);
		}
	}
	free(vectors);
	return NULL;
}

static void after_overwrite(void)
{
	for (uint64_t id = 0; id < OBJECTS * SLOTS; id++) {
		uint64_t found = get(&clients[0], id);

		CHECK(found == mark(&clients[0], ROUNDS - 1) ||
		      found == mark(&clients[1], ROUNDS - 1));
	}
}

static void *write_single(void *arg)
{
	static const struct quiver_attr attr = { .mode = 0600 };
	struct client *client = arg;
	uint64_t vector[WORDS];

	for (unsigned round = 0; round < ROUNDS; round++) {
		if (client->number == 1) {
			CHECK(put(client, 0, SLOTS, 1, round, 0) == 0);
			continue;
		}
		for (unsigned i = 0; i < SLOTS; i++) {
			fill(vector, i, mark(client, round));
			CHECK(quiver_put(client->store, i, vector, &attr, QUIVER_ATTR_ALL, 0,
			                 NULL) == 0);
		}
	}
	return NULL;
}

static void after_singles(void)
{
	for (uint64_t id = 0; id < SLOTS; id++) {
		uint64_t found = get(&clients[0], id);

		CHECK(found == mark(&clients[0], ROUNDS - 1) ||
		      found == mark(&clients[1], ROUNDS - 1));
	}
}

/* ---- one client alone ---- */

static void try_records(struct client *client)
{
	static uint64_t vectors[4][WORDS];
	const struct quiver_attr attr = { .mode = 06755, .uid = 1, .gid = 2, .mtime_ns = 3 };
	const struct quiver_attr own = { .mode = 0600, .uid = 9, .gid = 9, .mtime_ns = 9 };
	struct quiver_record records[4] = { { 7, vectors[0], NULL, 0 },
		                            { 5, vectors[1], &own, QUIVER_ATTR_UID },
		                            { 7, vectors[2], NULL, 0 },
		                            { 1000, vectors[3], NULL, 0 } };
	struct quiver_attr found;
	uint64_t lsn = 0;
	uint64_t version = 0;

	for (unsigned i = 0; i < 4; i++)
		fill(vectors[i], records[i].id, mark(client, i));
	CHECK(quiver_put_batch(client->store, records, 4, &attr, QUIVER_ATTR_ALL, 0, &lsn) == 0);
	CHECK(get(client, 7) == mark(client, 2) && get(client, 5) == mark(client, 1));
	CHECK(quiver_stat(client->store, 1000, 0, &found, &version) == 0 && version == lsn);
	CHECK(quiver_stat(client->store, 5, 0, &found, NULL) == 0);
	CHECK(found.uid == 9 && found.gid == 2 && found.mode == 06755 && found.mtime_ns == 3);
	/* What is not meant is inherited, but for the bits that a stranger takes away. */
	CHECK(quiver_put_batch(client->store, records + 2, 1, &own,
	                       QUIVER_ATTR_MTIME | QUIVER_ATTR_DROP_SETID, 0, NULL) == 0);
	CHECK(quiver_stat(client->store, 7, 0, &found, NULL) == 0);
	CHECK(found.uid == 1 && found.gid == 2 && found.mode == 0755 && found.mtime_ns == 9);
	CHECK(quiver_put_batch(client->store, records, 1, &attr, QUIVER_ATTR_ALL, QUIVER_NOREPLACE,
	                       NULL) == -EEXIST);
	CHECK(quiver_put_batch(client->store, records, 1, &attr, QUIVER_ATTR_ALL, QUIVER_NOWAIT,
	                       NULL) == -EAGAIN);
	records[3].id = QUIVER_ID_MAX + 1;
	CHECK(quiver_put_batch(client->store, records, 4, &attr, QUIVER_ATTR_ALL, 0, NULL) ==
	      -EINVAL);
	records[3].id = QUIVER_ID_MAX;
	CHECK(quiver_put_batch(client->store, records + 3, 1, &attr, QUIVER_ATTR_ALL, 0, NULL) ==
	      0);
	CHECK(quiver_stat(client->store, QUIVER_ID_MAX, 0, &found, NULL) == 0);
}

/* What was listed is what was put, ascending. */
static void check_listing(struct quiver *store, const uint64_t *ids, size_t count)
{
	struct quiver_list *list;
	uint64_t found[16];

	CHECK(quiver_list_open(store, QUIVER_NOWAIT, &list) == -EAGAIN);
	CHECK(quiver_list_open(store, 0, &list) == 0);
	CHECK(quiver_list_count(store, list) == count && quiver_count(store) == count);
	CHECK(quiver_list_read(store, list, 0, 0, found, 16) == (int64_t)count);
	CHECK(memcmp(found, ids, count * sizeof(*ids)) == 0);
	CHECK(quiver_list_read(store, list, count, 0, found, 16) == 0);
	quiver_list_close(store, list);
}

static void try_many(struct client *client)
{
	static const uint64_t there[] = { 0, 1, 6, 63, 64, 100000, QUIVER_ID_MAX };
	static const uint64_t asked[] = { QUIVER_ID_MAX,  64,    2, 0, 63, 64, 100001, 6, 1,
		                          QUIVER_ID_NONE, 777777 };
	const size_t count = sizeof(asked) / sizeof(asked[0]);
	uint64_t(*vectors)[WORDS] = malloc(count * sizeof(*vectors));
	struct quiver_attr attrs[sizeof(asked) / sizeof(asked[0])];
	int results[sizeof(asked) / sizeof(asked[0])];

	CHECK(vectors != NULL);
	for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++)
		CHECK(put(client, there[i], 1, 1, there[i] % 1000, 0) == 0);
	CHECK(quiver_get_many(client->store, asked, count, vectors, attrs, results) == 0);
	for (size_t i = 0; i < count; i++) {
		bool is_there = false;

		for (size_t k = 0; k < sizeof(there) / sizeof(there[0]); k++)
			is_there = is_there || there[k] == asked[i];
		CHECK(results[i] == (is_there ? 0 : -ENOENT));
		CHECK(!is_there ||
		      (mark_of(vectors[i], asked[i]) == mark(client, asked[i] % 1000) &&
		       attrs[i].mode == 0644));
	}
	check_listing(client->store, there, sizeof(there) / sizeof(there[0]));
	CHECK(quiver_remove(client->store, 63, 0, NULL) == 0);
	CHECK(quiver_count(client->store) == sizeof(there) / sizeof(there[0]) - 1);
	free(vectors);
}

static struct quiver_job_status job_ended(struct quiver *store)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	struct quiver_job_status status;

	for (;;) {
		quiver_job_status(store, QUIVER_VERIFY, &status);
		if (!status.running)
			return status;
		CHECK(nanosleep(&moment, NULL) == 0);
	}
}

static void try_job(struct client *client)
{
	struct quiver_job_status status;

	for (unsigned object = 0; object < OBJECTS * ROUNDS; object++)
		CHECK(put(client, object * SLOTS, SLOTS, 1, 0, 0) == 0);
	quiver_job_status(client->store, QUIVER_VERIFY, &status);
	CHECK(!status.ever_ran && !status.running);
	CHECK(quiver_job_start(client->store, QUIVER_COMPACT) == -EOPNOTSUPP);
	CHECK(quiver_job_start(client->store, QUIVER_VERIFY) == 0);
	status = job_ended(client->store);
	CHECK(status.ever_ran && !status.stopped && status.result == 0 && status.mismatches == 0);
	CHECK(status.done == OBJECTS * ROUNDS * SLOTS && status.total == status.done);
	CHECK(status.duration_ns > 0 && status.started_ns > 0);
	CHECK(quiver_job_start(client->store, QUIVER_VERIFY) == 0);
	CHECK(quiver_job_start(client->store, QUIVER_VERIFY) == -EBUSY);
	CHECK(quiver_job_stop(client->store, QUIVER_VERIFY) == 0);
	status = job_ended(client->store);
	CHECK(status.ever_ran && status.stopped && status.done < OBJECTS * ROUNDS * SLOTS);
	CHECK(quiver_job_stop(client->store, QUIVER_VERIFY) == 0);
	CHECK(quiver_job_start(client->store, QUIVER_VERIFY) == 0);
	/* The store is closed under it. */
}

/* ---- */

static void both(void *(*run)(void *))
{
	for (unsigned i = 0; i < 2; i++)
		CHECK(pthread_create(&clients[i].thread, NULL, run, &clients[i]) == 0);
	for (unsigned i = 0; i < 2; i++)
		CHECK(pthread_join(clients[i].thread, NULL) == 0);
}

static void overwrite(const char *path)
{
	struct quiver *store = open_it(path);
	pthread_t reader;

	CHECK(pthread_create(&reader, NULL, read_objects, store) == 0);
	both(write_over);
	atomic_store(&is_over, true);
	CHECK(pthread_join(reader, NULL) == 0);
	CHECK(quiver_close(store) == 0);
	after_overwrite();
}

int main(int argc, char **argv)
{
	const char *what = argc == 3 ? argv[2] : "";

	CHECK(argc == 3);
	for (unsigned i = 0; i < 2; i++) {
		clients[i].store = open_it(argv[1]);
		clients[i].number = i + 1;
	}
	CHECK(quiver_geometry(clients[0].store)->vector_bytes == 8 * WORDS);
	if (strcmp(what, "halves") == 0)
		both(write_half), after_halves();
	else if (strcmp(what, "create") == 0)
		both(make_each), after_create();
	else if (strcmp(what, "overwrite") == 0)
		overwrite(argv[1]);
	else if (strcmp(what, "singles") == 0)
		both(write_single), after_singles();
	else if (strcmp(what, "records") == 0)
		try_records(&clients[0]);
	else if (strcmp(what, "many") == 0)
		try_many(&clients[0]);
	else if (strcmp(what, "job") == 0)
		try_job(&clients[0]);
	else
		CHECK(!"what");
	for (unsigned i = 0; i < 2; i++)
		CHECK(quiver_close(clients[i].store) == 0);
	return 0;
}
