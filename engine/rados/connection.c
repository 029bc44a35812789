#include "engine/rados/connection.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/latency.h"
#include "engine/rados/blocking.h"

/* Of what librados needs to say good-bye; where the cluster hangs it needs for ever. */
#define CLOSE_WAIT_NS (UINT64_C(5) * 1000000000)

/* ---- who one is, and by which key ---- */

struct key { /* where it comes from */
	char places[4096]; /* the files that were looked for */
	char file[PATH_MAX]; /* that librados will take; "": none */
	char closed[PATH_MAX]; /* one that is there, but not for this user; "": none */
};

/* The first file of the comma-separated list that can be read: as librados looks for it. */
static bool find_keyring(struct key *key, struct stat *st)
{
	const char *list = key->places;

	while (*list != '\0') {
		size_t length = strcspn(list, ", ;");

		if (length > 0 && length < PATH_MAX) {
			memcpy(key->file, list, length);
			key->file[length] = '\0';
			if (access(key->file, R_OK) == 0 && stat(key->file, st) == 0)
				return true;
			if (errno == EACCES)
				memcpy(key->closed, key->file, length + 1);
		}
		list += length;
		list += *list != '\0';
	}
	key->file[0] = '\0';
	return false;
}

/* -EACCES where others can read it. */
static int check_keyring(const char *file, const struct stat *st, struct quiver_error *error)
{
	if (!S_ISREG(st->st_mode) || !(st->st_mode & (S_IROTH | S_IWOTH)))
		return 0;
	error_set(error,
	          "%s: expected a keyring that only its owner can read, but its mode is %04o; run "
	          "chmod 600 on it; if others may have read it, get a new key",
	          file, (unsigned)(st->st_mode & 07777));
	return -EACCES;
}

/* Which keyring librados will take, and whether it may be taken. */
static int look_at_key(rados_t cluster, struct key *key, struct quiver_error *error)
{
	static const char *const names[] = { "keyfile", "keyring" };
	struct stat st;

	*key = (struct key){ 0 };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (rados_conf_get(cluster, names[i], key->places, sizeof(key->places)) == 0 &&
		    find_keyring(key, &st))
			return check_keyring(key->file, &st, error);
	}
	return 0;
}

static bool has_key(rados_t cluster)
{
	char key[256] = "";

	return rados_conf_get(cluster, "key", key, sizeof(key)) == 0 && key[0] != '\0';
}

/* ---- the configuration ---- */

static int set_number(rados_t cluster, const char *name, unsigned value)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u", value);
	return rados_conf_set(cluster, name, text);
}

/* What must not be otherwise, whatever the configuration says. */
static int set_ours(rados_t cluster, unsigned op_timeout_s)
{
	/* What goes wrong is said by us, and not by librados on whatever is its stderr. */
	static const char *const quiet[] = { "log_to_stderr", "err_to_stderr" };
	/* A request beyond these would wait where nobody can interrupt it; how many there are is
	 * bounded by who sends them. */
	int r = set_number(cluster, "objecter_inflight_ops", 1u << 20);

	if (r == 0)
		r = rados_conf_set(cluster, "objecter_inflight_op_bytes", "68719476736");
	if (r == 0)
		r = set_number(cluster, "rados_osd_op_timeout", op_timeout_s);
	if (r == 0)
		r = set_number(cluster, "rados_mon_op_timeout", op_timeout_s);
	if (r == 0)
		r = set_number(cluster, "client_mount_timeout", op_timeout_s);
	for (size_t i = 0; r == 0 && i < sizeof(quiet) / sizeof(quiet[0]); i++)
		r = rados_conf_set(cluster, quiet[i], "false");
	return r;
}

static int read_configuration(rados_t cluster, const struct access *access,
                              struct quiver_error *error)
{
	bool given = access->conf[0] != '\0';
	const char *variable = getenv("CEPH_CONF");
	const char *named = given ? access->conf : variable && variable[0] ? variable : NULL;
	int r = rados_conf_read_file(cluster, given ? access->conf : NULL);

	/* Without a file all may be said by CEPH_ARGS. */
	if (r == -ENOENT && !named)
		r = 0;
	if (r != 0) {
		error_set(error, "%s: cannot read the configuration of the cluster: %s",
		          named ? named : "ceph.conf", quiver_strerror(r));
		return r;
	}
	r = rados_conf_parse_env(cluster, NULL);
	if (r != 0) {
		error_set(error, "CEPH_ARGS: librados does not understand it: %s",
		          quiver_strerror(r));
		return -EINVAL;
	}
	if (access->keyring[0] != '\0')
		r = rados_conf_set(cluster, "keyring", access->keyring);
	if (r == 0)
		r = set_ours(cluster, access->op_timeout_s);
	if (r != 0)
		error_set(error, "librados does not take its configuration: %s",
		          quiver_strerror(r));
	return r;
}

