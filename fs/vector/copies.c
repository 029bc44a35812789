/* copies.c - what a LOOKUP has read, for the rest of the call that it belongs to. */
#include "fs/vector/copies.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/base/clock.h"

/* One for each thread that is amid a call; two that share a place ask the store once more. */
#define PLACES_MAX 256u
#define PLACES_MIN 16u
/* What all of them may hold, but for the least number. */
#define BYTES_MAX (UINT64_C(16) << 20)
/* Of longer vectors a LOOKUP reads the row alone: to read them for a stat costs more than to ask
 * twice at an open. */
#define VECTOR_BYTES_MAX (64u << 10)
#define STAMPS 4096u
#define MS_NS INT64_C(1000000)

struct copy {
	_Atomic pid_t tid; /* written under the lock; 0: there is none */
	uint64_t id; /* lock */
	uint32_t stamp; /* lock */
	int64_t until_ns; /* lock; monotonic clock */
	bool stated; /* lock; it has answered a GETATTR */
	struct version *version; /* lock; NULL: no such vector */
};

struct stamps {
	_Atomic uint32_t changed, lost;
};

struct copies {
	pthread_mutex_t lock;
	bool reads; /* constant; vectors are short enough */
	unsigned count; /* constant; of places */
	struct stamps stamps[STAMPS]; /* of IDs by their hash */
	struct copy places[];
};

int copies_new(uint32_t vector_bytes, struct copies **copies)
{
	uint64_t count = BYTES_MAX / vector_bytes;
	struct copies *c;

	if (count > PLACES_MAX)
		count = PLACES_MAX;
	if (count < PLACES_MIN)
		count = PLACES_MIN;
	c = calloc(1, sizeof(*c) + count * sizeof(c->places[0]));
	if (c == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&c->lock, NULL); /* cannot fail with default attributes */
	c->reads = vector_bytes <= VECTOR_BYTES_MAX;
	c->count = (unsigned)count;
	*copies = c;
	return 0;
}

void copies_free(struct fs *fs, struct copies *copies)
{
	if (copies == NULL)
		return;
	for (unsigned i = 0; i < copies->count; i++)
		version_drop(fs, copies->places[i].version);
	pthread_mutex_destroy(&copies->lock);
	free(copies);
}

bool copies_wanted(const struct fs *fs, pid_t tid)
{
	return fs->copies != NULL && fs->copies->reads && tid != 0;
}

static struct stamps *stamps_of(struct copies *copies, uint64_t id)
{
	/* Neighbouring IDs are spread: the golden ratio times 2^64. */
	return &copies->stamps[(id * UINT64_C(0x9E3779B97F4A7C15) >> 32) % STAMPS];
}

uint32_t copies_stamp(const struct fs *fs, uint64_t id)
{
	return fs->copies != NULL ? atomic_load(&stamps_of(fs->copies, id)->changed) : 0;
}

void copies_changed(struct fs *fs, uint64_t id)
{
	if (fs->copies != NULL)
		atomic_fetch_add(&stamps_of(fs->copies, id)->changed, 1);
}

uint32_t copies_loss_stamp(const struct fs *fs, uint64_t id)
{
	return fs->copies != NULL ? atomic_load(&stamps_of(fs->copies, id)->lost) : 0;
}

void copies_lost(struct fs *fs, uint64_t id)
{
	if (fs->copies != NULL)
		atomic_fetch_add(&stamps_of(fs->copies, id)->lost, 1);
}

static struct copy *copy_of(struct copies *copies, pid_t tid)
{
	return &copies->places[(unsigned)tid % copies->count];
}

/* The place becomes free; what was in it goes to version_drop without the lock. */
static struct version *clear(struct copy *copy)
{
	struct version *version = copy->version;

	copy->version = NULL;
	atomic_store(&copy->tid, 0);
	return version;
}

void copies_keep(struct fs *fs, uint64_t id, pid_t tid, uint32_t stamp, struct version *version)
{
	struct version *old;
	struct copy *copy;

	if (!copies_wanted(fs, tid))
		return;
	copy = copy_of(fs->copies, tid);
	pthread_mutex_lock(&fs->copies->lock);
	old = clear(copy);
	copy->id = id;
	copy->stamp = stamp;
	copy->until_ns = clock_steady_ns() + COPIES_MS * MS_NS;
	copy->stated = false;
	copy->version = version != NULL ? version_share(version) : NULL;
	atomic_store(&copy->tid, tid);
	pthread_mutex_unlock(&fs->copies->lock);
	version_drop(fs, old);
}

/* Whether what is there is still as good as when it was read. The caller holds the lock. */
static bool is_good(const struct fs *fs, const struct copy *copy, uint64_t id, pid_t tid)
{
	return copy->tid == tid && copy->id == id && copy->stamp == copies_stamp(fs, id) &&
	       clock_steady_ns() < copy->until_ns;
}

/* Whether thread `tid` may have one. */
static bool may_have(const struct fs *fs, pid_t tid)
{
	return fs->copies != NULL && tid != 0 && atomic_load(&copy_of(fs->copies, tid)->tid) == tid;
}

/* What `tid` has, which it then has not any more; *good: it is of `id`. */
static struct version *take(struct fs *fs, uint64_t id, pid_t tid, bool *good)
{
	struct version *version = NULL;
	struct copy *copy;

	*good = false;
	if (!may_have(fs, tid))
		return NULL;
	copy = copy_of(fs->copies, tid);
	pthread_mutex_lock(&fs->copies->lock);
	if (copy->tid == tid) {
		*good = is_good(fs, copy, id, tid);
		version = clear(copy);
	}
	pthread_mutex_unlock(&fs->copies->lock);
	return version;
}

struct version *copies_take(struct fs *fs, uint64_t id, pid_t tid)
{
	bool good;
	struct version *version = take(fs, id, tid, &good);

	if (good)
		return version;
	version_drop(fs, version);
	return NULL;
}

bool copies_take_none(struct fs *fs, uint64_t id, pid_t tid)
{
	bool good;
	struct version *version = take(fs, id, tid, &good);

	good = good && version == NULL;
	version_drop(fs, version);
	return good;
}

bool copies_stat(struct fs *fs, uint64_t id, pid_t tid, struct quiver_attr *attr)
{
	struct version *old = NULL;
	struct copy *copy;
	bool good;

	if (!may_have(fs, tid))
		return false;
	copy = copy_of(fs->copies, tid);
	pthread_mutex_lock(&fs->copies->lock);
	good = is_good(fs, copy, id, tid) && copy->version != NULL && !copy->stated;
	if (good) {
		*attr = copy->version->ref.attr;
		copy->stated = true;
	} else if (copy->tid == tid) {
		old = clear(copy);
	}
	pthread_mutex_unlock(&fs->copies->lock);
	version_drop(fs, old);
	return good;
}

void copies_drop(struct fs *fs, pid_t tid)
{
	bool good;

	if (may_have(fs, tid))
		version_drop(fs, take(fs, 0, tid, &good));
}
