/*
 * mounts.c - what is mounted where, as a process sees it.
 */
#include "tools/cli/mounts.h"
#include "tools/cli/octal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* Source, mount point, type, options and two numbers, with a blank between them;
 * the kernel writes blanks and the like within them as \ooo. glibc's getmntent
 * knows only some of those. */
#define MOUNTS_FILE "/proc/%s/%s"
#define PATH_BYTES_MAX 64

/* Look at one line; takes it apart. */
static void look(char *line, const char *point, struct mount_found *mount)
{
	char *rest = line;
	char *source = strsep(&rest, " ");
	char *where = strsep(&rest, " ");
	char *type = strsep(&rest, " ");

	if (where == NULL || type == NULL)
		return;
	octal_decode(where);
	if (strcmp(where, point) != 0)
		return;
	octal_decode(source);
	mount->found = true;
	(void)snprintf(mount->type, sizeof(mount->type), "%s", type);
	(void)snprintf(mount->source, sizeof(mount->source), "%s", source);
}

/* Call `look_at` with each line of `file`, mounts or mountinfo, of the process whose folder in
 * /proc is `process`. */
static int each(const char *process, const char *file, void (*look_at)(char *line, void *arg),
                void *arg)
{
	char path[PATH_BYTES_MAX];
	FILE *mounts;
	char *line = NULL;
	size_t room = 0;
	int result = 0;

	if (snprintf(path, sizeof(path), MOUNTS_FILE, process, file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	mounts = fopen(path, "re");
	if (mounts == NULL)
		return -errno;
	while (getline(&line, &room, mounts) >= 0)
		look_at(line, arg);
	if (ferror(mounts) != 0)
		result = -EIO;
	if (fclose(mounts) != 0 && result == 0)
		result = -errno;
	free(line);
	return result;
}

struct wanted_point {
	const char *point;
	struct mount_found *mount;
};

static void look_for_point(char *line, void *arg)
{
	const struct wanted_point *wanted = arg;

	look(line, wanted->point, wanted->mount);
}

static int find(const char *process, const char *point, struct mount_found *mount)
{
	struct wanted_point wanted = { point, mount };

	memset(mount, 0, sizeof(*mount));
	return each(process, "mounts", look_for_point, &wanted);
}

/* What one line of mountinfo tells. */
struct mount_line {
	char *device, *root, *point, *type, *source, *options;
};

struct wanted_source {
	const char *source;
	char user[32]; /* the mount option */
	char *point;
};

struct wanted_device {
	char device[32]; /* as mountinfo has it */
	char *point;
};

/* Whether `option` is one of the list, which it takes apart. */
static bool has_option(char *list, const char *option)
{
	for (char *word = strsep(&list, ","); word != NULL; word = strsep(&list, ",")) {
		if (strcmp(word, option) == 0)
			return true;
	}
	return false;
}

/* Number, parent, device, root, mount point, options, more words up to "-", type, source, options of
 * the filesystem: proc_pid_mountinfo(5). Takes the line apart; false where it is none. */
static bool split_any(char *line, struct mount_line *mount)
{
	char *rest = strstr(line, " - ");
	char *words = line;

	if (rest == NULL)
		return false;
	*rest = '\0';
	rest += strlen(" - ");
	mount->type = strsep(&rest, " ");
	mount->source = strsep(&rest, " ");
	mount->options = strsep(&rest, "\n");
	for (unsigned i = 0; i < 2; i++)
		(void)strsep(&words, " ");
	mount->device = strsep(&words, " ");
	mount->root = strsep(&words, " ");
	mount->point = strsep(&words, " ");
	if (mount->options == NULL || mount->point == NULL)
		return false;
	octal_decode(mount->source);
	octal_decode(mount->point);
	return strlen(mount->point) < PATH_MAX;
}

/* The same; false also where it is none of quiverfs. */
static bool split(char *line, struct mount_line *mount)
{
	return split_any(line, mount) && strcmp(mount->type, MOUNT_TYPE) == 0;
}

/* A bind mount of a folder within it has another root. */
static void look_for_source(char *line, void *arg)
{
	const struct wanted_source *wanted = arg;
	struct mount_line mount;

	if (wanted->point[0] == '\0' && split(line, &mount) && strcmp(mount.root, "/") == 0 &&
	    strcmp(mount.source, wanted->source) == 0 && has_option(mount.options, wanted->user))
		(void)snprintf(wanted->point, PATH_MAX, "%s", mount.point);
}

static void look_for_device(char *line, void *arg)
{
	const struct wanted_device *wanted = arg;
	struct mount_line mount;

	if (wanted->point[0] == '\0' && split(line, &mount) &&
	    strcmp(mount.device, wanted->device) == 0)
		(void)snprintf(wanted->point, PATH_MAX, "%s", mount.point);
}

int mounts_find_device(dev_t device, char point[PATH_MAX])
{
	struct wanted_device wanted = { .point = point };

	point[0] = '\0';
	(void)snprintf(wanted.device, sizeof(wanted.device), "%u:%u", major(device), minor(device));
	return each("self", "mountinfo", look_for_device, &wanted);
}

int mounts_find_from(const char *source, uid_t uid, char point[PATH_MAX])
{
	struct wanted_source wanted = { .source = source, .point = point };

	point[0] = '\0';
	(void)snprintf(wanted.user, sizeof(wanted.user), "user_id=%u", (unsigned)uid);
	return each("self", "mountinfo", look_for_source, &wanted);
}

struct visit {
	void (*see)(void *arg, const struct mount_seen *mount);
	void *arg;
};

/* Whose mount it is, by its options, which are taken apart; root's where they do not tell. */
static uid_t find_user_id(char *options)
{
	static const char name[] = "user_id=";

	for (char *word = strsep(&options, ","); word != NULL; word = strsep(&options, ",")) {
		if (strncmp(word, name, strlen(name)) == 0)
			return (uid_t)strtoul(word + strlen(name), NULL, 10);
	}
	return 0;
}

static void see_line(char *line, void *arg)
{
	const struct visit *visit = arg;
	struct mount_line mount;

	if (split_any(line, &mount))
		visit->see(visit->arg, &(struct mount_seen){ .point = mount.point,
		                                             .type = mount.type,
		                                             .source = mount.source,
		                                             .device = mount.device,
		                                             .uid = find_user_id(mount.options) });
}

int mounts_see(int64_t pid, void (*see)(void *arg, const struct mount_seen *mount), void *arg)
{
	struct visit visit = { see, arg };
	char process[PATH_BYTES_MAX] = "self";

	if (pid != 0)
		(void)snprintf(process, sizeof(process), "%" PRId64, pid);
	return each(process, "mountinfo", see_line, &visit);
}

int mounts_find(const char *point, struct mount_found *mount)
{
	return find("self", point, mount);
}

int mounts_find_of(int64_t pid, const char *point, struct mount_found *mount)
{
	char process[PATH_BYTES_MAX];

	(void)snprintf(process, sizeof(process), "%" PRId64, pid);
	return find(process, point, mount);
}