/* ---- closing ---- */

struct closing { /* freed by whoever is last */
	rados_t cluster;
	rados_ioctx_t io;
	struct loan *loan;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done; /* lock */
	_Atomic unsigned holders;
};

static void closing_drop(struct closing *closing)
{
	if (atomic_fetch_sub(&closing->holders, 1) > 1)
		return;
	(void)pthread_mutex_destroy(&closing->lock);
	(void)pthread_cond_destroy(&closing->done);
	free(closing);
}

static void *close_run(void *arg)
{
	struct closing *closing = arg;

	loan_end(closing->loan);
	if (closing->io)
		rados_ioctx_destroy(closing->io);
	rados_shutdown(closing->cluster);
	pthread_mutex_lock(&closing->lock);
	closing->is_done = true;
	pthread_cond_signal(&closing->done);
	pthread_mutex_unlock(&closing->lock);
	closing_drop(closing);
	return NULL;
}

static struct closing *closing_new(const struct connection *connection)
{
	struct closing *closing = calloc(1, sizeof(*closing));
	pthread_condattr_t attr;

	if (!closing)
		return NULL;
	closing->cluster = connection->cluster;
	closing->io = connection->io;
	closing->loan = connection->loan;
	/* None of these can fail on Linux with such attributes. */
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&closing->done, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&closing->lock, NULL);
	atomic_init(&closing->holders, 1);
	return closing;
}

/* A thread of librados that hangs must not be there when the process takes librados down. */
static void leave(int status, void *arg)
{
	(void)arg;
	(void)fflush(NULL); /* nobody is left to be told */
	_exit(status);
}

static bool close_within(struct connection *connection, uint64_t wait_ns)
{
	struct closing *closing = closing_new(connection);
	struct timespec end = clock_timespec(clock_monotonic_ns() + wait_ns);
	pthread_t thread;
	bool closed;

	if (!closing)
		return false;
	atomic_fetch_add(&closing->holders, 1);
	if (pthread_create(&thread, NULL, close_run, closing) != 0) {
		atomic_fetch_sub(&closing->holders, 1);
		closing_drop(closing);
		return false; /* what is left of it goes with the process */
	}
	(void)pthread_detach(thread);
	pthread_mutex_lock(&closing->lock);
	while (!closing->is_done) {
		if (pthread_cond_timedwait(&closing->done, &closing->lock, &end) == ETIMEDOUT)
			break;
	}
	closed = closing->is_done;
	pthread_mutex_unlock(&closing->lock);
	closing_drop(closing);
	if (!closed)
		(void)on_exit(leave, NULL); /* where it fails: as without it */
	return closed;
}

bool connection_close(struct connection *connection)
{
	return close_within(connection, CLOSE_WAIT_NS);
}

/* ---- connecting ---- */

/* Why rados_connect has failed with `r`; what is to be returned. */
static int refuse_connection(rados_t cluster, const struct connection *connection,
                             const struct key *key, int r, struct quiver_error *error)
{
	char hosts[200] = "";
	bool has_file = key->file[0] != '\0';
	/* librados takes that before it looks for a file. */
	const char *place = has_key(cluster) ? "the one given by CEPH_ARGS or the configuration"
	                                     : key->file;

	(void)rados_conf_get(cluster, "mon_host", hosts, sizeof(hosts)); /* else none is named */
	if (hosts[0] == '\0') {
		error_set(error, "no monitor of a cluster is known; expected a ceph.conf with "
		                 "mon_host in /etc/ceph, or its name in conf=FILE or CEPH_CONF");
		return -ENOENT;
	}
	if (r == -ETIMEDOUT) {
		error_set(error,
		          "no monitor of the cluster (mon_host %s) answered within %u s; check "
		          "that the monitors run and can be reached from here",
		          hosts, connection->op_timeout_s);
		return r;
	}
	if (!has_file && !has_key(cluster) && key->closed[0] != '\0') {
		error_set(error,
		          "%s: you may not read this keyring; give another with keyring=FILE, and "
		          "its user with id=NAME",
		          key->closed);
		return -EACCES;
	}
	if (!has_file && !has_key(cluster)) {
		error_set(error,
		          "no keyring of %s found; looked for %s; give its name with keyring=FILE, "
		          "or another user with id=NAME",
		          connection->user, key->places);
		return -ENOENT;
	}
	if (r == -EINVAL) {
		error_set(error,
		          "librados cannot start; expected valid addresses of monitors in mon_host "
		          "(%s), and a complete key of %s in %s",
		          hosts, connection->user, place);
		return r;
	}
	if (r == -EACCES || r == -EPERM || r == -EKEYREJECTED) {
		error_set(error,
		          "the cluster refuses %s: this user does not exist, its key differs from "
		          "%s, or it lacks the cap mon 'allow r'",
		          connection->user, place);
		return -EACCES;
	}
	if ((r == -ENOENT || r == -EIO) && has_file) {
		error_set(error, "%s: expected a complete key of %s, found none", key->file,
		          connection->user);
		return r;
	}
	error_set(error, "cannot connect to the cluster (mon_host %s) as %s: %s", hosts,
	          connection->user, quiver_strerror(r));
	return r;
}

