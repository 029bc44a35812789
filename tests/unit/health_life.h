/*
 * health_life.h - a store to which something happens: its life in a process of its own that ends
 * without closing it, and a look at what is there then.
 */
#ifndef HEALTH_LIFE_H
#define HEALTH_LIFE_H

#include "unit.h"

#include <signal.h>
#include <sys/mman.h>

#include "engine/base/health.h"
#include "engine/base/sizes.h"
#include "faulty_io.h"
#include "store_test.h"

#define DIM 4096u /* of u1: a few hundred commits fill a segment of the log */
#define RECORD_BYTES (128u + DIM) /* of such a commit, in the log */
#define FEW 12u /* acknowledged before a fault */
#define PUT_ID 100000u /* what meets the fault */
#define NEXT_ID 100001u /* what comes after it */
#define OTHER_ID 50000u /* others beside those */
#define WAIT_US 120000000 /* at most, for a thread of the store */
#define POLL_US 1000

static const int errors[] = { -ENOSPC, -ENOMEM, -EIO };

enum fate { ABSENT, PRESENT, EITHER };

/* What a life leaves to whoever looks after its end. In memory that outlives it. */
struct seen {
	uint64_t gone, acknowledged; /* IDs from the one to below the other are there */
	enum fate put; /* PUT_ID */
	bool next; /* NEXT_ID is there */
};

struct life {
	struct store_dir *s;
	struct seen *seen;
	void (*body)(struct life *life);
	unsigned how; /* which variant of it */
	int error; /* what the failing call returns */
	struct faulty_io io;
	struct quiver *store;
};

/* ---- in a life ---- */

static inline void open_life(struct life *life, const struct quiver_options *with)
{
	struct quiver_options options = *with;

	options.io = &life->io.trouble.table;
	life->store = open_with(life->s, &options);
}

static inline void acknowledge(struct life *life, uint64_t count, unsigned flags)
{
	for (uint64_t i = 0; i < count; i++) {
		assert_int_equal(put_version(life->store, life->seen->acknowledged, 1, flags), 0);
		life->seen->acknowledged++;
	}
}

static inline void begin(struct life *life, enum quiver_durability mode)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = mode };

	open_life(life, &options);
	acknowledge(life, FEW, 0);
}

static inline void fault(struct life *life, enum fault_call call, char file, long skip, long times)
{
	faulty_add(&life->io, call, file, skip, times, life->error);
}

static inline int put(struct life *life, unsigned flags)
{
	return put_version(life->store, PUT_ID, 1, flags);
}

static inline int put_in_batch(struct life *life)
{
	static uint8_t bytes[3][DIM];
	struct quiver_record records[3];
	struct quiver_attr attr = attr_of(1);

	for (unsigned i = 0; i < 3; i++) {
		records[i] = (struct quiver_record){ .id = i == 1 ? PUT_ID : OTHER_ID + i,
			                             .data = bytes[i] };
		vector_fill(bytes[i], DIM, records[i].id, 1);
	}
	return quiver_put_batch(life->store, records, 3, &attr, QUIVER_ATTR_ALL, 0, NULL);
}

static inline int compact(struct quiver *store)
{
	struct quiver_job_status status;

	assert_int_equal(quiver_job_start(store, QUIVER_COMPACT), 0);
	do {
		usleep(POLL_US);
		quiver_job_status(store, QUIVER_COMPACT, &status);
	} while (status.running);
	return status.result;
}

static inline void wait_until_said(struct quiver *store, const char *text)
{
	for (int i = 0; i < WAIT_US / POLL_US && !store_said(store, text); i++)
		usleep(POLL_US);
	assert_true(store_said(store, text));
}

/* The fault was met and is over, and the store goes on. */
static inline void goes_on(struct life *life)
{
	assert_true(faulty_clear(&life->io) > 0);
	assert_false(stats_of(life->store).failed);
	assert_false(store_said(life->store, "read-only now"));
	assert_int_equal(leaked_slots(life->store), 0);
	assert_int_equal(put_version(life->store, NEXT_ID, 1, QUIVER_SYNC), 0);
	life->seen->next = true;
}

