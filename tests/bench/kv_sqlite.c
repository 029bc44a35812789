/*
 * kv_sqlite.c - SQLite, as its documentation recommends it: WAL, synchronous NORMAL (FULL
 * where each change is to be durable), memory-mapped, prepared statements, one connection
 * for each thread.
 */
#include "kv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#define BUSY_MS 60000
#define SETTINGS_BYTES 256

struct kv {
	char *path;
	uint32_t bytes;
	bool sync;
};

struct kv_session {
	sqlite3 *db;
	sqlite3_stmt *put, *get, *remove, *begin, *commit;
	uint32_t bytes;
};

static void check(struct kv_session *session, const char *what, int got, int wanted)
{
	if (got != wanted)
		bench_die("sqlite: %s: %s", what, sqlite3_errmsg(session->db));
}

static void run(struct kv_session *session, const char *sql)
{
	check(session, sql, sqlite3_exec(session->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static sqlite3_stmt *prepare(struct kv_session *session, const char *sql)
{
	sqlite3_stmt *statement;

	check(session, sql,
	      sqlite3_prepare_v3(session->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL),
	      SQLITE_OK);
	return statement;
}

static struct kv_session *connect_to(struct kv *kv)
{
	struct kv_session *session = bench_alloc(sizeof(*session));
	char settings[SETTINGS_BYTES];

	session->bytes = kv->bytes;
	check(session, kv->path,
	      sqlite3_open_v2(kv->path, &session->db,
	                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
	                      NULL),
	      SQLITE_OK);
	check(session, "busy", sqlite3_busy_timeout(session->db, BUSY_MS), SQLITE_OK);
	(void)snprintf(settings, sizeof(settings),
	               "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s;"
	               "PRAGMA mmap_size = 1099511627776; PRAGMA cache_size = -65536;",
	               kv->sync ? "FULL" : "NORMAL");
	run(session, settings);
	return session;
}

struct kv *kv_open(const struct bench_args *args, bool create)
{
	struct kv *kv = bench_alloc(sizeof(*kv));
	struct kv_session *session;

	kv->bytes = args->bytes;
	kv->sync = strcmp(args->mode, "sync") == 0;
	kv->path = strdup(args->path);
	if (!kv->path)
		bench_die("no memory");
	session = connect_to(kv);
	if (create)
		run(session, "CREATE TABLE vectors (id INTEGER PRIMARY KEY, data BLOB)");
	else
		run(session, "SELECT id FROM vectors LIMIT 1");
	check(session, "close", sqlite3_close(session->db), SQLITE_OK);
	free(session);
	return kv;
}

void kv_close(struct kv *kv)
{
	free(kv->path);
	free(kv);
}

struct kv_session *kv_begin(struct kv *kv)
{
	struct kv_session *session = connect_to(kv);

	session->put = prepare(session, "INSERT OR REPLACE INTO vectors VALUES (?, ?)");
	session->get = prepare(session, "SELECT data FROM vectors WHERE id = ?");
	session->remove = prepare(session, "DELETE FROM vectors WHERE id = ?");
	session->begin = prepare(session, "BEGIN IMMEDIATE");
	session->commit = prepare(session, "COMMIT");
	return session;
}

void kv_end(struct kv_session *session)
{
	sqlite3_stmt *all[] = { session->put, session->get, session->remove, session->begin,
		                session->commit };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		check(session, "finalize", sqlite3_finalize(all[i]), SQLITE_OK);
	check(session, "close", sqlite3_close(session->db), SQLITE_OK);
	free(session);
}

/* Run a statement that has no rows. */
static void step(struct kv_session *session, sqlite3_stmt *statement)
{
	check(session, "step", sqlite3_step(statement), SQLITE_DONE);
	check(session, "reset", sqlite3_reset(statement), SQLITE_OK);
}

void kv_put(struct kv_session *session, uint64_t id, const void *data)
{
	check(session, "bind", sqlite3_bind_int64(session->put, 1, (sqlite3_int64)id), SQLITE_OK);
	check(session, "bind",
	      sqlite3_bind_blob(session->put, 2, data, (int)session->bytes, SQLITE_STATIC),
	      SQLITE_OK);
	step(session, session->put);
}

void kv_put_batch(struct kv_session *session, uint64_t first, size_t count, const char *data)
{
	step(session, session->begin);
	for (size_t i = 0; i < count; i++)
		kv_put(session, first + i, data + i * session->bytes);
	step(session, session->commit);
}

void kv_remove(struct kv_session *session, uint64_t id)
{
	check(session, "bind", sqlite3_bind_int64(session->remove, 1, (sqlite3_int64)id),
	      SQLITE_OK);
	step(session, session->remove);
}

void kv_get(struct kv_session *session, uint64_t id, enum kv_take take, void *to)
{
	check(session, "bind", sqlite3_bind_int64(session->get, 1, (sqlite3_int64)id), SQLITE_OK);
	check(session, "get", sqlite3_step(session->get), SQLITE_ROW);
	kv_use(take, sqlite3_column_blob(session->get, 0), session->bytes, to);
	check(session, "reset", sqlite3_reset(session->get), SQLITE_OK);
}

void kv_get_absent(struct kv_session *session, uint64_t id)
{
	check(session, "bind", sqlite3_bind_int64(session->get, 1, (sqlite3_int64)id), SQLITE_OK);
	check(session, "get", sqlite3_step(session->get), SQLITE_DONE);
	check(session, "reset", sqlite3_reset(session->get), SQLITE_OK);
}
