/*
 * interrupt.h - SIGINT, SIGTERM and SIGHUP as a request to stop soon.
 */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include <stdbool.h>

/* From now on the signals set a flag instead of ending the process. A second
 * one ends it at once. Main thread, before others are started. 0 or -errno. */
int interrupt_catch(void);

/* Whether one came. Any thread. */
bool interrupted(void);

/* Sleep up to `ms` milliseconds; a signal ends it early. */
void interruptible_sleep(unsigned ms);

#endif
