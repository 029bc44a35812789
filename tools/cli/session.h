/*
 * session.h - a store to work on: opened directly, or through its live mount.
 */
#ifndef SESSION_H
#define SESSION_H

#include "engine/quiver.h"
#include "tools/cli/reach.h"
#include "tools/cli/target.h"

#include <stdbool.h>

/* How a store that nobody has open is opened. */
enum {
	SESSION_READ_ONLY = 1,
	SESSION_QUIET = 2, /* do not tell what the engine reports: the caller does */
	SESSION_MOUNT = 4, /* one to read that is mounted read-only: through the mount */
};

struct session {
	struct target target;
	struct quiver *store; /* NULL where the target is live */
	int mount_fd; /* root of the mount; -1 where it is not live */
	struct quiver_geometry geometry; /* without the uuid where live */
	unsigned capabilities; /* of the store; 0 where it is live */
	bool is_shared; /* a collection in a cluster, itself or by its mount */
};

/*
 * Resolve `given` and open it, `reach` telling how where it lies elsewhere; `flags`: SESSION_*. One
 * session at a time. 0, to be ended with session_close, or a negative errno after having said what
 * is wrong.
 */
int session_open(const char *given, const struct reach *reach, unsigned flags,
                 struct session *session);

/* The same for work that a signal is to end in order: signals are caught first, see
 * tools/formats/interrupt.h. */
int session_begin(const char *given, const struct reach *reach, unsigned flags,
                  struct session *session);

/* A thread that is to work on the session says so: what it waits for of another machine ends with
 * -EINTR by the signals as well. */
void session_enter_thread(void);

/*
 * What the store's label and metric are. 0; -ENOENT the daemon of the mount is an older one,
 * which keeps none; another negative errno after having said what is wrong.
 */
int session_describe(struct session *session, struct quiver_description *description);

/* Make what was written so far durable; `of` is a struct session, for a thread that is handed
 * what it works on. Errors of quiver_flush and live_write; nothing is said. Any thread. */
int session_flush(void *of);

/* Close it; a store writes its last checkpoint here. 0, or a negative errno
 * after having said what is wrong. */
int session_close(struct session *session);

#endif
