/*
 * vectors.c - reading all vectors of a session, by ID.
 */
#include "tools/cli/vectors.h"
#include "tools/cli/ids.h"
#include "tools/cli/live.h"
#include "tools/cli/say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
		          strerror(-result));
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

/* Read a whole file of exactly `length` bytes. A vector that is open stays the
 * version it was, so more than one read gets one version. */
static int read_file(int folder_fd, const char *name, void *to, size_t length)
{
	size_t done = 0;
	int result = 0;
	int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	while (done < length) {
		ssize_t got = read(fd, (char *)to + done, length - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			result = got < 0 ? -errno : -EIO;
			break;
		}
		done += (size_t)got;
	}
	if (close(fd) < 0 && result == 0)
		result = -errno;
	return result;
}

int vectors_read(struct session *session, int folder_fd, uint64_t id, void *to)
{
	char name[NAME_BYTES];
	int result;

	if (session->target.live) {
		(void)snprintf(name, sizeof(name), "%" PRIu64, id);
		result = read_file(folder_fd, name, to, session->geometry.vector_bytes);
	} else {
		result = quiver_get_copy(session->store, id, to, NULL, NULL);
	}
	if (result < 0 && result != -ENOENT)
		say_error(session->target.path, "vector %" PRIu64 " cannot be read: %s", id,
		          result == -EIO ? "it does not match its checksum, or the disk failed; "
		                           "'quiverfs verify' counts the damage"
		                         : strerror(-result));
	return result;
}
