/*
 * connection.h - making a connection to a cluster, and ending it.
 */
#ifndef QUIVER_RADOS_CONNECTION_H
#define QUIVER_RADOS_CONNECTION_H

#include "engine/rados/client.h"

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
