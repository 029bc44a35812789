/*
 * busy.c - who uses a folder that is to be unmounted, as far as the kernel tells this user.
 */
#include "tools/cli/busy.h"
#include "tools/cli/octal.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROC_BYTES_MAX 320 /* /proc/PID/fd/NAME */
#define PROCESS_BYTES_MAX 32 /* /proc/PID */
#define NAME_BYTES_MAX 32 /* of a process */
/* Device, inode and the like come before the path of a line of /proc/PID/maps. */
#define MAPS_WORDS 5

/* Where the rest of a path within the folder begins; NULL where it is not within. */
static const char *within(const char *path, const char *point)
{
	size_t length = strlen(point);

	if (strncmp(path, point, length) != 0)
		return NULL;
	if (path[length] == '\0')
		return path + length;
	return path[length] == '/' ? path + length + 1 : NULL;
}

/* Whether the link `name` of a process leads into the folder; the rest of the path to `inside`. */
static bool leads_into(const char *folder, const char *name, const char *point,
                       char inside[PATH_MAX])
{
	char link[PROC_BYTES_MAX], path[PATH_MAX];
	const char *rest;
	ssize_t length;

	if (snprintf(link, sizeof(link), "%s/%s", folder, name) >= (int)sizeof(link))
		return false;
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return false; /* it has ended, or is somebody else's */
	path[length] = '\0';
	rest = within(path, point);
	if (rest != NULL)
		memmove(inside, rest, strlen(rest) + 1);
	return rest != NULL;
}

/* Whether it has a file of the folder open. */
static bool has_open(const char *process, const char *point, char inside[PATH_MAX])
{
	char folder[PROC_BYTES_MAX];
	const struct dirent *entry;
	bool found = false;
	DIR *files;

	(void)snprintf(folder, sizeof(folder), "%s/fd", process);
	files = opendir(folder);
	if (files == NULL)
		return false;
	while (!found && (entry = readdir(files)) != NULL)
		found = leads_into(folder, entry->d_name, point, inside);
	(void)closedir(files); /* it was only read */
	return found;
}

/* The path at the end of a line of /proc/PID/maps. */
static char *path_of(char *line)
{
	for (unsigned i = 0; i < MAPS_WORDS; i++) {
		line += strcspn(line, " \n");
		line += strspn(line, " ");
	}
	line[strcspn(line, "\n")] = '\0';
	octal_decode(line);
	return line;
}

/* Whether it has a file of the folder mapped, which may be closed meanwhile. */
static bool has_mapped(const char *process, const char *point, char inside[PATH_MAX])
{
	char path[PROC_BYTES_MAX];
	const char *rest = NULL;
	char *line = NULL;
	size_t room = 0;
	FILE *maps;

	(void)snprintf(path, sizeof(path), "%s/maps", process);
	maps = fopen(path, "re");
	if (maps == NULL)
		return false;
	while (rest == NULL && getline(&line, &room, maps) >= 0)
		rest = within(path_of(line), point);
	if (rest != NULL)
		(void)snprintf(inside, PATH_MAX, "%s", rest);
	free(line);
	(void)fclose(maps); /* it was only read */
	return rest != NULL;
}

/* What a process is called. */
static void find_name(const char *process, char name[NAME_BYTES_MAX])
{
	char path[PROC_BYTES_MAX];
	FILE *file;

	(void)snprintf(name, NAME_BYTES_MAX, "?");
	(void)snprintf(path, sizeof(path), "%s/comm", process);
	file = fopen(path, "re");
	if (file == NULL)
		return;
	if (fgets(name, NAME_BYTES_MAX, file) != NULL)
		name[strcspn(name, "\n")] = '\0';
	(void)fclose(file); /* it was only read */
}

static void append(struct busy *busy, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void append(struct busy *busy, const char *format, ...)
{
	size_t length = strlen(busy->text);
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(busy->text + length, sizeof(busy->text) - length, format, arguments);
	va_end(arguments);
}

/* Look at one process, and tell what it does with the folder. */
static void look_at(int64_t pid, const char *point, struct busy *busy)
{
	char process[PROCESS_BYTES_MAX], inside[PATH_MAX], name[NAME_BYTES_MAX];
	const char *how = " open";
	bool is_in;

	(void)snprintf(process, sizeof(process), "/proc/%" PRId64, pid);
	is_in = leads_into(process, "cwd", point, inside) ||
	        leads_into(process, "root", point, inside);
	if (!is_in && !has_open(process, point, inside)) {
		how = " mapped";
		if (!leads_into(process, "exe", point, inside) &&
		    !has_mapped(process, point, inside))
			return;
	}
	if (busy->processes++ >= BUSY_SHOWN_MAX)
		return;
	find_name(process, name);
	append(busy, "%sprocess %" PRId64 " (%s) ", busy->processes > 1 ? ", " : "", pid, name);
	if (is_in)
		append(busy, "works in the folder");
	else
		append(busy, "has %.100s%s", inside[0] != '\0' ? inside : "the folder", how);
}

/* Call `see` with each process until it returns true. */
static void each_process(int64_t except, bool (*see)(int64_t pid, void *arg), void *arg)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;
	bool enough = false;

	if (processes == NULL)
		return;
	while (!enough && (entry = readdir(processes)) != NULL) {
		int64_t pid = strtoll(entry->d_name, NULL, 10);

		if (pid > 0 && pid != except && pid != getpid())
			enough = see(pid, arg);
	}
	(void)closedir(processes); /* it was only read */
}

struct wanted_use {
	const char *point;
	struct busy *busy;
};

static bool see_use(int64_t pid, void *arg)
{
	const struct wanted_use *wanted = arg;

	look_at(pid, wanted->point, wanted->busy);
	return false;
}

void busy_look(const char *point, int64_t except, struct busy *busy)
{
	struct wanted_use wanted = { point, busy };

	memset(busy, 0, sizeof(*busy));
	each_process(except, see_use, &wanted);
	if (busy->processes > BUSY_SHOWN_MAX)
		append(busy, " and %zu more", busy->processes - BUSY_SHOWN_MAX);
}

bool busy_is_mount(const struct mount_seen *mount, const char *device, const char *source)
{
	return strcmp(mount->device, device) == 0 && strcmp(mount->type, MOUNT_TYPE) == 0 &&
	       strcmp(mount->source, source) == 0;
}

struct wanted_mount {
	const char *device, *source;
	bool found;
	int64_t pid; /* set where it was found */
};

static void see_mount(void *arg, const struct mount_seen *mount)
{
	struct wanted_mount *wanted = arg;

	wanted->found = wanted->found || busy_is_mount(mount, wanted->device, wanted->source);
}

static bool see_mounts(int64_t pid, void *arg)
{
	struct wanted_mount *wanted = arg;

	/* Of one that has ended or is somebody else's nothing is learned. */
	(void)mounts_see(pid, see_mount, wanted);
	if (wanted->found)
		wanted->pid = pid;
	return wanted->found;
}

int64_t busy_find_mounted(const char *device, const char *source, int64_t except)
{
	struct wanted_mount wanted = { .device = device, .source = source };

	each_process(except, see_mounts, &wanted);
	return wanted.pid;
}