static inline void refused(struct life *life, int r)
{
	assert_int_equal(r, life->error);
	assert_int_equal(version_of(life->store, PUT_ID), 0);
	life->seen->put = ABSENT;
	goes_on(life);
}

/* Where the disk is full, there was a checkpoint and a second attempt; else as refused. */
static inline void retried(struct life *life, int r, uint64_t checkpoints)
{
	if (life->error != -ENOSPC) {
		assert_int_equal(stats_of(life->store).checkpoints, checkpoints);
		refused(life, r);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(stats_of(life->store).checkpoints, checkpoints + 1);
	assert_int_equal(version_of(life->store, PUT_ID), 1);
	life->seen->put = PRESENT;
	goes_on(life);
}

/* The line that says why: what failed, with its errno. */
static inline void says_why(struct life *life, const char *what)
{
	char line[256];

	snprintf(line, sizeof(line), "%s failed: %s; the store is read-only now", what,
	         strerror(-life->error));
	assert_true(store_said(life->store, line));
}

/* The store has failed; the call that noticed returned `r`. */
static inline void stopped(struct life *life, int r, const char *what)
{
	uint64_t last = life->seen->acknowledged - 1;

	assert_int_equal(r, -EIO);
	assert_true(faulty_clear(&life->io) > 0);
	assert_true(stats_of(life->store).failed);
	says_why(life, what);
	assert_int_equal(put_version(life->store, NEXT_ID, 1, 0), -EROFS);
	assert_int_equal(quiver_remove(life->store, last, 0, NULL), -EROFS);
	assert_int_equal(quiver_flush(life->store), -EROFS);
	assert_int_equal(quiver_checkpoint(life->store), -EROFS);
	assert_int_equal(version_of(life->store, last), 1);
	life->seen->put = EITHER;
}

/* ---- after it ---- */

static inline void say(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

static inline void look(const struct life *life)
{
	const struct seen *seen = life->seen;
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct quiver *store;
	uint64_t version;

	if (quiver_check(life->s->path, false, say, NULL, &result, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(result.damage, 0);
	store = open_with(life->s, NULL);
	for (uint64_t id = 0; id < seen->acknowledged; id++)
		assert_int_equal(version_of(store, id), id >= seen->gone);
	version = version_of(store, PUT_ID);
	assert_true(seen->put == EITHER ? version <= 1 : version == (seen->put == PRESENT));
	assert_int_equal(version_of(store, NEXT_ID), seen->next);
	assert_int_equal(leaked_slots(store), 0);
	assert_int_equal(put_version(store, NEXT_ID, 2, QUIVER_SYNC), 0);
	close_store(store);
}

static inline int live(void *arg)
{
	struct life *life = arg;

	faulty_init(&life->io);
	life->body(life);
	/* Killed, so that nothing that runs at an exit tidies up, nor complains. */
	return raise(SIGKILL);
}

static inline void try(struct store_dir *s, void (*body)(struct life *life), unsigned how,
                       int error)
{
	struct life life = { .s = s, .body = body, .how = how, .error = error };
	int status;

	life.seen = mmap(NULL, sizeof(*life.seen), PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(life.seen != MAP_FAILED);
	unit_dir_make(&s->dir);
	store_create(s, DIM, QUIVER_U1);
	status = unit_in_child(live, &life);
	if (status != -SIGKILL)
		fail_msg("variant %u with \"%s\" ended with %d", how, strerror(-error), status);
	look(&life);
	unit_dir_remove(&s->dir);
	assert_int_equal(munmap(life.seen, sizeof(*life.seen)), 0);
}

/* Each variant of a life, with each errno. */
static inline void each(void (*body)(struct life *life), unsigned variants)
{
	struct store_dir s;

	for (unsigned how = 0; how < variants; how++)
		for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
			try(&s, body, how, errors[i]);
}

#endif
