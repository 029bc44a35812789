/*
 * folder.c - a folder of files, one a vector: what import and export are asked to do with it.
 */
#include "tools/cli/folder.h"
#include "tools/cli/arguments.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Files that are told of by name. */
#define SHOWN_MAX 20u
#define REASON_BYTES 256

error_t folder_take_exclude(void *to, char *text, const struct argp_state *state)
{
	struct folder_options *options = to;

	if (options->excludes_count == FOLDER_EXCLUDES_MAX)
		arguments_error(state, "--exclude: more than %u patterns", FOLDER_EXCLUDES_MAX);
	else
		options->excludes[options->excludes_count++] = text;
	return 0;
}

bool folder_is_excluded(const struct folder_options *options, const char *name)
{
	for (size_t i = 0; i < options->excludes_count; i++)
		if (fnmatch(options->excludes[i], name, 0) == 0)
			return true;
	return false;
}

const char *folder_option_given(const struct folder_options *options)
{
	if (options->update)
		return "--update";
	if (options->remove)
		return "--delete";
	if (options->dry_run)
		return "--dry-run";
	return options->excludes_count > 0 ? "--exclude" : NULL;
}

bool folder_is_format(const char *name)
{
	return strcmp(name, "dir") == 0 || strcmp(name, "folder") == 0;
}

bool folder_is_at(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

void folder_trouble_start(struct folder_trouble *trouble, const char *path)
{
	memset(trouble, 0, sizeof(*trouble));
	trouble->path = path;
	(void)pthread_mutex_init(&trouble->lock, NULL); /* cannot fail with default attributes */
}

/* Count one, and say it unless there were too many. */
static void add(struct folder_trouble *trouble, const char *name, const char *reason)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", trouble->path, name);
	pthread_mutex_lock(&trouble->lock);
	if (trouble->count++ < SHOWN_MAX)
		say_error(path, "%s", reason);
	pthread_mutex_unlock(&trouble->lock);
}

void folder_trouble_say(struct folder_trouble *trouble, const char *name, const char *format, ...)
{
	char reason[REASON_BYTES];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	add(trouble, name, reason);
}

void folder_trouble_unread(struct folder_trouble *trouble, const char *name, int result)
{
	char reason[REASON_BYTES];

	(void)snprintf(reason, sizeof(reason), "cannot be read: %s", strerror(-result));
	add(trouble, name, reason);
}

uint64_t folder_trouble_end(struct folder_trouble *trouble)
{
	if (trouble->count > SHOWN_MAX)
		say_error(trouble->path, "%" PRIu64 " more files like these",
		          trouble->count - SHOWN_MAX);
	pthread_mutex_destroy(&trouble->lock);
	return trouble->count;
}
