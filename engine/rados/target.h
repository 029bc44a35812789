/*
 * target.h - what people write to name a collection and how it is reached.
 */
#ifndef QUIVER_RADOS_TARGET_H
#define QUIVER_RADOS_TARGET_H

#include <limits.h>
#include <stdbool.h>

#include "engine/quiver.h"
#include "engine/rados/layout.h"

/* Longer names of pools and namespaces nobody gives; with theirs a path fits every message. */
#define POOL_BYTES_MAX 128u
#define OP_TIMEOUT_DEFAULT_S 60u
#define OP_TIMEOUT_MAX_S 3600u

struct target { /* rados:POOL[/SPACE]/NAME, each with its NUL */
	char pool[POOL_BYTES_MAX + 1];
	char space[POOL_BYTES_MAX + 1]; /* "": the default namespace */
	char name[COLLECTION_NAME_BYTES_MAX + 1]; /* of the collection; "": of a place */
};

/* "rados:POOL[/NAMESPACE]/COLLECTION", or without the last where it is a place. 0; -EINVAL, which
 * `error` explains. */
int target_parse(const char *path, bool is_place, struct target *target,
                 struct quiver_error *error);

struct access { /* "" where not given */
	char id[POOL_BYTES_MAX + 1];
	char conf[PATH_MAX];
	char keyring[PATH_MAX];
	unsigned op_timeout_s;
};

/* "id=NAME,conf=FILE,keyring=FILE,op_timeout=SECONDS", any of them, in which a backslash takes the
 * next character as it is; NULL: none. 0; -EINVAL, which `error` explains. */
int access_parse(const char *text, struct access *access, struct quiver_error *error);
/* What CEPH_ARGS says of who one is and of the configuration, which librados takes no more when it
 * is asked to read that variable: fills what is not given. `arguments` may be NULL. */
void access_from_arguments(const char *arguments, struct access *access);

#endif
