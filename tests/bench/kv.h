/*
 * kv.h - what the benchmark asks of a store in process, ours or a peer. One kv_*.c
 * implements it for one store; kv_main.c has the rows.
 *
 * Everything succeeds or ends the program.
 */
#ifndef KV_H
#define KV_H

#include "bench.h"

/* What is done with a vector that was found. */
enum kv_take {
	KV_REF, /* nothing: its address is enough */
	KV_CHECK, /* its checksum is computed (ours: compared) */
	KV_COPY, /* its bytes are copied */
	KV_COPY_CHECK, /* both */
	KV_TOUCH, /* its first 8 bytes are read, as whoever uses it does at least */
};

struct kv; /* an open store; each kv_*.c has its own */
struct kv_session; /* one thread's use of it */

/* Create, or open, the store args->path. With args->mode "sync" each change is on
 * stable storage when it returns, with "nosync" it has been handed to the kernel;
 * further modes are the store's own. */
struct kv *kv_open(const struct bench_args *args, bool create);
void kv_close(struct kv *kv);

struct kv_session *kv_begin(struct kv *kv);
void kv_end(struct kv_session *session);

void kv_put(struct kv_session *session, uint64_t id, const void *data);
/* `count` vectors with IDs from `first`, side by side in `data`, in one commit. */
void kv_put_batch(struct kv_session *session, uint64_t first, size_t count, const char *data);
void kv_remove(struct kv_session *session, uint64_t id);
/* One that is not there. */
void kv_get_absent(struct kv_session *session, uint64_t id);
/* `to` has room for one vector. */
void kv_get(struct kv_session *session, uint64_t id, enum kv_take take, void *to);

/* The same for every peer: what `take` asks for, with `size` bytes at `data`. */
void kv_use(enum kv_take take, const void *data, size_t size, void *to);

#endif
