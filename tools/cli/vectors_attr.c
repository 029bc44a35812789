/*
 * vectors_attr.c - the vectors of a session as files: their attributes, and those of their folder.
 */
#include "tools/cli/vectors_attr.h"
#include "tools/cli/file_attr.h"
#include "tools/cli/live.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for a decimal uint64 and a NUL. */
#define NAME_BYTES 24

int vectors_stat(struct session *session, int folder_fd, uint64_t id, struct quiver_attr *attr)
{
	char name[NAME_BYTES];
	struct stat status;
	int result;

	if (!session->target.live)
		return quiver_stat(session->store, id, 0, attr, NULL);
	(void)snprintf(name, sizeof(name), "%" PRIu64, id);
	do {
		result = fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	} while (result == -EINTR);
	if (result == 0)
		file_attr_of(&status, attr);
	return result == 0 || result == -ENOENT ? result : live_error(folder_fd, -result);
}

int vectors_stat_many(struct session *session, int folder_fd, const uint64_t *ids, size_t count,
                      struct quiver_attr *attrs, int *results)
{
	if (session->target.elsewhere)
		return quiver_get_many(session->store, ids, count, NULL, attrs, results);
	for (size_t i = 0; i < count; i++)
		results[i] = vectors_stat(session, folder_fd, ids[i], &attrs[i]);
	return 0;
}

int vectors_remove(struct session *session, int folder_fd, uint64_t id)
{
	char name[NAME_BYTES];

	if (!session->target.live)
		return quiver_remove(session->store, id, 0, NULL);
	(void)snprintf(name, sizeof(name), "%" PRIu64, id);
	if (unlinkat(folder_fd, name, 0) == 0)
		return 0;
	return errno == ENOENT ? -ENOENT : live_error(folder_fd, errno);
}

int vectors_folder_attr(struct session *session, int folder_fd, struct quiver_attr *attr)
{
	struct stat status;

	if (!session->target.live)
		return quiver_dir_attr(session->store, 0, attr);
	if (fstat(folder_fd, &status) < 0)
		return live_error(folder_fd, errno);
	file_attr_of(&status, attr);
	return 0;
}

int vectors_set_folder_attr(struct session *session, int folder_fd, const struct quiver_attr *attr,
                            unsigned mask)
{
	int result;

	if (!session->target.live)
		return quiver_set_dir_attr(session->store, attr, mask, 0);
	result = file_attr_set(folder_fd, attr, mask);
	return result == 0 ? 0 : live_error(folder_fd, -result);
}
