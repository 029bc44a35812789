/*
 * ceph_many.c - many vectors and many clients for a Ceph cluster, from one process.
 *
 * Rows, of POOL/COLLECTION, a collection that has been created:
 *   fill     IDs from --start on, --count of them, a multiple of what an object has; all bytes are
 *            zeros, which no OSD keeps, so a million vectors fit anywhere; rows are as any
 *   clients  --count clients as a cluster knows them: each a connection to every OSD, and a watch
 *            of the header. Each line on standard input notifies all; its end ends them
 */
#include "bench.h"
#include "engine/rados/header.h"
#include "engine/rados/layout.h"
#include "engine/rados/row.h"

#include <errno.h>
#include <rados/librados.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define USER "client.admin"
#define IN_FLIGHT 32u
#define NAME_BYTES 80u
#define TOUCHED_OBJECTS 64u /* enough for each OSD of a small cluster to have one */
#define NOTIFY_MS 30000u

struct connection {
	rados_t cluster;
	rados_ioctx_t io;
	uint64_t watch;
	const char *header_name;
};

struct place {
	char pool[NAME_BYTES];
	const char *collection;
	char header_name[OBJECT_NAME_BYTES];
};

static void need(int r, const char *what)
{
	if (r < 0)
		bench_die("%s: %s", what, strerror(-r));
}

static void parse_place(const char *path, struct place *place)
{
	const char *slash = strchr(path, '/');

	if (!slash || (size_t)(slash - path) >= sizeof(place->pool) ||
	    !layout_name_is_valid(slash + 1, strlen(slash + 1)))
		bench_die("%s: expected POOL/COLLECTION", path);
	memcpy(place->pool, path, (size_t)(slash - path));
	place->pool[slash - path] = '\0';
	place->collection = slash + 1;
	layout_header_name(place->collection, place->header_name);
}

static void connect_to(const struct place *place, struct connection *connection)
{
	connection->header_name = place->header_name;
	need(rados_create2(&connection->cluster, "ceph", USER, 0), "rados_create2");
	need(rados_conf_read_file(connection->cluster, NULL), "CEPH_CONF");
	/* A thousand clients of one process would else be three thousand threads more. */
	need(rados_conf_set(connection->cluster, "ms_async_op_threads", "1"), "rados_conf_set");
	need(rados_connect(connection->cluster), "rados_connect");
	need(rados_ioctx_create(connection->cluster, place->pool, &connection->io), place->pool);
}

/* ---- fill --------------------------------------------------------------- */

/* What every object of the collection needs. */
struct filler {
	const struct place *place;
	rados_ioctx_t io;
	struct collection_header header;
	uint64_t mark; /* of the collection, in each row */
	uint8_t *zeros; /* a vector */
};

/* One operation in flight, that makes a whole object. */
struct flight {
	rados_completion_t completion; /* NULL: none */
	rados_write_op_t op;
	char (*keys)[KEY_BYTES];
	uint8_t (*rows)[ROW_BYTES];
	const char **key_at, **row_at;
	size_t *key_bytes, *row_bytes;
};

static void read_header(struct filler *filler)
{
	uint8_t bytes[COLLECTION_HEADER_BYTES];
	int r = rados_read(filler->io, filler->place->header_name, (char *)bytes, sizeof(bytes), 0);

	need(r, filler->place->header_name);
	need(collection_header_decode(bytes, (size_t)r, &filler->header),
	     filler->place->header_name);
	filler->mark = row_collection(filler->header.geometry.uuid);
	filler->zeros = bench_alloc(filler->header.layout.vector_bytes);
	memset(filler->zeros, 0, filler->header.layout.vector_bytes);
}

static void make_flight(const struct layout *layout, struct flight *flight)
{
	size_t slots = layout->slots;

	flight->completion = NULL;
	flight->keys = bench_alloc(slots * sizeof(*flight->keys));
	flight->rows = bench_alloc(slots * sizeof(*flight->rows));
	flight->key_at = bench_alloc(slots * sizeof(*flight->key_at));
	flight->row_at = bench_alloc(slots * sizeof(*flight->row_at));
	flight->key_bytes = bench_alloc(slots * sizeof(*flight->key_bytes));
	flight->row_bytes = bench_alloc(slots * sizeof(*flight->row_bytes));
	for (uint32_t i = 0; i < slots; i++) {
		layout_key(i, flight->keys[i]);
		flight->key_at[i] = flight->keys[i];
		flight->row_at[i] = (const char *)flight->rows[i];
		flight->key_bytes[i] = KEY_BYTES;
		flight->row_bytes[i] = ROW_BYTES;
	}
}

static void land(struct flight *flight)
{
	if (!flight->completion)
		return;
	need(rados_aio_wait_for_complete(flight->completion), "waiting");
	need(rados_aio_get_return_value(flight->completion), "filling");
	rados_aio_release(flight->completion);
	rados_release_write_op(flight->op);
	flight->completion = NULL;
}

static void free_flight(struct flight *flight)
{
	land(flight);
	free(flight->keys);
	free(flight->rows);
	free(flight->key_at);
	free(flight->row_at);
	free(flight->key_bytes);
	free(flight->row_bytes);
}

