/*
 * caller.h - for whom a thread works: whoever made the request that it answers.
 *
 * Set when a request is begun, and by the worker that it is handed to. At a RELEASE the kernel
 * does not say whose it is; the handle knows who opened it.
 */
#ifndef CALLER_H
#define CALLER_H

#include <sys/types.h>

/* Nobody's request: threads of the mount and of the store. */
#define CALLER_NOBODY ((uid_t)-1)

extern _Thread_local uid_t caller_uid;

#endif
