/*
 * replay.h - applying the log to the columns, once its end is known; FORMAT.md, "Recovery".
 */
#ifndef QUIVER_REPLAY_H
#define QUIVER_REPLAY_H

#include "engine/recovery/recover.h"

/* After recovery_read_log and recovery_base. Make the log durable, then apply its records:
 * writes slots and rows, fills index and slots. 0 or -errno; -EUCLEAN a record that cannot be
 * applied (reported); what came before it is applied. */
int recovery_replay(struct recovery *recovery);

#endif