static int run_connect(const struct connection *connection, void *arg)
{
	(void)arg;
	return rados_connect(connection->cluster);
}

/* The client, not connected yet. */
static int prepare(struct connection *connection, const struct access *access, struct key *key,
                   struct quiver_error *error)
{
	int r;

	connection->loan = loan_new();
	if (!connection->loan)
		return -ENOMEM;
	r = rados_create2(&connection->cluster, "ceph", connection->user, 0);
	if (r != 0) {
		error_set(error, "librados cannot start as %s: %s", connection->user,
		          quiver_strerror(r));
		loan_end(connection->loan);
		return r;
	}
	r = read_configuration(connection->cluster, access, error);
	if (r == 0)
		r = look_at_key(connection->cluster, key, error);
	if (r != 0)
		(void)connection_close(connection); /* not connected: done at once */
	return r;
}

struct pool { /* looked for */
	char name[POOL_BYTES_MAX + 1];
	rados_ioctx_t io;
};

static int run_find(const struct connection *connection, void *arg)
{
	struct pool *pool = arg;

	return rados_ioctx_create(connection->cluster, pool->name, &pool->io);
}

static int find_pool(struct connection *connection, struct quiver_error *error)
{
	struct pool pool = { .io = NULL };
	int r;

	memcpy(pool.name, connection->target.pool, sizeof(pool.name));
	r = blocking_call(connection, run_find, &pool, sizeof(pool));
	if (r == -ENOENT)
		error_set(error,
		          "the cluster has no pool %s; `ceph osd pool create %s` makes it, `rados "
		          "lspools` lists the pools",
		          pool.name, pool.name);
	else if (r != 0)
		error_set(error, "cannot look for the pool %s: %s", pool.name, quiver_strerror(r));
	if (r != 0)
		return r;
	connection->io = pool.io;
	rados_ioctx_set_namespace(connection->io, connection->target.space);
	/* Else whoever writes to a full pool waits until somebody has made room. */
	rados_set_pool_full_try(connection->io);
	return 0;
}

/* By threads of their own: where no monitor answers, either takes as long as a request may. */
static int reach(struct connection *connection, const struct key *key, struct quiver_error *error)
{
	int r = blocking_call(connection, run_connect, NULL, 0);

	if (r == -EINTR)
		error_set(error, "interrupted while connecting to the cluster");
	else if (r != 0)
		r = refuse_connection(connection->cluster, connection, key, r, error);
	return r ? r : find_pool(connection, error);
}

int connection_open(const char *path, bool is_place, const char *access_text,
                    struct connection *connection, struct quiver_error *error)
{
	struct access access;
	struct key key;
	int r;

	*connection = (struct connection){ 0 };
	r = target_parse(path, is_place, &connection->target, error);
	if (r == 0)
		r = access_parse(access_text, &access, error);
	if (r != 0)
		return r;
	access_from_arguments(getenv("CEPH_ARGS"), &access);
	connection->op_timeout_s = access.op_timeout_s;
	(void)snprintf(connection->user, sizeof(connection->user), "client.%s",
	               access.id[0] ? access.id : "admin");
	r = prepare(connection, &access, &key, error);
	if (r != 0)
		return r;
	r = reach(connection, &key, error);
	/* Who is interrupted does not wait for the thread that is still in librados. */
	if (r != 0)
		(void)close_within(connection, r == -EINTR ? 0 : CLOSE_WAIT_NS);
	return r;
}

void connection_caps(const struct connection *connection, const char *osd, char to[400])
{
	const struct target *target = &connection->target;

	(void)snprintf(to, 400, "mon 'allow r' osd 'allow %s pool=%s%s%s'", osd, target->pool,
	               target->space[0] ? " namespace=" : "", target->space);
}
