/*
 * guard.h - a small process that ends the connection when the daemon is killed.
 *
 * The kernel does so by itself when the last thread of the daemon has ended. But one that has it
 * drop pages (fs/matrix/tell.h) waits, and cannot be killed, until READs of these pages are
 * answered. If the daemon is killed just then nobody answers them: that thread goes on for good, and
 * with it every request.
 */
#ifndef GUARD_H
#define GUARD_H

#include <stdint.h>
#include <sys/types.h>

struct guard {
	pid_t pid; /* 0: there is none */
	int pipe; /* to it; -1: there is none */
};

/* Start the process, which waits for the end of the calling thread. Call it while there are no other
 * threads, and with the rights that the daemon goes on with. 0 or a negative errno. */
int guard_start(struct guard *guard);

/* The connection that is to be ended. The thread of guard_start. */
void guard_connection(struct guard *guard, uint32_t connection);

/* It is not needed any more. The thread of guard_start. */
void guard_end(struct guard *guard);

#endif
