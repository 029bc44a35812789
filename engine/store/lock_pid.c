#include "engine/store/lock_pid.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/codec/printable.h"

#define COMM_PATH_BYTES 48 /* /proc/PID/comm */

/* The kernel gives the list in pieces, and lines are passed over where others' locks come and go
 * between them: what was not met is looked for again. */
#define READINGS_MAX 5

/* Whether a line of /proc/locks is a lock of the file, and whose; not above 0 where that is not
 * told. */
static bool pid_of(const char *line, const struct stat *st, int64_t *of)
{
	unsigned major_number, minor_number;
	unsigned long inode;
	long pid;

	/* "1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234 0 EOF"; who waits has "->" there. */
	if (sscanf(line, "%*d: FLOCK %*s %*s %ld %x:%x:%lu", &pid, &major_number, &minor_number,
	           &inode) != 4 ||
	    inode != st->st_ino || major_number != major(st->st_dev) ||
	    minor_number != minor(st->st_dev))
		return false;
	*of = pid;
	return true;
}

static bool is_among(int64_t pid, const int64_t *pids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* What one reading of `locks` has. *seen: the file was in it, of a process that is known or not. */
static size_t read_locks(FILE *locks, const struct stat *st, int64_t *pids, size_t count,
                         size_t max, bool *seen)
{
	char *line = NULL;
	size_t room = 0;
	int64_t pid;

	while (count < max && getline(&line, &room, locks) >= 0) {
		if (!pid_of(line, st, &pid))
			continue;
		*seen = true;
		if (pid > 0 && !is_among(pid, pids, count))
			pids[count++] = pid;
	}
	free(line);
	return count;
}

size_t lock_pids(int fd, int64_t *pids, size_t count, size_t max)
{
	bool seen = false;
	struct stat st;
	FILE *locks;

	if (fstat(fd, &st) != 0)
		return count;
	for (int again = 0; !seen && again < READINGS_MAX; again++) {
		locks = fopen("/proc/locks", "re");
		if (!locks)
			return count;
		count = read_locks(locks, &st, pids, count, max, &seen);
		(void)fclose(locks); /* it was only read */
	}
	return count;
}

void lock_program(int64_t pid, struct lock_program *program)
{
	char path[COMM_PATH_BYTES];
	size_t length = 0;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%" PRId64 "/comm", pid);
	file = fopen(path, "re");
	if (file) {
		length = fread(program->name, 1, sizeof(program->name) - 1, file);
		(void)fclose(file); /* it was only read */
	}
	program->name[length] = '\0';
	program->name[strcspn(program->name, "\n")] = '\0';
	printable_clean(program->name);
}
