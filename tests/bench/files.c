/*
 * files.c - clients of a folder with one file for each vector, on whatever filesystem.
 *
 * Rows: create; overwrite, truncate and rename (of those that are there); delete, thin (deletes some
 * of those that are there), read, stat, list, list-attr. With --mode fsync each file that is written
 * is synced before it is closed.
 */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES 32

struct client {
	const struct bench_args *args;
	int dir; /* the folder */
	const uint64_t *ids; /* that the row works on, in its order */
	uint64_t id_count;
	bool attributes; /* list: of each name as well */
	bool sync; /* what is written, before it is closed */
};

static uint64_t id_of(const struct client *client, uint64_t i)
{
	return client->ids ? client->ids[i % client->id_count] : client->args->start + i;
}

static const char *name_of(char *name, const char *prefix, uint64_t id)
{
	(void)snprintf(name, NAME_BYTES, "%s%" PRIu64, prefix, id);
	return name;
}

static void *new_buffer(void *arg, unsigned worker)
{
	const struct client *client = arg;
	void *buffer = bench_alloc(client->args->bytes);

	bench_fill(buffer, client->args->bytes, client->args->seed + worker);
	return buffer;
}

static void drop_buffer(void *arg, void *buffer)
{
	(void)arg;
	free(buffer);
}

static void write_file(const struct client *client, const char *name, int flags, void *data)
{
	int fd = openat(client->dir, name, O_WRONLY | O_CLOEXEC | flags, 0666);
	ssize_t size = client->args->bytes;

	if (fd < 0 || write(fd, data, (size_t)size) != size || (client->sync && fsync(fd) != 0) ||
	    close(fd) != 0)
		bench_die("writing %s/%s: %s", client->args->path, name, strerror(errno));
}

static void op_create(void *arg, void *session, uint64_t i)
{
	char name[NAME_BYTES];

	write_file(arg, name_of(name, "", id_of(arg, i)), O_CREAT | O_EXCL, session);
}

static void op_overwrite(void *arg, void *session, uint64_t i)
{
	char name[NAME_BYTES];

	write_file(arg, name_of(name, "", id_of(arg, i)), 0, session);
}

static void op_truncate(void *arg, void *session, uint64_t i)
{
	char name[NAME_BYTES];

	write_file(arg, name_of(name, "", id_of(arg, i)), O_TRUNC, session);
}

static void op_rename(void *arg, void *session, uint64_t i)
{
	const struct client *client = arg;
	char scratch[NAME_BYTES], name[NAME_BYTES];

	write_file(arg, name_of(scratch, ".new-", id_of(arg, i)), O_CREAT | O_EXCL, session);
	if (renameat(client->dir, scratch, client->dir, name_of(name, "", id_of(arg, i))) != 0)
		bench_die("renaming %s/%s: %s", client->args->path, scratch, strerror(errno));
}

static void op_delete(void *arg, void *session, uint64_t i)
{
	const struct client *client = arg;
	char name[NAME_BYTES];

	(void)session;
	if (unlinkat(client->dir, name_of(name, "", id_of(arg, i)), 0) != 0)
		bench_die("deleting %s/%s: %s", client->args->path, name, strerror(errno));
}

static void op_read(void *arg, void *session, uint64_t i)
{
	const struct client *client = arg;
	ssize_t size = client->args->bytes;
	char name[NAME_BYTES];
	int fd = openat(client->dir, name_of(name, "", id_of(arg, i)), O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, session, (size_t)size) != size || close(fd) != 0)
		bench_die("reading %s/%s: %s", client->args->path, name, strerror(errno));
}

static void op_stat(void *arg, void *session, uint64_t i)
{
	const struct client *client = arg;
	char name[NAME_BYTES];
	struct stat st;

	(void)session;
	if (fstatat(client->dir, name_of(name, "", id_of(arg, i)), &st, 0) != 0 ||
	    st.st_size != (off_t)client->args->bytes)
		bench_die("stat of %s/%s: %s", client->args->path, name, strerror(errno));
}

