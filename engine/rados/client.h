/*
 * client.h - what a connection to a cluster is, for those who use one and those who make it.
 */
#ifndef QUIVER_RADOS_CLIENT_H
#define QUIVER_RADOS_CLIENT_H

#include <rados/librados.h>

#include "engine/rados/loan.h"
#include "engine/rados/target.h"

/* A client of a cluster, looking at one pool and namespace. */
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

#endif
