/*
 * collection.h - an open collection: what all calls of it share.
 */
#ifndef QUIVER_RADOS_COLLECTION_H
#define QUIVER_RADOS_COLLECTION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/counters.h"
#include "engine/base/report.h"
#include "engine/rados/connection.h"
#include "engine/rados/header.h"
#include "engine/rados/layout.h"
#include "engine/rados/row.h"
#include "engine/store/kind.h"

/* Operations that one call has in the air at once: more do not make the OSDs faster, and each
 * costs memory on both sides. */
#define FLIGHTS_MAX 32u

/* What is known of the collection's being there. */
enum watch_state {
	WATCH_HOLDS, /* nobody has removed it */
	WATCH_DOUBTED, /* somebody may have: its header tells */
	WATCH_GONE,
	WATCH_FENCED, /* the cluster refuses this client */
};

struct watch {
	_Atomic enum watch_state state;
	uint64_t cookie; /* of who opens and closes, and of the keeper between the two */
	bool is_watching; /* as cookie */
	bool is_refused; /* as cookie: by the cluster, to who may only read */
	_Atomic uint64_t renew_ns; /* CLOCK_MONOTONIC: not to be asked for again before */
};

/* A thread that does what nobody waits for. */
struct keeper {
	pthread_t thread;
	bool is_running; /* of who opens and closes */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool is_woken; /* lock */
	bool is_ending; /* lock; what is left is done once more */
	bool is_done; /* lock */
	_Atomic bool stop; /* what it waits for it is to leave */
};

/* The directory's times, which move when anybody creates or removes a vector; dir.h. */
struct directory {
	pthread_mutex_t lock;
	struct collection_header header; /* lock; as it was read or written last */
	int64_t found_ns; /* lock; the last creation or removal that it knew of then */
	int64_t changed_ns; /* lock; the last one from here; 0: none */
	int64_t told_ns; /* lock; of them the last that the header has been told of */
	uint64_t tell_ns; /* lock; CLOCK_MONOTONIC: not to be told anything before */
};

/* So that a cluster that is down does not wash out what else has been reported. */
struct failures {
	pthread_mutex_t lock;
	uint64_t from_ns; /* lock; CLOCK_MONOTONIC, when `said` began */
	unsigned said; /* lock */
	uint64_t unsaid; /* lock */
};

/* What the monitors said of the pool a moment ago. */
struct known_space {
	pthread_mutex_t lock;
	struct quiver_space space; /* lock */
	uint64_t until_ns; /* lock; CLOCK_MONOTONIC, from when on it is old */
};

/* The job that compares every checksum. */
struct verifying {
	pthread_mutex_t lock;
	struct quiver_job_status status; /* lock */
	pthread_t thread; /* lock */
	bool is_joinable; /* lock */
	bool is_closed; /* lock; none can be started any more */
	_Atomic bool stop;
};

/* hints.h. As many vectors as are looked up and then written by all threads of a mount at a time, and
 * some more; the objects that these are in. 120 KB. */
#define HINTS_MAX 1024u
#define OBJECT_HINTS_MAX 256u
struct hints {
	pthread_mutex_t lock;
	struct hint {
		uint64_t id;
		bool is_known;
		uint8_t row_bytes; /* 0: there was none */
		uint8_t row[ROW_BYTES];
	} places[HINTS_MAX]; /* lock */
	struct object_hint { /* the value of the key `removed` */
		uint64_t object;
		bool is_known;
		uint8_t removed_bytes; /* 0: there was none */
		uint8_t removed[TAG_BYTES];
	} objects[OBJECT_HINTS_MAX]; /* lock */
};

struct collection {
	struct quiver_head head; /* first: a struct quiver * points here */

	/* Fixed while it is open. */
	struct connection connection;
	struct quiver_geometry geometry;
	struct layout layout;
	uint64_t mark; /* row_collection: what the rows of this collection say */
	uint64_t client; /* of the tags */
	bool read_only;
	char header_name[OBJECT_NAME_BYTES];

	_Atomic uint64_t counter; /* of the last tag */
	struct report report;
	struct counters counters;
	_Atomic uint64_t gets, get_misses;
	struct watch watch;
	struct keeper keeper;
	struct directory directory;
	struct failures failures;
	struct hints hints;
	struct known_space space;
	struct verifying verifying;

	_Atomic bool
		finds_new; /* the last batch that asked found no such object: a guess for the next */

	/* What quiver_count says: as the last listing has found, with own changes since. */
	_Atomic bool is_counted; /* there was a listing */
	_Atomic int64_t count; /* may be below 0 for a moment */
};

static inline struct collection *collection_of(struct quiver *store)
{
	return (struct collection *)store;
}

static inline rados_ioctx_t io_of(const struct collection *collection)
{
	return collection->connection.io;
}

/* A tag that nobody has had. Any thread. */
static inline struct tag collection_tag(struct collection *collection)
{
	return (struct tag){ .client = collection->client,
		             .counter = atomic_fetch_add(&collection->counter, 1) + 1 };
}

/* `count` of them, one after the other: the first. Any thread. */
static inline struct tag collection_tags(struct collection *collection, uint32_t count)
{
	return (struct tag){ .client = collection->client,
		             .counter = atomic_fetch_add(&collection->counter, count) + 1 };
}

/* Where a vector is. */
struct place {
	char object[OBJECT_NAME_BYTES];
	char key[KEY_BYTES];
	uint64_t offset;
};

static inline void collection_place(const struct collection *collection, uint64_t id,
                                    struct place *place)
{
	layout_object_name(collection->connection.target.name,
	                   layout_object(&collection->layout, id), place->object);
	layout_key(layout_slot(&collection->layout, id), place->key);
	place->offset = layout_offset(&collection->layout, id);
}

/* The keeper has something to do. Any thread. */
static inline void collection_wake(struct collection *collection)
{
	struct keeper *keeper = &collection->keeper;

	pthread_mutex_lock(&keeper->lock);
	keeper->is_woken = true;
	pthread_cond_signal(&keeper->wake);
	pthread_mutex_unlock(&keeper->lock);
}

/* A call from here has made `by` vectors more. Any thread. */
static inline void collection_count(struct collection *collection, int64_t by)
{
	if (by != 0 && atomic_load(&collection->is_counted))
		atomic_fetch_add(&collection->count, by);
}

/*
 * Open the collection that `path` names; as quiver_open. `options` are those of it. Given back with
 * collection_close. For check and removal, too, which open it read_only where they change nothing.
 */
int collection_open(const char *path, const struct quiver_options *options, struct collection **out,
                    struct quiver_error *error);
/* 0; -ETIMEDOUT where the cluster hangs: librados is then left as it is. Frees it in any case. */
int collection_close(struct collection *collection);

#endif
