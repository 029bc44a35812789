/*
 * plan_room.h - room for what a plan is going to change, in memory and on disk, and notes of where its
 * rows will be stored: so that it cannot fail once it is in the log. Used by apply.c.
 */
#ifndef QUIVER_PLAN_ROOM_H
#define QUIVER_PLAN_ROOM_H

#include "engine/commit/committer.h"

/* Rows that the plan ends, at most. */
size_t plan_count_ends(const struct plan *plan);
/* 0; -EAGAIN with `nowait` where it would have to wait for the disk; -ENOMEM; -ENOSPC also where the
 * last of a full disk is for those who remove; -errno. Writer lock. */
int plan_make_room(struct committer *commits, const struct plan *plan, bool nowait);

#endif
