/* handle.c - an open vector. */
#include "fs/vector/handle.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/base/clock.h"

/* The kernel asks for it at once when the OPEN is answered. */
#define TRUNCATES_WITHIN_NS INT64_C(1000000000)

int version_get(struct fs *fs, uint64_t id, unsigned flags, struct version **version)
{
	struct version *v = malloc(sizeof(*v));
	int err;

	if (v == NULL)
		return -ENOMEM;
	err = quiver_get(fs->store, id, flags, &v->ref);
	if (err != 0) {
		free(v);
		return err;
	}
	atomic_init(&v->users, 1);
	*version = v;
	return 0;
}

struct version *version_share(struct version *version)
{
	atomic_fetch_add(&version->users, 1);
	return version;
}

void version_drop(struct fs *fs, struct version *version)
{
	if (version == NULL || atomic_fetch_sub(&version->users, 1) != 1)
		return;
	quiver_unref(fs->store, &version->ref);
	free(version);
}

void handle_lock(struct handle *h)
{
	pthread_mutex_lock(&h->lock->mutex);
}

void handle_unlock(struct handle *h)
{
	pthread_mutex_unlock(&h->lock->mutex);
}

/* Whether its vector is being removed, replaced or renamed. The caller holds the lock. */
static bool is_changing(const struct handle *h)
{
	const struct changes *changes = h->lock->changes;

	return atomic_load(&changes->active) && !h->orphan &&
	       (h->id == atomic_load(&changes->from) || h->id == atomic_load(&changes->to));
}

/* Wait while `is` says so, as handle_enter does. */
static int wait_while(struct handle *h, bool (*is)(const struct handle *h), bool may_wait)
{
	struct changes *changes = h->lock->changes;

	while (is(h)) {
		if (!may_wait)
			return -EAGAIN;
		/* Looked at once more when it is known that somebody waits: change_end. */
		atomic_fetch_add(&changes->waiting, 1);
		if (is(h))
			pthread_cond_wait(&h->lock->idle, &h->lock->mutex);
		atomic_fetch_sub(&changes->waiting, 1);
	}
	return 0;
}

static bool is_held(const struct handle *h)
{
	return h->busy || is_changing(h);
}

int handle_enter(struct handle *h, bool may_wait)
{
	return wait_while(h, is_held, may_wait);
}

void handle_leave(struct handle *h)
{
	h->busy = false;
	pthread_cond_broadcast(&h->lock->idle);
}

bool handle_may_be_cut(const struct handle *h, bool touched, pid_t tid)
{
	if (h == NULL || !h->writable || touched || h->tid != tid)
		return false;
	/* Of those in other pid namespaces one cannot be told from another. */
	return tid != 0 || clock_now_ns() - h->opened_ns < TRUNCATES_WITHIN_NS;
}

/* Have a handle without a version pin the latest. The caller holds the lock and has it again on
 * return. *spare is to be given to version_drop without it. 0, also where it must be looked at
 * again; errors of version_get. */
static int pin_latest(struct fs *fs, struct handle *h, unsigned flags, struct version **spare)
{
	uint64_t id = h->id;
	int err;

	*spare = NULL;
	if (h->orphan)
		return -ENOENT; /* another may have its ID by now */
	handle_unlock(h);
	err = version_get(fs, id, flags, spare);
	handle_lock(h);
	if (err == -ENOENT && is_changing(h) && !h->busy) /* it is told in a moment */
		err = wait_while(h, is_changing, !(flags & QUIVER_NOWAIT));
	if (h->version != NULL || h->orphan || h->id != id)
		return err == -EAGAIN ? err : 0; /* what was found may be another's */
	if (err == 0) {
		h->version = *spare;
		h->verified = false;
		*spare = NULL;
	}
	return err;
}

int handle_version(struct fs *fs, struct handle *h, unsigned flags, struct version **version)
{
	struct version *spare;
	int err = 0;

	handle_lock(h);
	while (err == 0 && h->version == NULL) {
		err = pin_latest(fs, h, flags, &spare);
		handle_unlock(h);
		version_drop(fs, spare);
		handle_lock(h);
	}
	if (err == 0)
		*version = version_share(h->version);
	handle_unlock(h);
	return err;
}

struct version *handle_unpin(struct handle *h)
{
	struct version *version = h->version;

	h->version = NULL;
	h->verified = false;
	return version;
}
