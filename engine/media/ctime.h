/*
 * ctime.h - the time of a change that never goes back; FORMAT.md, "The columns" and "The log".
 */
#ifndef QUIVER_CTIME_H
#define QUIVER_CTIME_H

#include <stdint.h>

#include "engine/quiver.h"

/* The ctime of a change at `now_ns` of what had one of `was_ns`: whoever compares the two sees the
 * change, whatever has been done to the clock. Any thread. */
static inline int64_t ctime_after(int64_t was_ns, int64_t now_ns)
{
	return now_ns > was_ns ? now_ns : was_ns < INT64_MAX ? was_ns + 1 : was_ns;
}

/* An entry of the directory has come, gone or changed its name. All changes of one commit have the
 * same time, and are one of the directory. */
static inline void ctime_touch_dir(struct quiver_attr *dir, int64_t now_ns)
{
	if (now_ns != dir->mtime_ns)
		dir->ctime_ns = ctime_after(dir->ctime_ns, now_ns);
	dir->mtime_ns = now_ns;
}

/* The same, where the time is not known, but that it is below that of the entry. */
static inline void ctime_step_dir(struct quiver_attr *dir)
{
	dir->ctime_ns = ctime_after(dir->ctime_ns, INT64_MIN);
	dir->mtime_ns = ctime_after(dir->mtime_ns, INT64_MIN);
}

#endif
