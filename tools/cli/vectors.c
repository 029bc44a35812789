/*
 * vectors.c - reading all vectors of a session, by ID.
 */
#include "tools/cli/vectors.h"
#include "tools/cli/file_attr.h"
#include "tools/cli/ids.h"
#include "tools/cli/live.h"
#include "tools/cli/read_file.h"
#include "tools/cli/say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A cluster answers many requests at once, each after a millisecond or so; of 256 KiB of an object. */
#define ELSEWHERE_BYTES (8u << 20)
/* Bounds the lists of what is read at once. */
#define VECTORS_MAX 65536u
/* First size of the list of a live mount; it doubles. */
#define LIST_FIRST 4096u
/* Room for a decimal uint64 and a NUL. */
#define NAME_BYTES 24

int vectors_open_folder(struct session *session, int *folder_fd)
{
	int fd;

	*folder_fd = -1;
	if (!session->target.live)
		return 0;
	fd = live_open(session->mount_fd, "vectors", O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		say_error(session->target.path, "vectors/ cannot be opened: %s", live_strerror(fd));
		return fd;
	}
	*folder_fd = fd;
	return 0;
}

/* Append one ID. -ENOMEM. */
static int append(struct vectors_list *list, size_t *room, uint64_t id)
{
	if (list->count == *room) {
		size_t larger = *room == 0 ? LIST_FIRST : *room * 2;
		uint64_t *ids = reallocarray(list->ids, larger, sizeof(*ids));

		if (ids == NULL)
			return -ENOMEM;
		list->ids = ids;
		*room = larger;
	}
	list->ids[list->count++] = id;
	return 0;
}

/* Read the names in vectors/ that are IDs. Takes the descriptor over. */
static int list_folder(int folder_fd, struct vectors_list *list)
{
	size_t room = 0;
	int result = 0;
	struct dirent *entry;
	DIR *folder = fdopendir(folder_fd);

	if (folder == NULL) {
		result = -errno;
		(void)close(folder_fd);
		return result;
	}
	while (result == 0) {
		uint64_t id;

		errno = 0;
		entry = readdir(folder);
		if (entry == NULL) {
			result = -errno;
			break;
		}
		if (id_parse(entry->d_name, &id))
			result = append(list, &room, id);
	}
	if (closedir(folder) < 0 && result == 0)
		result = -errno;
	return result;
}

/* Copy the engine's list. */
static int list_store(struct quiver *store, struct vectors_list *list)
{
	struct quiver_list *from;
	int64_t got = 1;
	size_t count;
	int result = quiver_list_open(store, 0, &from);

	if (result < 0)
		return result;
	count = (size_t)quiver_list_count(store, from);
	list->ids = calloc(count > 0 ? count : 1, sizeof(*list->ids));
	if (list->ids == NULL)
		result = -ENOMEM;
	while (result == 0 && list->count < count && got > 0) {
		got = quiver_list_read(store, from, list->count, 0, list->ids + list->count,
		                       count - list->count);
		if (got < 0)
			result = (int)got;
		else
			list->count += (size_t)got;
	}
	quiver_list_close(store, from);
	return result;
}

static int compare_ids(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

int vectors_list(struct session *session, struct vectors_list *list)
{
	int folder_fd, result;

	memset(list, 0, sizeof(*list));
	if (session->target.live) {
		result = vectors_open_folder(session, &folder_fd);
		if (result < 0)
			return result;
		result = list_folder(folder_fd, list);
	} else {
		result = list_store(session->store, list);
	}
	if (result < 0) {
		say_error(session->target.path, "listing the vectors failed: %s",
		          live_strerror(result));
		vectors_list_free(list);
		return result;
	}
	if (list->count > 1)
		qsort(list->ids, list->count, sizeof(*list->ids), compare_ids);
	return 0;
}

void vectors_list_free(struct vectors_list *list)
{
	free(list->ids);
	list->ids = NULL;
	list->count = 0;
}

size_t vectors_at_once(const struct session *session)
{
	size_t vector_bytes = session->geometry.vector_bytes;
	size_t count = 1;

	if (!session->target.elsewhere)
		return 1;
	while (count < VECTORS_MAX && count * 2 * vector_bytes <= ELSEWHERE_BYTES)
		count *= 2;
	return count;
}

/* Read one through a mount, and, if not NULL, its attributes. One that is open stays the version it
 * was. */
static int read_live(const struct session *session, int folder_fd, uint64_t id, void *to,
                     struct quiver_attr *attr)
{
	size_t length = session->geometry.vector_bytes;
	char name[NAME_BYTES];
	struct stat status;
	ssize_t got;
	int fd, result = 0;

	(void)snprintf(name, sizeof(name), "%" PRIu64, id);
	fd = live_open(folder_fd, name, O_RDONLY);
	if (fd < 0)
		return fd;
	if (attr != NULL && fstat(fd, &status) < 0)
		result = -errno;
	if (result == 0) {
		got = read_file(fd, to, length);
		result = got == (ssize_t)length ? 0 : got < 0 ? (int)got : -EIO;
	}
	if (result < 0)
		result = live_error(fd, -result);
	else if (attr != NULL)
		file_attr_of(&status, attr);
	(void)close(fd); /* it was only read */
	return result;
}

/* Whether it is the fault of this vector alone. */
static bool is_of_one(int result)
{
	return result == -ENOENT || result == -EIO || result == -EACCES;
}

int vectors_read(struct session *session, int folder_fd, const uint64_t *ids, size_t count,
                 void *to, struct quiver_attr *attrs, int *results)
{
	unsigned char *row = to;

	if (!session->target.live)
		return quiver_get_many(session->store, ids, count, to, attrs, results);
	for (size_t i = 0; i < count; i++) {
		results[i] = read_live(session, folder_fd, ids[i], row,
		                       attrs != NULL ? &attrs[i] : NULL);
		if (results[i] < 0 && !is_of_one(results[i]))
			return results[i];
		row += session->geometry.vector_bytes;
	}
	return 0;
}
