/* gone.c - vectors that are gone between a lookup and what follows it. */
#include "fs/vector/gone.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/base/clock.h"
#include "fs/base/proc_thread.h"

/* One for each thread that is amid its second try; two that share a place may be told
 * -ESTALE once too often. */
#define PLACES 256u

/* Enough that few of a million new IDs share one with 100,000 removed. */
#define REMOVED_BITS (UINT64_C(1) << 20)

/* The second try follows the first at once. */
#define SECOND_TRY_NS INT64_C(5000000000)

struct second_try {
	uint64_t id; /* lock */
	pid_t tid; /* lock */
	/* When it was told -ESTALE; 0: nobody was, which lookups see without the lock. */
	_Atomic int64_t told_ns; /* written under the lock */
	bool alias; /* lock; so that it gets a node of its own */
	bool found; /* lock; a lookup has found it since, with: */
	struct quiver_attr attr; /* lock */
};

struct gone {
	pthread_mutex_t lock;
	struct second_try places[PLACES];
	/* A bit for what was removed, by its hash; others that share it are taken for gone, too. */
	_Atomic uint64_t removed[REMOVED_BITS / 64];
};

int gone_new(struct gone **gone)
{
	struct gone *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&g->lock, NULL); /* cannot fail with default attributes */
	*gone = g;
	return 0;
}

void gone_free(struct gone *gone)
{
	if (gone == NULL)
		return;
	pthread_mutex_destroy(&gone->lock);
	free(gone);
}

static struct second_try *try_of(struct gone *gone, pid_t tid)
{
	return &gone->places[(unsigned)tid % PLACES];
}

/* Whether `tid` was told lately that `id` is stale. The caller holds the lock. */
static bool was_told(const struct second_try *place, uint64_t id, pid_t tid)
{
	return place->id == id && place->tid == tid &&
	       clock_now_ns() - atomic_load(&place->told_ns) < SECOND_TRY_NS;
}

/* Thread `tid` is told -ESTALE of `id` now. The caller holds the lock. */
static void tell(struct second_try *place, uint64_t id, pid_t tid, bool alias)
{
	place->id = id;
	place->tid = tid;
	place->alias = alias;
	place->found = false;
	atomic_store(&place->told_ns, clock_now_ns());
}

void gone_found(struct fs *fs, uint64_t id, pid_t tid, const struct quiver_attr *attr)
{
	struct gone *gone = fs->gone;
	struct second_try *place = try_of(gone, tid);

	if (atomic_load(&place->told_ns) == 0)
		return;
	pthread_mutex_lock(&gone->lock);
	if (was_told(place, id, tid)) {
		place->found = true;
		place->attr = *attr;
	} else if (place->tid == tid) {
		atomic_store(&place->told_ns, 0);
	}
	pthread_mutex_unlock(&gone->lock);
}

void gone_over(struct fs *fs, pid_t tid)
{
	struct gone *gone = fs->gone;
	struct second_try *place = try_of(gone, tid);

	if (atomic_load(&place->told_ns) == 0)
		return;
	pthread_mutex_lock(&gone->lock);
	if (place->tid == tid)
		atomic_store(&place->told_ns, 0);
	pthread_mutex_unlock(&gone->lock);
}

int gone_answer(struct fs *fs, uint64_t id, pid_t tid, struct quiver_attr *attr)
{
	struct gone *gone = fs->gone;
	struct second_try *place = try_of(gone, tid);
	int err = -ESTALE;

	pthread_mutex_lock(&gone->lock);
	if (was_told(place, id, tid) && place->found) {
		*attr = place->attr;
		err = 0;
	} else {
		tell(place, id, tid, false);
	}
	pthread_mutex_unlock(&gone->lock);
	return err;
}

bool gone_ask_alias(struct fs *fs, uint64_t id, pid_t tid)
{
	struct gone *gone = fs->gone;
	struct second_try *place = try_of(gone, tid);
	int64_t told_ns;
	bool ask;

	if (!proc_looks_again(tid))
		return false;
	pthread_mutex_lock(&gone->lock);
	told_ns = atomic_load(&place->told_ns);
	/* Nor is the place of another taken, who would be told twice. */
	ask = told_ns == 0 || clock_now_ns() - told_ns >= SECOND_TRY_NS ||
	      (place->tid == tid && place->id != id);
	if (ask)
		tell(place, id, tid, true);
	pthread_mutex_unlock(&gone->lock);
	return ask;
}

bool gone_wants_alias(struct fs *fs, uint64_t id, pid_t tid)
{
	struct gone *gone = fs->gone;
	struct second_try *place = try_of(gone, tid);
	bool wants;

	if (atomic_load(&place->told_ns) == 0)
		return false;
	pthread_mutex_lock(&gone->lock);
	wants = was_told(place, id, tid) && place->alias;
	pthread_mutex_unlock(&gone->lock);
	return wants;
}

bool gone_takes_back(struct fs *fs, uint64_t id, pid_t tid)
{
	struct gone *gone = fs->gone;
	struct second_try *place = try_of(gone, tid);
	bool wants;

	pthread_mutex_lock(&gone->lock);
	wants = was_told(place, id, tid) && place->alias;
	if (wants)
		tell(place, id, tid, false);
	pthread_mutex_unlock(&gone->lock);
	return wants;
}

/* The bit of `id`: in *word of the map. Neighbouring IDs are spread: the golden ratio times 2^64. */
static uint64_t removed_bit(struct gone *gone, uint64_t id, _Atomic uint64_t **word)
{
	uint64_t bit = (id * UINT64_C(0x9E3779B97F4A7C15) >> 32) % REMOVED_BITS;

	*word = &gone->removed[bit / 64];
	return UINT64_C(1) << (bit % 64);
}

void gone_begin(struct fs *fs, uint64_t id)
{
	_Atomic uint64_t *word;
	uint64_t bit = removed_bit(fs->gone, id, &word);

	atomic_fetch_or(word, bit);
}

bool gone_before(struct fs *fs, uint64_t id)
{
	_Atomic uint64_t *word;
	uint64_t bit = removed_bit(fs->gone, id, &word);

	/* Others remove some, too. */
	return fs->shared || (atomic_load(word) & bit);
}
