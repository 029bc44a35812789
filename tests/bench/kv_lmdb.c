/*
 * kv_lmdb.c - LMDB, as lmdb.h recommends it: integer keys, a reader's transaction reset
 * and renewed rather than made anew, no readahead for random reads. Mode "snapshot"
 * holds one transaction for all reads, which keeps old pages from being used again.
 */
#include "kv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lmdb.h>

#define MAP_SLACK ((size_t)4 << 30)

struct kv {
	MDB_env *env;
	MDB_dbi dbi;
	uint32_t bytes;
	bool snapshot;
};

struct kv_session {
	struct kv *kv;
	MDB_txn *read; /* reset between uses, but for a snapshot */
};

static void check(const char *what, int err)
{
	if (err != 0)
		bench_die("lmdb: %s: %s", what, mdb_strerror(err));
}

struct kv *kv_open(const struct bench_args *args, bool create)
{
	struct kv *kv = bench_alloc(sizeof(*kv));
	const uint64_t vectors = args->count > args->ops ? args->count : args->ops;
	unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
	MDB_txn *txn;

	kv->bytes = args->bytes;
	kv->snapshot = strcmp(args->mode, "snapshot") == 0;
	if (strcmp(args->mode, "sync") != 0)
		flags |= MDB_NOSYNC;
	if (create && mkdir(args->path, 0700) != 0)
		bench_die("lmdb: %s: %s", args->path, strerror(errno));
	check("env", mdb_env_create(&kv->env));
	/* Room for the worst packing; the file is as long as what is used. */
	check("mapsize",
	      mdb_env_set_mapsize(kv->env, vectors * ((size_t)args->bytes + 8192) + MAP_SLACK));
	check("open", mdb_env_open(kv->env, args->path, flags, 0600));
	check("begin", mdb_txn_begin(kv->env, NULL, 0, &txn));
	check("dbi", mdb_dbi_open(txn, NULL, MDB_INTEGERKEY | MDB_CREATE, &kv->dbi));
	check("commit", mdb_txn_commit(txn));
	return kv;
}

void kv_close(struct kv *kv)
{
	mdb_env_close(kv->env);
	free(kv);
}

struct kv_session *kv_begin(struct kv *kv)
{
	struct kv_session *session = bench_alloc(sizeof(*session));

	session->kv = kv;
	check("begin", mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &session->read));
	if (!kv->snapshot)
		mdb_txn_reset(session->read);
	return session;
}

void kv_end(struct kv_session *session)
{
	mdb_txn_abort(session->read);
	free(session);
}

static void put(struct kv_session *session, MDB_txn *txn, uint64_t id, const void *data)
{
	MDB_val key = { sizeof(id), &id };
	MDB_val value = { session->kv->bytes, NULL };

	/* Reserved, so that the bytes are copied once. */
	check("put", mdb_put(txn, session->kv->dbi, &key, &value, MDB_RESERVE));
	memcpy(value.mv_data, data, session->kv->bytes);
}

void kv_put(struct kv_session *session, uint64_t id, const void *data)
{
	kv_put_batch(session, id, 1, data);
}

void kv_put_batch(struct kv_session *session, uint64_t first, size_t count, const char *data)
{
	MDB_txn *txn;

	check("begin", mdb_txn_begin(session->kv->env, NULL, 0, &txn));
	for (size_t i = 0; i < count; i++)
		put(session, txn, first + i, data + i * session->kv->bytes);
	check("commit", mdb_txn_commit(txn));
}

void kv_remove(struct kv_session *session, uint64_t id)
{
	MDB_val key = { sizeof(id), &id };
	MDB_txn *txn;

	check("begin", mdb_txn_begin(session->kv->env, NULL, 0, &txn));
	check("del", mdb_del(txn, session->kv->dbi, &key, NULL));
	check("commit", mdb_txn_commit(txn));
}

void kv_get(struct kv_session *session, uint64_t id, enum kv_take take, void *to)
{
	MDB_val key = { sizeof(id), &id };
	MDB_val value;

	if (!session->kv->snapshot)
		check("renew", mdb_txn_renew(session->read));
	check("get", mdb_get(session->read, session->kv->dbi, &key, &value));
	kv_use(take, value.mv_data, value.mv_size, to);
	if (!session->kv->snapshot)
		mdb_txn_reset(session->read);
}

void kv_get_absent(struct kv_session *session, uint64_t id)
{
	MDB_val key = { sizeof(id), &id };
	MDB_val value;

	if (!session->kv->snapshot)
		check("renew", mdb_txn_renew(session->read));
	if (mdb_get(session->read, session->kv->dbi, &key, &value) != MDB_NOTFOUND)
		bench_die("lmdb: a vector is there");
	if (!session->kv->snapshot)
		mdb_txn_reset(session->read);
}