/* ---- listing ------------------------------------------------------------ */

static DIR *open_list(const char *path)
{
	DIR *list = opendir(path);

	if (!list)
		bench_die("listing %s: %s", path, strerror(errno));
	return list;
}

/* The next name that is not hidden; NULL at the end. */
static const char *next_name(const char *path, DIR *list)
{
	const struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(list);
		if (!entry && errno != 0)
			bench_die("listing %s: %s", path, strerror(errno));
	} while (entry && entry->d_name[0] == '.');
	return entry ? entry->d_name : NULL;
}

static void close_list(const char *path, DIR *list)
{
	if (closedir(list) != 0)
		bench_die("listing %s: %s", path, strerror(errno));
}

static void op_list(void *arg, void *session, uint64_t i)
{
	const struct client *client = arg;
	const char *path = client->args->path;
	DIR *list = open_list(path);
	uint64_t seen = 0;
	const char *name;
	struct stat st;

	(void)session;
	(void)i;
	while ((name = next_name(path, list)) != NULL) {
		if (client->attributes && fstatat(client->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			bench_die("stat of %s/%s: %s", path, name, strerror(errno));
		seen++;
	}
	close_list(path, list);
	if (seen != client->args->count)
		bench_die("%s lists %" PRIu64 " names, expected %" PRIu64, path, seen,
		          client->args->count);
}

/* The IDs as the folder lists them. */
static uint64_t *listed_ids(const struct bench_args *args)
{
	uint64_t *ids = bench_alloc(args->count * sizeof(*ids));
	DIR *list = open_list(args->path);
	uint64_t seen = 0;
	const char *name;

	while (seen < args->count && (name = next_name(args->path, list)) != NULL)
		ids[seen++] = strtoull(name, NULL, 10);
	close_list(args->path, list);
	if (seen != args->count)
		bench_die("%s lists %" PRIu64 " names, expected %" PRIu64, args->path, seen,
		          args->count);
	return ids;
}

/* ---- rows --------------------------------------------------------------- */

static const struct row {
	const char *name;
	void (*op)(void *arg, void *session, uint64_t i);
	bool existing; /* works on vectors that are there; else on new IDs */
} rows[] = {
	{ "create", op_create, false },    { "delete", op_delete, false },
	{ "thin", op_delete, true },       { "overwrite", op_overwrite, true },
	{ "truncate", op_truncate, true }, { "rename", op_rename, true },
	{ "read", op_read, true },         { "stat", op_stat, true },
	{ "list", op_list, false },        { "list-attr", op_list, false },
};

static const struct row *find_row(const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	bench_die("no row %s", name);
}

int main(int argc, char **argv)
{
	struct bench_args args;
	struct client client = { .args = &args };
	struct bench_job job = { .processes = true,
		                 .stride = 1,
		                 .arg = &client,
		                 .begin = new_buffer,
		                 .end = drop_buffer };
	struct bench_result result = { 0 };
	const struct row *row;
	uint64_t *ids = NULL;

	bench_args_parse(argc, argv, &args);
	row = find_row(args.row);
	client.dir = open(args.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (client.dir < 0)
		bench_die("%s: %s", args.path, strerror(errno));
	if (row->existing)
		ids = strcmp(args.order, "list") == 0 ? listed_ids(&args)
		                                      : bench_shuffled(args.count, args.seed);
	client.ids = ids;
	client.id_count = args.count;
	client.sync = strcmp(args.mode, "fsync") == 0;
	client.attributes = strcmp(args.row, "list-attr") == 0;
	job.op = row->op;
	job.workers = args.workers;
	job.ops = row->op == op_list ? args.workers : args.ops;
	bench_run(&job, &result);
	if (row->op == op_list)
		result.ops *= args.count;
	bench_print(&result);
	free(ids);
	return close(client.dir) == 0 ? 0 : 1;
}
