/*
 * remote_kind.c - a second kind of store, to prove what quiver.h and fs/ say of kinds.
 *
 * Around a store in a local folder it behaves as one on another machine does: each call that
 * takes QUIVER_NOWAIT answers -EAGAIN to it, there is no memory map to point into and no slot to
 * know a version by, of the optional calls there are those for label and metric alone, each
 * answer takes a while, and any call can fail. The program of the tests is linked so that
 * quiver_open opens this (-Wl,--wrap=quiver_open).
 *
 * QUIVERFS_KIND_DELAY_US  how long each call takes (100)
 * QUIVERFS_KIND_FAULTS    a file of lines "CALL ERRNO COUNT": the next COUNT calls of that name
 *                         fail. Read again whenever another file has taken its place; it need
 *                         not be there.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/store/kind.h"

#define DELAY_US 100
#define FAULTS_MAX 8

struct fault {
	char call[24];
	int error;
	long left;
};

struct remote {
	struct quiver_head head;
	struct quiver *local;
	long delay_us;
	const char *faults_path; /* NULL: none */
	pthread_mutex_t lock;
	struct fault faults[FAULTS_MAX]; /* lock */
	ino_t read_ino; /* lock; of the file that was read last */
};

struct remote_pin {
	struct quiver_ref ref; /* of the local store */
};

int __real_quiver_open(const char *path, const struct quiver_options *options, struct quiver **out,
                       struct quiver_error *error);
int __wrap_quiver_open(const char *path, const struct quiver_options *options, struct quiver **out,
                       struct quiver_error *error);

static struct remote *remote_of(struct quiver *store)
{
	return (struct remote *)store;
}

static struct quiver *local_of(struct quiver *store)
{
	return remote_of(store)->local;
}

/* The lock held. */
static void read_faults(struct remote *remote)
{
	struct stat st;
	FILE *file;

	if (stat(remote->faults_path, &st) != 0) {
		memset(remote->faults, 0, sizeof(remote->faults));
		remote->read_ino = 0;
		return;
	}
	if (st.st_ino == remote->read_ino)
		return;
	file = fopen(remote->faults_path, "r");
	if (file == NULL)
		return;
	memset(remote->faults, 0, sizeof(remote->faults));
	for (int i = 0; i < FAULTS_MAX; i++)
		if (fscanf(file, "%23s %d %ld", remote->faults[i].call, &remote->faults[i].error,
		           &remote->faults[i].left) != 3)
			break;
	(void)fclose(file); /* only read */
	remote->read_ino = st.st_ino;
}

/* What is to go wrong with this call, reported as a kind has to. */
static int fault_of(struct remote *remote, const char *call)
{
	int r = 0;

	if (remote->faults_path == NULL)
		return 0;
	pthread_mutex_lock(&remote->lock);
	read_faults(remote);
	for (int i = 0; r == 0 && i < FAULTS_MAX; i++) {
		struct fault *fault = &remote->faults[i];

		if (fault->left > 0 && strcmp(fault->call, call) == 0) {
			fault->left--;
			r = -fault->error;
		}
	}
	pthread_mutex_unlock(&remote->lock);
	if (r != 0)
		report_add(remote->head.report, "remote: %s: %s", call, strerror(-r));
	return r;
}

/* The way there and back. 0, or what the call is to fail with. */
static int travel(struct quiver *store, const char *call, unsigned flags)
{
	struct remote *remote = remote_of(store);
	struct timespec delay = { .tv_nsec = remote->delay_us * 1000 };

	if (flags & QUIVER_NOWAIT)
		return -EAGAIN;
	if (remote->delay_us > 0)
		(void)nanosleep(&delay, NULL); /* shorter is as good */
	return fault_of(remote, call);
}

static int remote_close(struct quiver *store)
{
	struct remote *remote = remote_of(store);
	int r = quiver_close(remote->local);

	pthread_mutex_destroy(&remote->lock);
	free(remote);
	return r;
}

/* ---- reading ---- */

static int remote_get(struct quiver *store, uint64_t id, unsigned flags, struct quiver_ref *ref)
{
	struct remote_pin *pin;
	int r = travel(store, "get", flags);

	if (r != 0)
		return r;
	pin = malloc(sizeof(*pin));
	if (pin == NULL)
		return -ENOMEM;
	r = quiver_get(local_of(store), id, 0, &pin->ref);
	if (r != 0) {
		free(pin);
		return r;
	}
	*ref = pin->ref;
	ref->data = NULL;
	ref->slot = UINT64_MAX;
	ref->pin = pin;
	return 0;
}

static void remote_unref(struct quiver *store, struct quiver_ref *ref)
{
	struct remote_pin *pin = ref->pin;

	quiver_unref(local_of(store), &pin->ref);
	free(pin);
	ref->pin = NULL;
}

static int remote_ref_verify(struct quiver *store, const struct quiver_ref *ref, unsigned flags)
{
	const struct remote_pin *pin = ref->pin;
	int r = travel(store, "verify", flags);

	return r != 0 ? r : quiver_ref_verify(local_of(store), &pin->ref, 0);
}

static int remote_ref_read(struct quiver *store, const struct quiver_ref *ref, uint64_t offset,
                           size_t length, unsigned flags, void *to)
{
	const struct remote_pin *pin = ref->pin;
	int r = travel(store, "read", flags);

	return r != 0 ? r : quiver_ref_read(local_of(store), &pin->ref, offset, length, 0, to);
}

static int remote_get_copy(struct quiver *store, uint64_t id, void *to, struct quiver_attr *attr,
                           uint64_t *lsn)
{
	int r = travel(store, "get", 0);

	return r != 0 ? r : quiver_get_copy(local_of(store), id, to, attr, lsn);
}

