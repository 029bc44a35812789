/* handle.c - an open vector. */
#include "fs/vector/handle.h"

#include <errno.h>
#include <stdlib.h>

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

int handle_enter(struct handle *h, bool may_wait)
{
	while (h->busy) {
		if (!may_wait)
			return -EAGAIN;
		pthread_cond_wait(&h->lock->idle, &h->lock->mutex);
	}
	return 0;
}

void handle_leave(struct handle *h)
{
	h->busy = false;
	pthread_cond_broadcast(&h->lock->idle);
}

int handle_version(struct fs *fs, struct handle *h, unsigned flags, struct version **version)
{
	struct version *fresh = NULL;
	uint64_t id;
	int err;

	handle_lock(h);
	if (h->version != NULL) {
		*version = version_share(h->version);
		handle_unlock(h);
		return 0;
	}
	id = h->id;
	err = h->orphan ? -ENOENT : 0; /* another may have its ID by now */
	handle_unlock(h);
	if (err == 0)
		err = version_get(fs, id, flags, &fresh);
	if (err != 0)
		return err;
	handle_lock(h);
	if (h->version == NULL) {
		h->version = fresh;
		h->verified = false;
		fresh = NULL;
	}
	*version = version_share(h->version);
	handle_unlock(h);
	version_drop(fs, fresh);
	return 0;
}

struct version *handle_unpin(struct handle *h)
{
	struct version *version = h->version;

	h->version = NULL;
	h->verified = false;
	return version;
}
