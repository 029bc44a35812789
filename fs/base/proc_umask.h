/*
 * proc_umask.h - the umask of another process.
 */
#ifndef PROC_UMASK_H
#define PROC_UMASK_H

#include <stdbool.h>
#include <sys/types.h>

/* The umask of process `pid`, which the kernel tells with a CREATE but not with an
 * OPEN; 022 where it cannot be found out (0 is a process we cannot see). Any thread;
 * does not wait. */
mode_t proc_umask(pid_t pid);

/* The line "Umask:" in the text of /proc/PID/status. */
bool proc_umask_parse(const char *status, mode_t *mask);

#endif
