/*
 * race.c - two clients of one collection that get in each other's way, with an oracle here.
 *
 *	race PATH together	both create, remove, overwrite and change attributes at once
 *	race PATH late		what one has sent, and nobody waits for any more, comes later
 *	race PATH frozen PID..	the same where the OSDs, which are PID.., are frozen meanwhile
 *	race PATH repair	one writes what another has found damaged, and is about to move aside
 *
 * Each client is an open store of its own. Exit status 0, or 1 with what went wrong on stderr.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <rados/librados.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/quiver.h"

#define IDS 200 /* each is fought for once */
#define ROUNDS 150 /* of overwrites of one vector by each */
#define LATE_US 300000 /* for what comes late; where it takes longer the test sees less */
#define FREEZE_US 50000 /* for the last of its threads */
#define FROZEN_ROUNDS 1
#define REPAIR_OPERATIONS_MAX 20 /* each copy that is left makes it one more */
#define FROZEN_TIMEOUT "op_timeout=2"

static unsigned failures;

#define EXPECT(what, ...)                                                     \
	do {                                                                  \
		if (!(what)) {                                                \
			failures++;                                           \
			(void)fprintf(stderr, "%s:%d: ", __func__, __LINE__); \
			(void)fprintf(stderr, __VA_ARGS__);                   \
			(void)fputc('\n', stderr);                            \
		}                                                             \
	} while (0)

struct client {
	struct quiver *store;
	uint64_t number; /* 1, 2 */
	uint32_t dim;
	void (*run)(struct client *client);
	unsigned won, lost;
	uint64_t value; /* of the last acknowledged put */
};

static struct client open_client(const char *path, uint64_t number, const char *access)
{
	const struct quiver_options options = { .size = sizeof(options), .access = access };
	struct quiver_error error = { "" };
	struct client client = { .number = number };
	int r = quiver_open(path, &options, &client.store, &error);

	if (r != 0) {
		(void)fprintf(stderr, "%s: %s\n", path, error.text);
		exit(2);
	}
	client.dim = quiver_geometry(client.store)->dim;
	return client;
}

/* ---- vectors that tell whether they are whole ---- */

/* All elements are the value: f8, so that it is exact. */
static int put(struct client *client, uint64_t id, uint64_t value, unsigned flags)
{
	const struct quiver_attr attr = { .mtime_ns = (int64_t)value, .mode = 0644 };
	double *vector = malloc(client->dim * sizeof(*vector));
	int r;

	for (uint32_t i = 0; i < client->dim; i++)
		vector[i] = (double)value;
	r = quiver_put(client->store, id, vector, &attr, QUIVER_ATTR_ALL, flags, NULL);
	free(vector);
	return r;
}

/* `count` from `first` on, by one call. */
static int put_batch(struct client *client, uint64_t first, unsigned count, uint64_t value)
{
	const struct quiver_attr attr = { .mtime_ns = (int64_t)value, .mode = 0644 };
	double *vector = malloc(client->dim * sizeof(*vector));
	struct quiver_record *records = calloc(count, sizeof(*records));
	int r;

	for (uint32_t i = 0; i < client->dim; i++)
		vector[i] = (double)value;
	for (unsigned i = 0; i < count; i++)
		records[i] = (struct quiver_record){ .id = first + i, .data = vector };
	r = quiver_put_batch(client->store, records, count, &attr, QUIVER_ATTR_ALL, 0, NULL);
	free(records);
	free(vector);
	return r;
}

/* The value, 0: no such vector. One that is torn, or has another's attributes, is a failure. */
static uint64_t get(struct client *client, uint64_t id)
{
	double *vector = malloc(client->dim * sizeof(*vector));
	struct quiver_attr attr;
	int r = quiver_get_copy(client->store, id, vector, &attr, NULL);
	uint64_t value = r == 0 ? (uint64_t)vector[0] : 0;

	EXPECT(r == 0 || r == -ENOENT, "get of %lu: %s", id, strerror(-r));
	for (uint32_t i = 0; r == 0 && i < client->dim; i++)
		EXPECT((uint64_t)vector[i] == value, "torn: %lu", id);
	EXPECT(r != 0 || attr.mtime_ns == (int64_t)value, "attributes of another version: %lu", id);
	free(vector);
	return value;
}

