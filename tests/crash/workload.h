/*
 * workload.h - what the steps of a workload have in common; workload*.c only.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include "run.h"

unsigned any_id(struct run *run);
struct quiver_attr any_attr(struct run *run);
unsigned any_mask(struct run *run);
/* A call has returned `r`. Where a sync has failed on the way, any error will do, but success
 * will not. */
void expect(const struct run *run, const char *what, int r, int wanted);
/* Everything so far survives a power cut. */
void durable(struct run *run);
/* A call that commits has returned. */
void committed(struct run *run, struct oracle_state *state, uint64_t lsn, unsigned flags);
/* A call that would have led to this state has failed: by a sync, it may have done so. */
void maybe_phantom(struct run *run, const struct oracle_state *state);

#endif
