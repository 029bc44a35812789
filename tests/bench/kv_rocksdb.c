/*
 * kv_rocksdb.c - RocksDB, as its wiki recommends it: "Setup Options and Basic Tuning",
 * blob files for values from a kilobyte on ("BlobDB"), no compression as vectors do not
 * compress, and a block cache that holds everything.
 */
#include "kv.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <rocksdb/c.h>

#define BLOB_BYTES_MIN 1024u
#define CACHE_SLACK ((size_t)256 << 20)
#define BLOOM_BITS 10

struct kv {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_cache_t *cache;
	rocksdb_writeoptions_t *write;
	rocksdb_readoptions_t *read;
	uint32_t bytes;
};

struct kv_session {
	struct kv *kv;
	rocksdb_writebatch_t *batch;
};

static void check(const char *what, char *error)
{
	if (error)
		bench_die("rocksdb: %s: %s", what, error);
}

static void set_table(struct kv *kv)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_size(table, 16 << 10);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
	rocksdb_block_based_options_set_format_version(table, 5);
	rocksdb_block_based_options_set_filter_policy(
		table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
	rocksdb_block_based_options_set_block_cache(table, kv->cache);
	rocksdb_options_set_block_based_table_factory(kv->options, table);
	rocksdb_block_based_options_destroy(table);
}

static void set_options(struct kv *kv)
{
	rocksdb_options_t *options = kv->options;

	rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
	rocksdb_options_set_max_background_jobs(options, 6);
	rocksdb_options_set_bytes_per_sync(options, 1 << 20);
	rocksdb_options_set_compression(options, rocksdb_no_compression);
	if (kv->bytes >= BLOB_BYTES_MIN) {
		rocksdb_options_set_enable_blob_files(options, 1);
		rocksdb_options_set_min_blob_size(options, BLOB_BYTES_MIN);
		rocksdb_options_set_enable_blob_gc(options, 1);
		rocksdb_options_set_blob_compression_type(options, rocksdb_no_compression);
		rocksdb_options_set_blob_cache(options, kv->cache);
	}
}

struct kv *kv_open(const struct bench_args *args, bool create)
{
	const uint64_t vectors = args->count > args->ops ? args->count : args->ops;
	struct kv *kv = bench_alloc(sizeof(*kv));
	char *error = NULL;

	kv->bytes = args->bytes;
	kv->options = rocksdb_options_create();
	kv->cache = rocksdb_cache_create_lru(vectors * (args->bytes + 128u) + CACHE_SLACK);
	rocksdb_options_set_create_if_missing(kv->options, create);
	set_table(kv);
	set_options(kv);
	kv->write = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(kv->write, strcmp(args->mode, "sync") == 0);
	kv->read = rocksdb_readoptions_create();
	kv->db = rocksdb_open(kv->options, args->path, &error);
	check("open", error);
	return kv;
}

void kv_close(struct kv *kv)
{
	rocksdb_close(kv->db);
	rocksdb_readoptions_destroy(kv->read);
	rocksdb_writeoptions_destroy(kv->write);
	rocksdb_options_destroy(kv->options);
	rocksdb_cache_destroy(kv->cache);
	free(kv);
}

struct kv_session *kv_begin(struct kv *kv)
{
	struct kv_session *session = bench_alloc(sizeof(*session));

	session->kv = kv;
	session->batch = rocksdb_writebatch_create();
	return session;
}

void kv_end(struct kv_session *session)
{
	rocksdb_writebatch_destroy(session->batch);
	free(session);
}

/* Big-endian, so that the order of keys is that of IDs. */
static uint64_t key_of(uint64_t id)
{
	return htobe64(id);
}

void kv_put(struct kv_session *session, uint64_t id, const void *data)
{
	const uint64_t key = key_of(id);
	char *error = NULL;

	rocksdb_put(session->kv->db, session->kv->write, (const char *)&key, sizeof(key), data,
	            session->kv->bytes, &error);
	check("put", error);
}

void kv_put_batch(struct kv_session *session, uint64_t first, size_t count, const char *data)
{
	char *error = NULL;

	rocksdb_writebatch_clear(session->batch);
	for (size_t i = 0; i < count; i++) {
		const uint64_t key = key_of(first + i);

		rocksdb_writebatch_put(session->batch, (const char *)&key, sizeof(key),
		                       data + i * session->kv->bytes, session->kv->bytes);
	}
	rocksdb_write(session->kv->db, session->kv->write, session->batch, &error);
	check("write", error);
}

void kv_remove(struct kv_session *session, uint64_t id)
{
	const uint64_t key = key_of(id);
	char *error = NULL;

	rocksdb_delete(session->kv->db, session->kv->write, (const char *)&key, sizeof(key),
	               &error);
	check("delete", error);
}

void kv_get(struct kv_session *session, uint64_t id, enum kv_take take, void *to)
{
	const uint64_t key = key_of(id);
	rocksdb_pinnableslice_t *slice;
	char *error = NULL;
	const char *data;
	size_t size;

	slice = rocksdb_get_pinned(session->kv->db, session->kv->read, (const char *)&key,
	                           sizeof(key), &error);
	check("get", error);
	if (!slice)
		bench_die("rocksdb: a vector is missing");
	data = rocksdb_pinnableslice_value(slice, &size);
	kv_use(take, data, size, to);
	rocksdb_pinnableslice_destroy(slice);
}

void kv_get_absent(struct kv_session *session, uint64_t id)
{
	const uint64_t key = key_of(id);
	char *error = NULL;
	rocksdb_pinnableslice_t *slice = rocksdb_get_pinned(
		session->kv->db, session->kv->read, (const char *)&key, sizeof(key), &error);

	check("get", error);
	if (slice)
		bench_die("rocksdb: a vector is there");
}
