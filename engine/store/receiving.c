#include "engine/store/receiving.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "engine/base/error.h"
#include "engine/commit/snapshot.h"
#include "engine/store/local.h"
#include "engine/store/store.h"

#define NEW_NAME RECEIVE_MARK_NAME ".new"

static int open_mark(const struct quiver *store)
{
	return store->io->open(store->io, store->dir_fd, RECEIVE_MARK_NAME, O_RDONLY, 0);
}

int receiving_is_marked(const struct quiver *store)
{
	int fd;

	if (store->superblock.now.features_to_open & SUPERBLOCK_RECEIVING)
		return 1;
	fd = open_mark(store);
	if (fd == -ENOENT)
		return 0;
	if (fd >= 0)
		(void)store->io->close(store->io, fd); /* nothing was written through it */
	/* Whatever has that name. */
	return fd >= 0 || fd == -ELOOP || fd == -ENXIO || fd == -EISDIR || fd == -EPERM ? 1 : fd;
}

int receiving_refuse(const struct quiver *store, const char *path, struct quiver_error *error)
{
	const size_t suffix = sizeof(RECEIVING_SUFFIX) - 1;
	size_t length = strlen(path);
	struct receive_mark mark;
	int r = receiving_read(store, &mark);

	while (length > 1 && path[length - 1] == '/')
		length--;
	if (r == 0 && !mark.header.has_old && length > suffix &&
	    strncmp(path + length - suffix, RECEIVING_SUFFIX, suffix) == 0)
		length -= suffix;
	if (r)
		error_set(error,
		          "%s: a stream is being received into it, and %s cannot be used; "
		          "`quiverfs receive --undo %.*s` goes back to its newest snapshot",
		          path, RECEIVE_MARK_NAME, (int)length, path);
	else
		error_set(error,
		          "%s: a stream is being received into it: snapshot %s, %" PRIu64
		          " of %" PRIu64
		          " changes; `quiverfs receive %.*s` continues, `quiverfs receive --undo "
		          "%.*s` goes back; its snapshots can be mounted meanwhile, as STORE@NAME",
		          path, mark.name, mark.position, stream_items(&mark.header), (int)length,
		          path, (int)length, path);
	return -EINPROGRESS;
}

int receiving_read(const struct quiver *store, struct receive_mark *mark)
{
	const struct quiver_io *io = store->io;
	uint8_t file[RECEIVE_MARK_BYTES];
	int fd = open_mark(store);
	int c;
	int r;

	if (fd < 0)
		return fd;
	r = io_read_all(io, fd, file, sizeof(file), 0);
	c = io->close(io, fd);
	if (r == 0)
		r = c;
	if (r)
		return r == -ENODATA ? -EUCLEAN : r;
	return receive_mark_decode(file, store->geometry.uuid, mark);
}

/* The file, whole or as it was. */
static int write_file(struct quiver *store, const struct receive_mark *mark)
{
	const struct quiver_io *io = store->io;
	uint8_t file[RECEIVE_MARK_BYTES];
	int fd = io_open_new(io, store->dir_fd, NEW_NAME);
	int c;
	int r;

	if (fd < 0)
		return fd;
	receive_mark_encode(mark, file);
	r = io_write_all(io, fd, file, sizeof(file), 0);
	if (r == 0)
		r = io_fsync(io, fd);
	c = io->close(io, fd);
	r = r ? r : c;
	if (r == 0)
		r = io->rename(io, store->dir_fd, NEW_NAME, RECEIVE_MARK_NAME);
	if (r)
		(void)io->unlink(io, store->dir_fd, NEW_NAME); /* what failed first is the reason */
	return r ? r : io_fsync(io, store->dir_fd);
}

/* In both copies of the superblock, so that the older one does not say otherwise. */
static int set_feature(struct quiver *store, uint64_t features)
{
	struct superblock *sb = &store->superblock.now;
	int r = health_writable(&store->health);

	pthread_mutex_lock(&store->checkpointer.lock);
	if (r == 0 && sb->features_to_open != features) {
		sb->features_to_open = features;
		r = superblock_write(store->io, store->superblock.fd, sb);
		if (r == 0)
			r = superblock_write(store->io, store->superblock.fd, sb);
		r = health_judge(&store->health, HEALTH_SUPERBLOCK, r);
	}
	pthread_mutex_unlock(&store->checkpointer.lock);
	return r;
}

int receiving_write(struct quiver *store, struct receive_mark *mark)
{
	int r = health_writable(&store->health);

	memcpy(mark->store_uuid, store->geometry.uuid, sizeof(mark->store_uuid));
	if (r == 0)
		r = write_file(store, mark);
	return r ? r : set_feature(store, SUPERBLOCK_RECEIVING);
}

int receiving_clear(struct quiver *store)
{
	int r = set_feature(store, 0);

	if (r)
		return r;
	r = store->io->unlink(store->io, store->dir_fd, RECEIVE_MARK_NAME);
	return r && r != -ENOENT ? r : io_fsync(store->io, store->dir_fd);
}

int receiving_snapshot(struct quiver *store, const char *name, const uint8_t uuid[16],
                       struct quiver_snapshot *made)
{
	struct quiver_description description;

	local_describe(store, &description);
	return snapshot_create(&store->checkpointer, name, uuid, &description, made);
}