static void launch(const struct filler *filler, struct flight *flight, uint64_t object)
{
	const struct layout *layout = &filler->header.layout;
	char name[OBJECT_NAME_BYTES];

	for (uint32_t i = 0; i < layout->slots; i++) {
		struct row row = { .id = object * layout->slots + i,
			           .tag = { 1, object * layout->slots + i + 1 },
			           .attr = { .mode = 0644 } };

		row.sum = row_sum(row.id, &row.tag, filler->zeros, layout->vector_bytes);
		row_encode(&row, filler->mark, flight->rows[i]);
	}
	layout_object_name(filler->place->collection, object, name);
	flight->op = rados_create_write_op();
	rados_write_op_create(flight->op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	rados_write_op_truncate(flight->op, layout_object_bytes(layout));
	rados_write_op_omap_set2(flight->op, flight->key_at, flight->row_at, flight->key_bytes,
	                         flight->row_bytes, layout->slots);
	need(rados_aio_create_completion2(NULL, NULL, &flight->completion), "completion");
	need(rados_aio_write_op_operate(flight->op, filler->io, flight->completion, name, NULL, 0),
	     name);
}

static void fill(const struct place *place, const struct bench_args *args)
{
	struct bench_result result = { .ops = args->count };
	struct flight flights[IN_FLIGHT];
	struct connection connection;
	struct filler filler = { .place = place };
	uint64_t before, first, objects;

	connect_to(place, &connection);
	filler.io = connection.io;
	read_header(&filler);
	first = args->start / filler.header.layout.slots;
	objects = args->count / filler.header.layout.slots;
	if (args->start % filler.header.layout.slots != 0 ||
	    args->count % filler.header.layout.slots != 0)
		bench_die("--start and --count: expected multiples of %u",
		          filler.header.layout.slots);
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		make_flight(&filler.header.layout, &flights[i]);
	before = bench_now_ns();
	for (uint64_t i = 0; i < objects; i++) {
		land(&flights[i % IN_FLIGHT]);
		launch(&filler, &flights[i % IN_FLIGHT], first + i);
	}
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		free_flight(&flights[i]);
	result.ns = bench_now_ns() - before;
	free(filler.zeros);
	rados_ioctx_destroy(connection.io);
	rados_shutdown(connection.cluster);
	bench_print(&result);
}

/* ---- clients ------------------------------------------------------------ */

static void notified(void *arg, uint64_t notify, uint64_t handle, uint64_t from, void *data,
                     size_t length)
{
	const struct connection *connection = arg;

	(void)from;
	(void)data;
	(void)length;
	/* The notify of the other side tells when one is missing. */
	(void)rados_notify_ack(connection->io, connection->header_name, notify, handle, NULL, 0);
}

static void watch_broke(void *arg, uint64_t handle, int error)
{
	(void)arg;
	(void)handle;
	bench_die("a watch broke: %s", strerror(-error));
}

/* As a mount that has been in use for a while. */
static void come(const struct place *place, struct connection *connection)
{
	char name[OBJECT_NAME_BYTES];
	uint64_t size;
	time_t mtime;

	connect_to(place, connection);
	need(rados_watch2(connection->io, place->header_name, &connection->watch, notified,
	                  watch_broke, connection),
	     "rados_watch2");
	for (uint64_t i = 0; i < TOUCHED_OBJECTS; i++) {
		int r;

		layout_object_name(place->collection, i, name);
		r = rados_stat(connection->io, name, &size, &mtime);
		if (r != -ENOENT)
			need(r, name);
	}
}

static void allow_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		bench_die("getrlimit: %s", strerror(errno));
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		bench_die("setrlimit: %s", strerror(errno));
}

static _Noreturn void clients(const struct place *place, const struct bench_args *args)
{
	struct connection *all = bench_alloc(args->count * sizeof(*all));
	struct bench_result result = { .ops = args->count };
	uint64_t before = bench_now_ns();
	char line[NAME_BYTES];

	allow_files();
	for (uint64_t i = 0; i < args->count; i++)
		come(place, &all[i]);
	result.ns = bench_now_ns() - before;
	bench_print(&result);
	while (fgets(line, sizeof(line), stdin)) {
		before = bench_now_ns();
		need(rados_notify2(all[0].io, place->header_name, NULL, 0, NOTIFY_MS, NULL, NULL),
		     "rados_notify2");
		result = (struct bench_result){ .ops = 1, .ns = bench_now_ns() - before };
		bench_print(&result);
	}
	/* Taking leave of everybody one by one takes longer than all that was measured. */
	_exit(0);
}

int main(int argc, char **argv)
{
	struct bench_args args;
	struct place place;

	bench_args_parse(argc, argv, &args);
	parse_place(args.path, &place);
	if (args.count < 1)
		bench_die("--count: expected at least 1");
	if (strcmp(args.row, "fill") == 0)
		fill(&place, &args);
	else if (strcmp(args.row, "clients") == 0)
		clients(&place, &args);
	else
		bench_die("no row %s", args.row);
	return 0;
}
