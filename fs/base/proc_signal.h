/*
 * proc_signal.h - whether a thread that waits has been sent a signal that is to end its waiting.
 */
#ifndef PROC_SIGNAL_H
#define PROC_SIGNAL_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * The kernel tells that a caller was interrupted, but not by what. A signal that ends the process, or
 * by which a person or a service manager asks it to end (INT, QUIT, TERM, HUP), is to get through at
 * once. One that is handled otherwise, as a timer's, is not: most programs take EINTR of a file for a
 * failure. True where it cannot be found out: `tid` is 0, of a pid namespace that cannot be seen
 * into, or /proc is closed. Any thread; does not wait.
 */
bool proc_is_called_off(pid_t tid);

/* The same for who asks though the kernel has not said that anybody was interrupted, as it does not
 * everywhere: false where it cannot be found out. */
bool proc_is_surely_called_off(pid_t tid);

/* The same of the text of /proc/TID/status. */
bool proc_status_is_called_off(const char *status);

#endif