/* ---- together ---- */

static void *run_client(void *arg)
{
	struct client *client = arg;

	client->run(client);
	return NULL;
}

/* Both at once. */
static void together(struct client clients[2], void (*run)(struct client *client))
{
	pthread_t thread;

	for (int i = 0; i < 2; i++) {
		clients[i].run = run;
		clients[i].won = clients[i].lost = 0;
	}
	if (pthread_create(&thread, NULL, run_client, &clients[1]) != 0)
		exit(2);
	run(&clients[0]);
	(void)pthread_join(thread, NULL);
}

static void create_all(struct client *client)
{
	for (uint64_t id = 0; id < IDS; id++) {
		int r = put(client, id, client->number, QUIVER_NOREPLACE);

		EXPECT(r == 0 || r == -EEXIST, "create of %lu: %s", id, strerror(-r));
		client->won += r == 0;
		client->lost += r == -EEXIST;
	}
}

static void remove_all(struct client *client)
{
	for (uint64_t id = 0; id < IDS; id++) {
		int r = quiver_remove(client->store, id, 0, NULL);

		EXPECT(r == 0 || r == -ENOENT, "remove of %lu: %s", id, strerror(-r));
		client->won += r == 0;
		client->lost += r == -ENOENT;
	}
}

static void overwrite_one(struct client *client)
{
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		uint64_t value = i * 2 + client->number - 1;
		int r = put(client, 0, value, 0);

		EXPECT(r == 0, "overwrite: %s", strerror(-r));
		if (r == 0)
			client->value = value;
		(void)get(client, 0);
	}
}

/* One changes the mode, the other the mtime: both are there in the end. */
static void change_attributes(struct client *client)
{
	for (unsigned i = 1; i <= ROUNDS; i++) {
		const struct quiver_attr attr = { .mode = (uint16_t)i, .uid = i };
		int r = quiver_set_attr(client->store, 0, &attr,
		                        client->number == 1 ? QUIVER_ATTR_MODE : QUIVER_ATTR_UID,
		                        0);

		EXPECT(r == 0, "attributes: %s", strerror(-r));
	}
}

/* One creates and removes, the other overwrites by plain puts, which always succeed. */
static void come_and_go(struct client *client)
{
	for (unsigned i = 1; i <= ROUNDS; i++) {
		int r = client->number == 1 ? quiver_remove(client->store, 0, 0, NULL)
		                            : put(client, 0, i + 10, 0);

		EXPECT(r == 0 || (client->number == 1 && r == -ENOENT), "come and go: %s",
		       strerror(-r));
	}
}

/* One changes the label, the other the directory's mode. */
static void change_header(struct client *client)
{
	for (unsigned i = 1; i <= ROUNDS; i++) {
		const struct quiver_attr attr = { .mode = (uint16_t)i };
		char label[16];
		int length = snprintf(label, sizeof(label), "label %u", i);
		int r = client->number == 1
		                ? quiver_set_label(client->store, label, (size_t)length)
		                : quiver_set_dir_attr(client->store, &attr, QUIVER_ATTR_MODE, 0);

		EXPECT(r == 0, "header: %s", strerror(-r));
	}
}

