/* proc_thread.c - which threads are of one process. */
#include "fs/base/proc_thread.h"

#include <stdio.h>
#include <unistd.h>

bool proc_same_process(pid_t tid, pid_t other)
{
	char path[64];

	if (tid <= 0 || other <= 0)
		return false;
	if (tid == other)
		return true;
	/* A thread has this folder as well as its process has. */
	(void)snprintf(path, sizeof(path), "/proc/%ld/task/%ld", (long)tid, (long)other);
	return access(path, F_OK) == 0;
}
