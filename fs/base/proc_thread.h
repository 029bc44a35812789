/*
 * proc_thread.h - which threads are of one process.
 */
#ifndef PROC_THREAD_H
#define PROC_THREAD_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether thread `other` is of the same process as thread `tid`. False where that cannot be found
 * out: one is 0, of a pid namespace that cannot be seen into, or is gone. Any thread; does not
 * wait. */
bool proc_same_process(pid_t tid, pid_t other);

/* Whether `tid` is a thread of a process, which looks a name up again where it is told ESTALE; one
 * of the kernel (an NFS server) hands that on. False where that cannot be found out. Any thread;
 * does not wait. */
bool proc_looks_again(pid_t tid);

#endif