static void race_together(const char *path)
{
	struct client clients[2] = { open_client(path, 1, NULL), open_client(path, 2, NULL) };
	struct quiver_description description;
	struct quiver_attr attr;
	uint64_t value;

	together(clients, create_all);
	EXPECT(clients[0].won + clients[1].won == IDS, "%u and %u created, of %u", clients[0].won,
	       clients[1].won, IDS);
	EXPECT(clients[0].lost + clients[1].lost == IDS, "not one each: create");
	together(clients, overwrite_one);
	value = get(&clients[0], 0);
	EXPECT(value == clients[0].value || value == clients[1].value,
	       "%lu is nobody's last overwrite", value);
	EXPECT(value == get(&clients[1], 0), "the two see different vectors");
	together(clients, change_attributes);
	EXPECT(quiver_stat(clients[0].store, 0, 0, &attr, NULL) == 0, "stat");
	EXPECT(attr.mode == ROUNDS && attr.uid == ROUNDS, "attributes lost: mode %u, uid %u",
	       attr.mode, attr.uid);
	together(clients, remove_all);
	EXPECT(clients[0].won + clients[1].won == IDS, "%u and %u removed, of %u", clients[0].won,
	       clients[1].won, IDS);
	EXPECT(clients[0].lost + clients[1].lost == IDS, "not one each: remove");
	together(clients, come_and_go);
	together(clients, change_header);
	EXPECT(quiver_dir_attr(clients[1].store, 0, &attr) == 0 && attr.mode == ROUNDS,
	       "mode of the directory lost: %u", attr.mode);
	quiver_describe(clients[1].store, &description);
	EXPECT(atoi(description.label + 6) == ROUNDS, "label lost: %s", description.label);
	for (int i = 0; i < 2; i++)
		EXPECT(quiver_close(clients[i].store) == 0, "close");
}

/* ---- late ---- */

static void signal_all(char *const pids[], int signal_number)
{
	for (size_t i = 0; pids[i] != NULL; i++) {
		if (kill((pid_t)strtol(pids[i], NULL, 10), signal_number) != 0)
			exit(2);
	}
}

/*
 * The module calls this in place of librados' own: of the thread that says so the operation is not
 * sent until let_go. Its caller is interrupted meanwhile, so it is one of which nobody knows
 * whether it will come.
 */
typedef int (*operate_function)(rados_write_op_t op, rados_ioctx_t io,
                                rados_completion_t completion, const char *object, time_t *mtime,
                                int flags);

/* SIGSTOP is not waited for by kill: until the process says that it has stopped. */
static void freeze_all(char *const pids[])
{
	signal_all(pids, SIGSTOP);
	for (size_t i = 0; pids[i] != NULL; i++) {
		char name[64], state = ' ';

		(void)snprintf(name, sizeof(name), "/proc/%s/stat", pids[i]);
		while (state != 'T') {
			FILE *file = fopen(name, "r");

			if (!file || fscanf(file, "%*d %*s %c", &state) != 1)
				exit(2);
			(void)fclose(file); /* only read */
		}
	}
	(void)usleep(FREEZE_US);
}

static _Thread_local bool is_held_here;
static _Thread_local char *const *to_freeze; /* before it sends */
/* Called before the next operation but so many is sent. */
static _Thread_local void (*meanwhile)(void);
static _Thread_local unsigned meanwhile_in;

static struct {
	_Atomic bool is_full;
	rados_write_op_t op;
	rados_ioctx_t io;
	rados_completion_t completion;
	char object[256];
} held;

static int operate(rados_write_op_t write_op, rados_ioctx_t io, rados_completion_t completion,
                   const char *oid, time_t *mtime, int flags)
{
	void *librados = dlopen("librados.so.2", RTLD_NOW); /* the module has it already */
	operate_function real = NULL;

	if (librados)
		*(void **)&real = dlsym(librados, "rados_aio_write_op_operate");
	return real ? real(write_op, io, completion, oid, mtime, flags) : -ENOSYS;
}

int rados_aio_write_op_operate(rados_write_op_t write_op, rados_ioctx_t io,
                               rados_completion_t completion, const char *oid, time_t *mtime,
                               int flags)
{
	void (*call)(void) = meanwhile;

	if (to_freeze)
		freeze_all(to_freeze);
	if (call && meanwhile_in-- == 0) {
		meanwhile = NULL;
		call();
	}
	if (!is_held_here)
		return operate(write_op, io, completion, oid, mtime, flags);
	held.op = write_op;
	held.io = io;
	held.completion = completion;
	(void)snprintf(held.object, sizeof(held.object), "%s", oid);
	atomic_store(&held.is_full, true);
	return 0;
}