static int remote_stat(struct quiver *store, uint64_t id, unsigned flags, struct quiver_attr *attr,
                       uint64_t *lsn)
{
	int r = travel(store, "stat", flags);

	return r != 0 ? r : quiver_stat(local_of(store), id, 0, attr, lsn);
}

static int remote_list_open(struct quiver *store, unsigned flags, struct quiver_list **list)
{
	int r = travel(store, "list", flags);

	return r != 0 ? r : quiver_list_open(local_of(store), 0, list);
}

static int64_t remote_list_read(struct quiver *store, struct quiver_list *list, uint64_t position,
                                unsigned flags, uint64_t *ids, size_t max)
{
	int r = travel(store, "list_read", flags);

	return r != 0 ? r : quiver_list_read(local_of(store), list, position, 0, ids, max);
}

static uint64_t remote_list_count(struct quiver *store, const struct quiver_list *list)
{
	return quiver_list_count(local_of(store), list);
}

static void remote_list_close(struct quiver *store, struct quiver_list *list)
{
	quiver_list_close(local_of(store), list);
}

static uint64_t remote_count(struct quiver *store)
{
	return quiver_count(local_of(store));
}

/* ---- changing ---- */

static int remote_put(struct quiver *store, uint64_t id, const void *data,
                      const struct quiver_attr *attr, unsigned attr_mask, unsigned flags,
                      uint64_t *lsn)
{
	int r = travel(store, "put", flags);

	return r != 0 ? r : quiver_put(local_of(store), id, data, attr, attr_mask, flags, lsn);
}

static int remote_remove(struct quiver *store, uint64_t id, unsigned flags, uint64_t *lsn)
{
	int r = travel(store, "remove", flags);

	return r != 0 ? r : quiver_remove(local_of(store), id, flags, lsn);
}

static int remote_set_attr(struct quiver *store, uint64_t id, const struct quiver_attr *attr,
                           unsigned mask, unsigned flags)
{
	int r = travel(store, "set_attr", flags);

	return r != 0 ? r : quiver_set_attr(local_of(store), id, attr, mask, flags);
}

static int remote_dir_attr(struct quiver *store, unsigned flags, struct quiver_attr *attr)
{
	int r = travel(store, "dir_attr", flags);

	return r != 0 ? r : quiver_dir_attr(local_of(store), 0, attr);
}

static int remote_set_dir_attr(struct quiver *store, const struct quiver_attr *attr, unsigned mask,
                               unsigned flags)
{
	int r = travel(store, "set_dir_attr", flags);

	return r != 0 ? r : quiver_set_dir_attr(local_of(store), attr, mask, flags);
}

/* ---- the rest ---- */

static int remote_flush(struct quiver *store)
{
	int r = travel(store, "flush", 0);

	return r != 0 ? r : quiver_flush(local_of(store));
}

static int remote_space(struct quiver *store, unsigned flags, struct quiver_space *space)
{
	int r = travel(store, "space", flags);

	return r != 0 ? r : quiver_space(local_of(store), 0, space);
}

static int remote_set_label(struct quiver *store, const char *text, size_t length)
{
	int r = travel(store, "set_label", 0);

	return r != 0 ? r : quiver_set_label(local_of(store), text, length);
}

static int remote_set_metric(struct quiver *store, enum quiver_metric metric)
{
	int r = travel(store, "set_metric", 0);

	return r != 0 ? r : quiver_set_metric(local_of(store), metric);
}

static void remote_describe(struct quiver *store, struct quiver_description *description)
{
	quiver_describe(local_of(store), description);
}

static void remote_stats(struct quiver *store, struct quiver_stats *stats)
{
	quiver_stats(local_of(store), stats);
	stats->durability = QUIVER_ALWAYS;
	stats->autocompact_percent = 0;
}

static const struct quiver_kind remote_kind = {
	.name = "remote",
	.close = remote_close,
	.get = remote_get,
	.unref = remote_unref,
	.ref_verify = remote_ref_verify,
	.ref_read = remote_ref_read,
	.get_copy = remote_get_copy,
	.stat = remote_stat,
	.list_open = remote_list_open,
	.list_read = remote_list_read,
	.list_count = remote_list_count,
	.list_close = remote_list_close,
	.count = remote_count,
	.put = remote_put,
	.remove = remote_remove,
	.set_attr = remote_set_attr,
	.dir_attr = remote_dir_attr,
	.set_dir_attr = remote_set_dir_attr,
	.flush = remote_flush,
	.space = remote_space,
	.stats = remote_stats,
	.set_label = remote_set_label,
	.set_metric = remote_set_metric,
	.describe = remote_describe,
};

int __wrap_quiver_open(const char *path, const struct quiver_options *options, struct quiver **out,
                       struct quiver_error *error)
{
	const char *delay_us = getenv("QUIVERFS_KIND_DELAY_US");
	struct remote *remote = calloc(1, sizeof(*remote));
	int r = remote != NULL ? __real_quiver_open(path, options, &remote->local, error) : -ENOMEM;

	*out = NULL;
	if (r != 0) {
		free(remote);
		return r;
	}
	remote->delay_us = delay_us != NULL ? strtol(delay_us, NULL, 10) : DELAY_US;
	remote->faults_path = getenv("QUIVERFS_KIND_FAULTS");
	pthread_mutex_init(&remote->lock, NULL);
	/* Nobody else changes it, so that what the kernel may cache is tested, too. */
	remote->head = (struct quiver_head){
		.kind = &remote_kind,
		.capabilities = QUIVER_EXCLUSIVE | QUIVER_ORDERED,
		.geometry = quiver_geometry(remote->local),
		.report = ((const struct quiver_head *)remote->local)->report,
	};
	*out = (struct quiver *)remote;
	return 0;
}
