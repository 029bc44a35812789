/*
 * session.h - a store to work on: opened directly, or through its live mount.
 */
#ifndef SESSION_H
#define SESSION_H

#include "quiver.h"
#include "target.h"

#include <stdbool.h>

struct session {
	struct target target;
	struct quiver *store; /* NULL where the target is live */
	int mount_fd; /* root of the mount; -1 where it is not live */
	struct quiver_geometry geometry; /* without the uuid where live */
};

/*
 * Resolve `given` and open it; `read_only` is for a store nobody has open.
 * 0, to be ended with session_close, or a negative errno after having said what
 * is wrong.
 */
int session_open(const char *given, bool read_only, struct session *session);

/* Close it; a store writes its last checkpoint here. 0, or a negative errno
 * after having said what is wrong. */
int session_close(struct session *session);

#endif