static bool is_held(void *arg)
{
	(void)arg;
	return atomic_load(&held.is_full);
}

/* The calls of this thread from here on are those that come late. */
static void hold(void)
{
	is_held_here = true;
	quiver_set_interrupt(is_held, NULL);
}

static void hold_no_more(int r)
{
	EXPECT(r == -EINTR, "a call that is held: %s", strerror(-r));
	is_held_here = false;
	quiver_set_interrupt(NULL, NULL);
}

/* What was held happens now, or not. */
static void let_go(void)
{
	if (!atomic_load(&held.is_full))
		return;
	atomic_store(&held.is_full, false);
	EXPECT(operate(held.op, held.io, held.completion, held.object, NULL, 0) == 0, "late");
	(void)usleep(LATE_US);
}

/* Whether each vector has an object of its own: then a batch is many operations. */
static bool is_sparse(struct client *client)
{
	char *text;
	bool sparse;

	if (quiver_facts(client->store, QUIVER_NOWAIT, &text) != 0)
		exit(2);
	sparse = strstr(text, "slots_per_object 1\n") != NULL;
	free(text);
	return sparse;
}

static void race_late_batches(struct client *late, struct client *other)
{
	const uint64_t fresh = 300000; /* in an object that is not there */
	const uint64_t empty = 400000; /* in one that is, where it is not */

	if (is_sparse(late))
		return;
	/* The first of its object comes after another's, and the removal of that. */
	hold();
	hold_no_more(put_batch(late, fresh, 2, 20));
	EXPECT(put_batch(other, fresh, 2, 21) == 0, "batch");
	EXPECT(quiver_remove(other->store, fresh, 0, NULL) == 0, "remove");
	let_go();
	EXPECT(get(other, fresh) == 0, "a late batch brought back what was removed");
	EXPECT(get(other, fresh + 1) == 21, "a late batch undid a newer one");
	/* It comes after a newer put of one of its vectors: whole or not at all. */
	hold();
	hold_no_more(put_batch(late, fresh, 2, 22));
	EXPECT(put(other, fresh + 1, 23, 0) == 0, "put");
	let_go();
	EXPECT(get(other, fresh) == 0 && get(other, fresh + 1) == 23,
	       "a late batch undid a newer put");
	/* After a creation and a removal of the same. */
	EXPECT(put(other, empty + 5, 24, 0) == 0, "put");
	hold();
	hold_no_more(put_batch(late, empty, 3, 25));
	EXPECT(put(other, empty + 1, 26, 0) == 0, "put");
	EXPECT(quiver_remove(other->store, empty + 1, 0, NULL) == 0, "remove");
	let_go();
	EXPECT(get(other, empty + 1) == 0, "a late batch brought back what was removed");
	/* Where nobody has done anything since, it may come, and is whole. */
	hold();
	hold_no_more(put_batch(late, empty, 3, 27));
	EXPECT(get(other, empty) == 0, "what was not sent is there");
	let_go();
	EXPECT(get(other, empty) == 27 && get(other, empty + 2) == 27,
	       "what was sent is not there");
}

