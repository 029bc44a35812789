/*
 * signals.h - what each signal does to a mount.
 *
 * A signal whose default is to end the process would leave a mount point that nobody answers.
 * So each of them either unmounts in order, or does nothing. Left alone are those that say that
 * the program is wrong (SIGSEGV, SIGABRT, which the watchdog of a service manager sends, too, ...)
 * and those of job control that a person sends to stop it for a while.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <stdbool.h>

/* Ignore what must not end anything; a failed write says EPIPE or EFBIG then. Before the fork, and
 * before there is a second thread. 0 or -errno. */
int signals_ignore(void);

/* Block the signals that unmount, for this thread and those that it starts; *fd is a signalfd on
 * which they come. SIGHUP and SIGQUIT stay ignored in the foreground where whoever started the
 * program had them so, as nohup(1) and shells do. 0 or -errno. */
int signals_take(bool foreground, int *fd);

#endif
