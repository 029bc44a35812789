/* proc_thread.c - which threads are of one process. */
#include "fs/base/proc_thread.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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

/* PF_KTHREAD of the kernel's include/linux/sched.h, since 2009. */
#define FLAG_OF_KERNEL 0x00200000u

bool proc_looks_again(pid_t tid)
{
	char path[64], text[512];
	const char *rest;
	unsigned flags;
	ssize_t got;
	int fd;

	if (tid <= 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, text, sizeof(text) - 1);
	(void)close(fd); /* it was read only */
	if (got <= 0)
		return false;
	text[got] = '\0';
	/* PID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS ...; proc_pid_stat(5) */
	rest = strrchr(text, ')');
	return rest != NULL && sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
	       !(flags & FLAG_OF_KERNEL);
}