static void race_late(const char *path)
{
	struct client late = open_client(path, 1, NULL);
	struct client other = open_client(path, 2, NULL);
	const struct quiver_attr attr = { .mode = 0600 };
	struct quiver_description description;
	struct quiver_attr found;

	/* An overwrite comes after a newer one. */
	EXPECT(put(&other, 0, 1, 0) == 0, "put");
	hold();
	hold_no_more(put(&late, 0, 2, 0));
	EXPECT(put(&other, 0, 3, 0) == 0, "put");
	let_go();
	EXPECT(get(&other, 0) == 3, "a late overwrite undid a newer one");
	/* A creation comes after another one and its removal. */
	hold();
	hold_no_more(put(&late, 1, 4, 0));
	EXPECT(put(&other, 1, 5, 0) == 0, "put");
	EXPECT(quiver_remove(other.store, 1, 0, NULL) == 0, "remove");
	let_go();
	EXPECT(get(&other, 1) == 0, "a late creation brought back what was removed");
	/* The first of its object. */
	hold();
	hold_no_more(put(&late, 100000, 6, QUIVER_NOREPLACE));
	EXPECT(put(&other, 100000, 7, 0) == 0, "put");
	EXPECT(quiver_remove(other.store, 100000, 0, NULL) == 0, "remove");
	let_go();
	EXPECT(get(&other, 100000) == 0, "a late creation brought back what was removed");
	/* A removal comes after a newer version. */
	hold();
	hold_no_more(quiver_remove(late.store, 0, 0, NULL));
	EXPECT(put(&other, 0, 8, 0) == 0, "put");
	let_go();
	EXPECT(get(&other, 0) == 8, "a late removal removed a newer version");
	/* Attributes come after a newer version, and after newer attributes. */
	hold();
	hold_no_more(quiver_set_attr(late.store, 0, &attr, QUIVER_ATTR_MODE, 0));
	EXPECT(put(&other, 0, 9, 0) == 0, "put");
	let_go();
	EXPECT(get(&other, 0) == 9, "late attributes undid a newer version");
	hold();
	hold_no_more(quiver_set_attr(late.store, 0, &attr, QUIVER_ATTR_MODE, 0));
	found = (struct quiver_attr){ .mode = 0640 };
	EXPECT(quiver_set_attr(other.store, 0, &found, QUIVER_ATTR_MODE, 0) == 0, "attributes");
	let_go();
	EXPECT(quiver_stat(other.store, 0, 0, &found, NULL) == 0 && found.mode == 0640,
	       "late attributes undid newer ones");
	/* A label comes after a newer one. */
	hold();
	hold_no_more(quiver_set_label(late.store, "late", 4));
	EXPECT(quiver_set_label(other.store, "newer", 5) == 0, "label");
	let_go();
	EXPECT(quiver_dir_attr(other.store, 0, &found) == 0, "directory");
	quiver_describe(other.store, &description);
	EXPECT(strcmp(description.label, "newer") == 0, "a late label undid a newer one");
	/* Where nobody has done anything since, it may come, and is whole. */
	hold();
	hold_no_more(put(&late, 2, 10, 0));
	EXPECT(get(&other, 2) == 0, "what was not sent is there");
	let_go();
	EXPECT(get(&other, 2) == 10, "what was sent is not there");
	race_late_batches(&late, &other);
	EXPECT(quiver_close(late.store) == 0 && quiver_close(other.store) == 0, "close");
}

/* ---- frozen ---- */

static void put_newer(struct client *client)
{
	int r = put(client, 0, client->value, 0);

	EXPECT(r == 0, "put by who waits: %s", strerror(-r));
}

static void remove_newer(struct client *client)
{
	int r = put(client, 1, client->value, 0);

	EXPECT(r == 0, "create by who waits: %s", strerror(-r));
	r = quiver_remove(client->store, 1, 0, NULL);
	EXPECT(r == 0, "remove by who waits: %s", strerror(-r));
}

/* The late one times out on frozen OSDs; what the other has sent meanwhile is acknowledged when
 * they go on, and stays. */
static void freeze(struct client *late, struct client *other, uint64_t id, uint64_t value,
                   void (*run)(struct client *client), char *const pids[])
{
	pthread_t thread;
	int r;

	to_freeze = pids; /* between reading the row and writing it */
	r = put(late, id, value, 0);
	to_freeze = NULL;
	EXPECT(r == -ETIMEDOUT, "put on frozen OSDs: %s", strerror(-r));
	late->lost += r == -ETIMEDOUT;
	other->run = run;
	other->value = value + 1;
	if (pthread_create(&thread, NULL, run_client, other) != 0)
		exit(2);
	(void)usleep(LATE_US);
	signal_all(pids, SIGCONT);
	(void)pthread_join(thread, NULL);
	(void)usleep(LATE_US);
}

