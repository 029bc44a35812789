/*
 * folder_list.c - which files of a folder are vectors.
 */
#include "tools/cli/folder_list.h"
#include "tools/cli/ids.h"
#include "tools/cli/say.h"
#include "tools/formats/interrupt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* First size of the list; it doubles. */
#define LIST_FIRST 4096u
#define NPY_SUFFIX ".npy"

void folder_entry_name(const struct folder_entry *entry, char name[FOLDER_NAME_BYTES])
{
	(void)snprintf(name, FOLDER_NAME_BYTES, "%" PRIu64 "%s", entry->id,
	               entry->is_npy ? NPY_SUFFIX : "");
}

/* Whether a name is that of a vector; to *entry. */
static bool parse_name(const char *name, struct folder_entry *entry)
{
	size_t length = strlen(name);
	char stem[FOLDER_NAME_BYTES];
	uint64_t id;

	*entry = (struct folder_entry){ 0 };
	if (length > strlen(NPY_SUFFIX) && length < sizeof(stem) &&
	    strcmp(name + length - strlen(NPY_SUFFIX), NPY_SUFFIX) == 0) {
		(void)snprintf(stem, sizeof(stem), "%.*s", (int)(length - strlen(NPY_SUFFIX)),
		               name);
		entry->is_npy = 1;
		name = stem;
	}
	if (!id_parse(name, &id))
		return false;
	entry->id = id;
	return true;
}

/* What it is, where the folder does not tell. */
static unsigned char type_of(int folder_fd, const struct dirent *entry)
{
	struct stat status;

	if (entry->d_type != DT_UNKNOWN ||
	    fstatat(folder_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return entry->d_type;
	return (unsigned char)IFTODT(status.st_mode);
}

/* What is no regular file, in words. */
static const char *kind_of(unsigned char type)
{
	switch (type) {
	case DT_DIR:
		return "a folder; files inside it are not imported";
	case DT_LNK:
		return "a symbolic link, which is not followed";
	case DT_FIFO:
		return "a pipe, not a regular file";
	case DT_SOCK:
		return "a socket, not a regular file";
	default:
		return "a device, not a regular file";
	}
}

static int append(struct folder_list *list, const struct folder_entry *entry)
{
	if (list->count == list->room) {
		size_t larger = list->room == 0 ? LIST_FIRST : list->room * 2;
		struct folder_entry *entries =
			reallocarray(list->entries, larger, sizeof(*entries));

		if (entries == NULL)
			return -ENOMEM;
		list->entries = entries;
		list->room = larger;
	}
	list->npy += entry->is_npy;
	list->entries[list->count++] = *entry;
	return 0;
}

/* Look at one name. -ENOMEM. */
static int look(int folder_fd, const struct dirent *from, const struct folder_options *options,
                struct folder_trouble *trouble, struct folder_list *list)
{
	const char *name = from->d_name;
	struct folder_entry entry;
	unsigned char type;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (name[0] == '.') {
		list->hidden++;
		return 0;
	}
	if (folder_is_excluded(options, name)) {
		list->excluded++;
		return 0;
	}
	type = type_of(folder_fd, from);
	if (type != DT_REG && type != DT_UNKNOWN) {
		folder_trouble_say(trouble, name, "is %s", kind_of(type));
		return 0;
	}
	if (!parse_name(name, &entry)) {
		folder_trouble_say(trouble, name,
		                   "its name is not an ID (a decimal number without leading zeros, "
		                   "also with " NPY_SUFFIX "); --exclude skips it");
		return 0;
	}
	entry.inode = from->d_ino;
	return append(list, &entry);
}

/* As it lies on the disk; .npy files behind the others, so that each kind is read in one go. */
static int compare_places(const void *left, const void *right)
{
	const struct folder_entry *a = left, *b = right;

	if (a->is_npy != b->is_npy)
		return a->is_npy ? 1 : -1;
	return (a->inode > b->inode) - (a->inode < b->inode);
}

static int compare_ids(const void *left, const void *right)
{
	const struct folder_entry *a = left, *b = right;

	return (a->id > b->id) - (a->id < b->id);
}

static void sort(struct folder_list *list, int (*compare)(const void *, const void *))
{
	if (list->count > 1)
		qsort(list->entries, list->count, sizeof(*list->entries), compare);
}

void folder_list_sort(struct folder_list *list)
{
	sort(list, compare_ids);
}

/* Which of two files is the vector? Says it. */
static int refuse_twice(struct folder_list *list, const struct folder_trouble *trouble)
{
	if (list->npy == 0 || list->npy == list->count)
		return 0;
	sort(list, compare_ids);
	for (size_t i = 1; i < list->count; i++) {
		uint64_t id = list->entries[i].id;

		if (id != list->entries[i - 1].id)
			continue;
		say_error(trouble->path,
		          "both %" PRIu64 " and %" PRIu64 NPY_SUFFIX
		          " are in it; --exclude skips one of them (--exclude '*" NPY_SUFFIX "')",
		          id, id);
		return -EEXIST;
	}
	return 0;
}

/* Read all names. A negative errno. */
static int read_names(DIR *folder, int folder_fd, const struct folder_options *options,
                      struct folder_trouble *trouble, struct folder_list *list)
{
	const struct dirent *entry;
	int result = 0;

	do {
		errno = 0;
		entry = readdir(folder);
		if (entry == NULL)
			return -errno;
		result = interrupted() ? -EINTR : look(folder_fd, entry, options, trouble, list);
	} while (result == 0);
	return result;
}

int folder_list_read(int folder_fd, const struct folder_options *options,
                     struct folder_trouble *trouble, struct folder_list *list)
{
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	int result = -errno;

	memset(list, 0, sizeof(*list));
	if (folder != NULL)
		result = read_names(folder, folder_fd, options, trouble, list);
	if (folder != NULL)
		(void)closedir(folder); /* it was only read */
	else if (fd >= 0)
		(void)close(fd); /* nothing was done with it */
	if (result < 0 && result != -EINTR)
		say_error(trouble->path, "its files cannot be listed: %s", strerror(-result));
	if (result == 0)
		result = refuse_twice(list, trouble);
	if (result < 0)
		folder_list_free(list);
	sort(list, compare_places);
	return result;
}

void folder_list_free(struct folder_list *list)
{
	free(list->entries);
	memset(list, 0, sizeof(*list));
}
