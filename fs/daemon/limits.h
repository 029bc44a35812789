/*
 * limits.h - the limits of a process (setrlimit(2)) under which a mount would end without warning.
 *
 * All others make a call fail, which is then refused with words (quiver_strerror).
 */
#ifndef LIMITS_H
#define LIMITS_H

#include "engine/quiver.h"

/*
 * Have the process told some time before it has used up its processor time (it is killed then), and
 * give it and its threads the stack they need. Before the fork, and before there is a second thread.
 * 0; -EPERM a limit is too small for any mount, named in `error`; or another -errno.
 */
int limits_prepare(struct quiver_error *error);

#endif
