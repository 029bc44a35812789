/*
 * snapshots.c - the snapshots of a store, opened directly or through its live mount.
 */
#include "tools/cli/snapshots.h"
#include "tools/cli/live.h"
#include "tools/cli/mounts.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for a line of each in control/snapshots: a name, a UUID and seven numbers. */
#define TEXT_BYTES_MAX ((size_t)QUIVER_SNAPSHOTS_MAX * 256)
#define UUID_BYTES 37

/* ---- what is said ------------------------------------------------------- */

/* Where a snapshot is mounted by this user; "" where it is not. */
static void find_mounted(const struct session *session, const char *name, char point[PATH_MAX])
{
	char store[PATH_MAX], source[PATH_MAX];
	struct mount_found mount;

	point[0] = '\0';
	(void)snprintf(store, sizeof(store), "%s", session->target.path);
	if (session->target.live && mounts_find(store, &mount) == 0 && mount.found)
		(void)snprintf(store, sizeof(store), "%s", mount.source);
	if (snprintf(source, sizeof(source), "%s@%s", store, name) >= (int)sizeof(source) ||
	    mounts_find_from(source, geteuid(), point) < 0)
		point[0] = '\0';
}

/* Say why snapshot `name` is neither made nor removed, as `done` tells. */
static void say_failed(const struct session *session, const char *name, const char *done,
                       int result)
{
	const char *path = session->target.path;
	char point[PATH_MAX];

	switch (result) {
	case -EEXIST:
		say_error(path, "there is a snapshot %s already; remove it, or take another name",
		          name);
		return;
	case -ENOENT:
		say_error(path, "there is no snapshot %s; 'quiverfs snapshot list %s' lists them",
		          name, path);
		return;
	case -EBUSY:
		find_mounted(session, name, point);
		if (point[0] != '\0')
			say_error(path, "snapshot %s is mounted at %s; unmount it first", name,
			          point);
		else
			say_error(path,
			          "another process has snapshot %s open; wait until it ends, or "
			          "unmount the snapshot",
			          name);
		return;
	case -EROFS:
		say_error(path,
		          "snapshot %s is not %s: the store is read-only, because it is mounted so "
		          "or its disk failed; 'quiverfs status %s' says which",
		          name, done, path);
		return;
	case -EINTR:
		say_error(path, "stopped; 'quiverfs snapshot list %s' tells whether there is a %s",
		          path, name);
		return;
	case -EACCES:
	case -EPERM:
		say_error(path,
		          "snapshot %s is not %s: only the user who mounted the store may do that",
		          name, done);
		return;
	case -ENOSPC:
		say_error(path,
		          "snapshot %s is not %s: the disk is full, or there are %u snapshots "
		          "already; nothing has changed",
		          name, done, QUIVER_SNAPSHOTS_MAX);
		return;
	default:
		say_error(path, "snapshot %s is not %s: %s", name, done, live_strerror(result));
	}
}

/* ---- a live mount ------------------------------------------------------- */

/* Bytes in two digits each. */
static bool parse_uuid(const char *text, uint8_t uuid[16])
{
	for (size_t i = 0; i < 16; i++) {
		unsigned byte;

		text += *text == '-';
		if (sscanf(text, "%2x", &byte) != 1)
			return false;
		uuid[i] = (uint8_t)byte;
		text += 2;
	}
	return *text == '\0';
}

/* A line of control/snapshots; what a later daemon has behind it is left out. */
static bool parse_line(const char *line, struct quiver_snapshot *snapshot)
{
	char uuid[UUID_BYTES];
	int damaged;

	memset(snapshot, 0, sizeof(*snapshot));
	if (sscanf(line,
	           "%64s %36s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNu64 " %" SCNu64
	           " %d",
	           snapshot->name, uuid, &snapshot->lsn, &snapshot->count, &snapshot->slots,
	           &snapshot->created_ns, &snapshot->own_vectors, &snapshot->own_bytes,
	           &damaged) != 9)
		return false;
	snapshot->damaged = damaged != 0;
	return parse_uuid(uuid, snapshot->uuid) && quiver_snapshot_name_is_valid(snapshot->name);
}

/* All lines. -ENOMEM; -EPROTO one that is none. */
static int parse_lines(char *text, struct cli_snapshots *snapshots)
{
	char *rest = text, *line;
	size_t lines = 1;

	for (const char *at = text; *at != '\0'; at++)
		lines += *at == '\n';
	snapshots->list = calloc(lines, sizeof(*snapshots->list));
	if (snapshots->list == NULL)
		return -ENOMEM;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] == '\0')
			continue;
		if (!parse_line(line, &snapshots->list[snapshots->count]))
			return -EPROTO;
		snapshots->count++;
	}
	return 0;
}

