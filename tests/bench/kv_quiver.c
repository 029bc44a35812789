/*
 * kv_quiver.c - our own engine. Modes: those of DESIGN section 5; "sync" is always,
 * "nosync" is fsync.
 */
#include "kv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/quiver.h"

struct kv_session {
	struct quiver *store;
	uint32_t bytes;
	struct quiver_attr attr;
};

static void check(const char *what, int err)
{
	if (err != 0)
		bench_die("quiver: %s: %s", what, strerror(-err));
}

static enum quiver_durability durability_of(const char *mode)
{
	enum quiver_durability durability = QUIVER_FSYNC;

	if (strcmp(mode, "sync") == 0)
		return QUIVER_ALWAYS;
	if (*mode != '\0' && strcmp(mode, "nosync") != 0)
		check(mode, quiver_durability_parse(mode, &durability));
	return durability;
}

struct kv *kv_open(const struct bench_args *args, bool create)
{
	const struct quiver_geometry geometry = { .dim = args->bytes / 4, .dtype = QUIVER_F4 };
	const struct quiver_options options = { .size = sizeof(struct quiver_options),
		                                .durability = durability_of(args->mode),
		                                .lock_wait_ms = 5000 };
	struct quiver_error error = { "" };
	struct quiver *store;

	if (create && quiver_create(args->path, &geometry, NULL, NULL, &error) != 0)
		bench_die("quiver: %s", error.text);
	if (quiver_open(args->path, &options, &store, &error) != 0)
		bench_die("quiver: %s", error.text);
	return (struct kv *)store;
}

void kv_close(struct kv *kv)
{
	check("close", quiver_close((struct quiver *)kv));
}

struct kv_session *kv_begin(struct kv *kv)
{
	struct kv_session *session = bench_alloc(sizeof(*session));

	session->store = (struct quiver *)kv;
	session->bytes = quiver_geometry(session->store)->vector_bytes;
	session->attr = (struct quiver_attr){ .mtime_ns = 1700000000000000000, .mode = 0644 };
	return session;
}

void kv_end(struct kv_session *session)
{
	free(session);
}

void kv_put(struct kv_session *session, uint64_t id, const void *data)
{
	check("put",
	      quiver_put(session->store, id, data, &session->attr, QUIVER_ATTR_ALL, 0, NULL));
}

void kv_put_batch(struct kv_session *session, uint64_t first, size_t count, const char *data)
{
	struct quiver_record records[BENCH_BATCH];

	for (size_t i = 0; i < count; i++)
		records[i] = (struct quiver_record){ .id = first + i,
			                             .data = data + i * session->bytes };
	check("batch", quiver_put_batch(session->store, records, count, &session->attr,
	                                QUIVER_ATTR_ALL, 0, NULL));
}

void kv_remove(struct kv_session *session, uint64_t id)
{
	check("remove", quiver_remove(session->store, id, 0, NULL));
}

void kv_get(struct kv_session *session, uint64_t id, enum kv_take take, void *to)
{
	struct quiver_ref ref;

	if (take == KV_COPY_CHECK) {
		check("get", quiver_get_copy(session->store, id, to, NULL, NULL));
		return;
	}
	check("get", quiver_get(session->store, id, 0, &ref));
	if (take == KV_CHECK)
		check("verify", quiver_ref_verify(session->store, &ref, 0));
	else if (take == KV_TOUCH)
		kv_use(take, ref.data, session->bytes, to);
	else if (take == KV_COPY)
		check("read", quiver_ref_read(session->store, &ref, 0, session->bytes, 0, to));
	quiver_unref(session->store, &ref);
}

void kv_get_absent(struct kv_session *session, uint64_t id)
{
	struct quiver_ref ref;

	if (quiver_get(session->store, id, 0, &ref) != -ENOENT)
		bench_die("quiver: vector %" PRIu64 " is there", id);
}
