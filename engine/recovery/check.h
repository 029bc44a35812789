/*
 * check.h - checking and repairing what is on disk, of a store that nobody has open.
 */
#ifndef QUIVER_CHECK_H
#define QUIVER_CHECK_H

#include "engine/recovery/check_say.h"

/* Read-only: an unclean store is judged by its log and by its rows up to the checkpoint. What
 * the log would write is not looked at, since replay writes all of it anew. Faults go to
 * check->say and into check->result. 0 or -errno. */
int check_contents(struct check *check);

/* Compare the vector in a live slot with its checksum; false is damage. */
bool check_vector(struct check *check, uint64_t slot, const char **why);
/* Put right what is damaged: what is removed lands in lost+found. The store is as after a
 * recovery then. 0 or -errno. */
int repair_contents(struct check *check);

#endif
