/*
 * connection.h - a client of a cluster, looking at one pool and namespace.
 */
#ifndef QUIVER_RADOS_CONNECTION_H
#define QUIVER_RADOS_CONNECTION_H

#include <rados/librados.h>

#include "engine/rados/loan.h"
#include "engine/rados/target.h"

struct connection {
	rados_t cluster;
	/* With the namespace set, and so that a full pool answers and does not wait. Any thread,
	 * all operations; nobody changes it. */
	rados_ioctx_t io;
	struct loan *loan; /* of threads that wait in librados for what cannot be sent */
	struct target target;
	unsigned op_timeout_s; /* after so long librados answers -ETIMEDOUT */
	char user[POOL_BYTES_MAX + 8]; /* "client.NAME" */
};

/*
 * Connect. `path` names a collection, or a place where `is_place`. 0, and then connection_close; an
 * errno of quiver_create_with that `error`, if not NULL, explains: -EINVAL what was given, -ENOENT
 * no configuration, keyring or pool, -EACCES the keyring is open to others, or the cluster knows
 * no such user or not by this key, -ETIMEDOUT.
 */
int connection_open(const char *path, bool is_place, const char *access,
                    struct connection *connection, struct quiver_error *error);

/* Waits some seconds at most: where the cluster hangs, librados is then left as it is, and false
 * returned. No flight of it may be in the air that is still waited for. */
bool connection_close(struct connection *connection);

/* "mon 'allow r' osd 'allow rw pool=P namespace=NS'", or with `r` in place of `rw`. */
void connection_caps(const struct connection *connection, const char *osd, char to[400]);

#endif