static void race_frozen(const char *path, char *const pids[])
{
	struct client late = open_client(path, 1, FROZEN_TIMEOUT);
	struct client other = open_client(path, 2, NULL);

	for (uint64_t i = 1; i <= FROZEN_ROUNDS; i++) {
		EXPECT(put(&other, 0, i * 10, 0) == 0, "put");
		freeze(&late, &other, 0, i * 10 + 1, put_newer, pids);
		EXPECT(get(&other, 0) == i * 10 + 2, "a late overwrite undid a newer one");
		freeze(&late, &other, 1, i * 10 + 5, remove_newer, pids);
		EXPECT(get(&other, 1) == 0, "a late creation brought back what was removed");
	}
	EXPECT(quiver_close(late.store) == 0 && quiver_close(other.store) == 0, "close");
	(void)printf("timed out %u of %u times\n", late.lost, 2 * FROZEN_ROUNDS);
}

/* ---- repair ---- */

static struct client writer;

static void put_meanwhile(void)
{
	writer.value++;
	EXPECT(put(&writer, 0, writer.value, 0) == 0, "put beside a repair");
}

/* Vector 0 of the collection has another byte. */
static void spoil(const char *path, uint64_t value)
{
	const char *pool = strchr(path, ':') + 1;
	const char *name = strchr(pool, '/') + 1;
	char pool_name[64], object[256];
	const char byte = (char)(value | 0x80);
	rados_t cluster;
	rados_ioctx_t io;

	(void)snprintf(pool_name, sizeof(pool_name), "%.*s", (int)(name - 1 - pool), pool);
	(void)snprintf(object, sizeof(object), "%s.%016x", name, 0);
	if (rados_create2(&cluster, "ceph", "client.admin", 0) != 0 ||
	    rados_conf_read_file(cluster, NULL) != 0 || rados_connect(cluster) != 0 ||
	    rados_ioctx_create(cluster, pool_name, &io) != 0 ||
	    rados_write(io, object, &byte, 1, 0) != 0)
		exit(2);
	rados_ioctx_destroy(io);
	rados_shutdown(cluster);
}

/* A healthy vector is written before each of the operations that a check with repair sends. */
static void race_repair(const char *path)
{
	unsigned ahead = 0;
	bool was_called = true;

	writer = open_client(path, 1, NULL);
	for (; was_called && ahead < REPAIR_OPERATIONS_MAX; ahead++) {
		struct quiver_check_result result;
		struct quiver_error error = { "" };

		EXPECT(put(&writer, 0, writer.value, 0) == 0, "put");
		spoil(path, ahead);
		meanwhile = put_meanwhile;
		meanwhile_in = ahead;
		EXPECT(quiver_check_with(path, NULL, true, NULL, NULL, &result, &error) == 0,
		       "check: %s", error.text);
		was_called = meanwhile == NULL;
		meanwhile = NULL;
		if (was_called)
			EXPECT(get(&writer, 0) == writer.value,
			       "a repair took what was written before its operation %u", ahead);
	}
	/* The header is tried, the copy made, the vector taken out. */
	EXPECT(ahead > 3, "only %u operations", ahead - 1);
	EXPECT(get(&writer, 0) == 0, "what is damaged is not moved aside");
	EXPECT(quiver_close(writer.store) == 0, "close");
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[2], "together") == 0)
		race_together(argv[1]);
	else if (argc == 3 && strcmp(argv[2], "late") == 0)
		race_late(argv[1]);
	else if (argc > 3 && strcmp(argv[2], "frozen") == 0)
		race_frozen(argv[1], argv + 3);
	else if (argc == 3 && strcmp(argv[2], "repair") == 0)
		race_repair(argv[1]);
	else
		return 2;
	return failures ? 1 : 0;
}
