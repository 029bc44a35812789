/*
 * workers.h - threads of a command that share its work.
 */
#ifndef WORKERS_H
#define WORKERS_H

#include <stddef.h>

/*
 * Call `work` with each of `count` workers, `size` bytes apart from `first` on, each in a thread
 * of its own, and wait for all. A thread that cannot be had is done without: at least the first
 * works, in this thread where there is no other. This thread only waits, and so is there for
 * signals.
 */
void workers_run(void *(*work)(void *worker), void *first, size_t size, unsigned count);

#endif