/* What the mount tells of all, oldest first. A negative errno, with nothing said. */
static int ask_live(const struct session *session, struct cli_snapshots *snapshots)
{
	char *text = malloc(TEXT_BYTES_MAX);
	int result;

	if (text == NULL)
		return -ENOMEM;
	result = live_read(session->mount_fd, "snapshots", text, TEXT_BYTES_MAX);
	if (result == 0)
		result = parse_lines(text, snapshots);
	free(text);
	return result;
}

/* Say that a mount has none, or why they are not to be had. */
static void say_unlisted(const struct session *session, int result)
{
	const char *path = session->target.path;
	struct mount_found mount;
	size_t length;

	if (result == -ENOENT && mounts_find(path, &mount) == 0 && mount.found &&
	    quiver_is_snapshot(mount.source, &length))
		say_error(
			path,
			"a mount of a snapshot; a snapshot has no snapshots; give the store, %.*s",
			(int)length, mount.source);
	else if (result == -ENOENT)
		say_error(path, "the daemon of this mount is too old for snapshots; unmount the "
		                "store and mount it again");
	else
		say_error(path, "its snapshots cannot be read: %s", live_strerror(result));
}

/* Says errors. */
static int get_live(const struct session *session, struct cli_snapshots *snapshots)
{
	int result = ask_live(session, snapshots);

	if (result < 0) {
		cli_snapshots_free(snapshots);
		say_unlisted(session, result);
	}
	return result;
}

/* What is known of one that was just made; zeros where somebody has removed it since. */
static void get_one(const struct session *session, const char *name,
                    struct quiver_snapshot *snapshot)
{
	struct cli_snapshots snapshots = { 0 };

	if (ask_live(session, &snapshots) == 0) {
		for (size_t i = 0; i < snapshots.count; i++) {
			if (strcmp(snapshots.list[i].name, name) == 0)
				*snapshot = snapshots.list[i];
		}
	}
	cli_snapshots_free(&snapshots);
}

/* mkdir(2) or rmdir(2) of the name in the folder. Says errors. */
static int change_live(const struct session *session, const char *name, const char *done,
                       struct quiver_snapshot *made)
{
	int fd = live_open(session->mount_fd, SNAPSHOTS_FOLDER, O_RDONLY | O_DIRECTORY);
	int result;

	if (fd < 0) {
		say_unlisted(session, fd);
		return fd;
	}
	if (made != NULL)
		result = mkdirat(fd, name, 0700);
	else
		result = unlinkat(fd, name, AT_REMOVEDIR);
	if (result < 0) {
		result = live_error(session->mount_fd, errno);
		say_failed(session, name, done, result);
	} else if (made != NULL) {
		get_one(session, name, made);
	}
	(void)close(fd); /* it was only passed through */
	return result;
}

/* ---- either ------------------------------------------------------------- */

void cli_snapshots_say_none(const char *subject)
{
	say_error(subject, "a collection in Ceph has no snapshots; only a store in a folder of "
	                   "this machine has them");
}

static int say_shared(const struct session *session)
{
	cli_snapshots_say_none(session->target.path);
	return -EOPNOTSUPP;
}

int cli_snapshots_get(struct session *session, struct cli_snapshots *snapshots)
{
	int result;

	memset(snapshots, 0, sizeof(*snapshots));
	if (session->is_shared)
		return say_shared(session);
	if (session->target.snapshot) {
		say_error(session->target.path,
		          "a snapshot has no snapshots; give the store, without the @NAME");
		return -EINVAL;
	}
	if (session->target.live)
		return get_live(session, snapshots);
	result = quiver_snapshots(session->store, &snapshots->list, &snapshots->count);
	if (result < 0)
		say_error(session->target.path, "its snapshots cannot be listed: %s",
		          strerror(-result));
	return result;
}

void cli_snapshots_free(struct cli_snapshots *snapshots)
{
	free(snapshots->list);
	memset(snapshots, 0, sizeof(*snapshots));
}

int cli_snapshots_create(struct session *session, const char *name, struct quiver_snapshot *made)
{
	int result;

	memset(made, 0, sizeof(*made));
	if (session->is_shared)
		return say_shared(session);
	if (session->target.live)
		return change_live(session, name, "made", made);
	result = quiver_snapshot_create(session->store, name, made);
	if (result < 0)
		say_failed(session, name, "made", result);
	return result;
}

int cli_snapshots_remove(struct session *session, const char *name)
{
	int result;

	if (session->is_shared)
		return say_shared(session);
	if (session->target.live)
		return change_live(session, name, "removed", NULL);
	result = quiver_snapshot_remove(session->store, name);
	if (result < 0)
		say_failed(session, name, "removed", result);
	return result;
}
