#include "engine/store/lock_pid.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int64_t lock_pid(int fd)
{
	struct stat st;
	FILE *locks;
	char *line = NULL;
	size_t room = 0;
	int64_t found = 0;

	if (fstat(fd, &st) != 0)
		return 0;
	locks = fopen("/proc/locks", "re");
	if (!locks)
		return 0;
	while (found == 0 && getline(&line, &room, locks) >= 0) {
		unsigned major_number, minor_number;
		unsigned long inode;
		long pid;

		/* "1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234 0 EOF"; who waits has "->" there. */
		if (sscanf(line, "%*d: FLOCK %*s %*s %ld %x:%x:%lu", &pid, &major_number,
		           &minor_number, &inode) == 4 &&
		    pid > 0 && inode == st.st_ino && major_number == major(st.st_dev) &&
		    minor_number == minor(st.st_dev))
			found = pid;
	}
	free(line);
	(void)fclose(locks); /* it was only read */
	return found;
}
