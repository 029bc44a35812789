/*
 * proc_umask.c - the umask of another process.
 */
#include "fs/base/proc_umask.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define UMASK_DEFAULT 022

bool proc_umask_parse(const char *status, mode_t *mask)
{
	static const char label[] = "Umask:";
	const char *at;
	mode_t value = 0;

	/* The name of the process comes first and may hold anything but a newline. */
	for (at = status; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, label, sizeof(label) - 1) == 0)
			break;
	}
	if (!at)
		return false;
	at += sizeof(label) - 1;
	at += strspn(at, " \t");
	if (*at < '0' || *at > '7')
		return false;
	for (; *at >= '0' && *at <= '7' && value <= 0777; at++)
		value = value * 8 + (mode_t)(*at - '0');
	if (value > 0777 || (*at != '\n' && *at != '\0'))
		return false;
	*mask = value;
	return true;
}

mode_t proc_umask(pid_t pid)
{
	/* It is the second line. */
	char path[64], status[256];
	mode_t mask;
	ssize_t got;
	int fd;

	if (pid <= 0)
		return UMASK_DEFAULT;
	snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return UMASK_DEFAULT;
	got = read(fd, status, sizeof(status) - 1);
	close(fd);
	if (got <= 0)
		return UMASK_DEFAULT;
	status[got] = '\0';
	return proc_umask_parse(status, &mask) ? mask : UMASK_DEFAULT;
}
