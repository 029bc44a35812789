/*
 * clock.h - the wall clock of the engine, which these tests turn: it stands still until they say
 * so, and goes back now and then. Their programs are linked with --wrap=clock_realtime_ns.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#include "chance.h"

/* What it shows; any thread. */
int64_t clock_now(void);
void clock_set(int64_t ns);
/* A start, in a few seeds just before the end of 64 bits; then a step: none, some nanoseconds,
 * seconds, and now and then back by up to a day. */
void clock_start(struct chance *chance);
void clock_step(struct chance *chance);

#endif
