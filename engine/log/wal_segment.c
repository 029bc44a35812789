#include "engine/log/wal_segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/sizes.h"
#include "engine/log/wal.h"
#include "engine/media/bytes.h"

#define NAME_BYTES 64

static int random_salt(uint64_t *salt)
{
	return getrandom(salt, sizeof(*salt), 0) == (ssize_t)sizeof(*salt) ? 0 : -EIO;
}

/* Zeros in every block, so that a sync of appended records writes no metadata. The device takes
 * them by the piece: a commit that syncs meanwhile waits for one and not for 32 MiB. */
static int fill(const struct quiver_io *io, int fd, uint64_t bytes)
{
	uint8_t *zeros;
	int r = io->allocate(io, fd, 0, bytes);

	if (r)
		return r;
	zeros = calloc(1, ZERO_CHUNK_BYTES);
	if (!zeros)
		return -ENOMEM;
	for (uint64_t at = 0; r == 0 && at < bytes; at += ZERO_CHUNK_BYTES) {
		uint64_t n = bytes - at < ZERO_CHUNK_BYTES ? bytes - at : ZERO_CHUNK_BYTES;

		r = io_write_all(io, fd, zeros, n, at);
		if (r == 0 && (at + n) % IO_PIECE_BYTES == 0)
			r = io_write_out(io, fd, at + n - IO_PIECE_BYTES, IO_PIECE_BYTES);
	}
	free(zeros);
	return r;
}

static int write_header(struct wal *wal, struct wal_segment *segment)
{
	uint8_t page[WAL_HEADER_BYTES];
	struct wal_segment_header header = {
		.number = segment->number,
		.salt = segment->salt,
		.size_bytes = segment->size_bytes,
	};
	int r;

	memcpy(header.uuid, wal->uuid, sizeof(header.uuid));
	wal_segment_encode(&header, page);
	r = io_write_all(wal->io, segment->fd, page, sizeof(page), 0);
	return r ? r : io_fsync(wal->io, segment->fd);
}

/* Get rid of one that nobody needs. Where its file stays, with no record of its salt in it, it
 * harms nothing but the space that it takes; the next open removes it. */
static void discard(struct wal *wal, struct wal_segment *segment)
{
	(void)health_judge(wal->health, HEALTH_LOG_CUT, wal_segment_remove(wal, segment));
}

/* A new file of segment->size_bytes. On failure nothing of it stays. */
static int make_file(struct wal *wal, struct wal_segment *segment)
{
	const struct quiver_io *io = wal->io;
	char name[NAME_BYTES];
	int r;

	wal_segment_name(segment->number, name);
	segment->fd = io_open_new(io, wal->wal_fd, name);
	if (segment->fd < 0)
		return segment->fd;
	r = fill(io, segment->fd, segment->size_bytes);
	if (r == 0)
		r = write_header(wal, segment);
	if (r == 0)
		r = io_fsync(io, wal->wal_fd);
	if (r == 0)
		(void)map_store_open(&segment->map, io, segment->fd, 0, segment->size_bytes);
	if (r)
		discard(wal, segment);
	return r;
}

/* The spare file under a new name and salt: its stale records are no longer of it. */
static int recycle(struct wal *wal, struct wal_segment *spare, struct wal_segment *segment)
{
	const struct quiver_io *io = wal->io;
	char from[NAME_BYTES];
	char to[NAME_BYTES];
	int r;

	wal_segment_name(spare->number, from);
	wal_segment_name(segment->number, to);
	r = io->rename(io, wal->wal_fd, from, to);
	if (r) {
		discard(wal, spare);
		return r;
	}
	segment->fd = spare->fd;
	segment->size_bytes = spare->size_bytes;
	segment->map = spare->map;
	r = write_header(wal, segment);
	if (r == 0)
		r = io_fsync(io, wal->wal_fd);
	if (r)
		discard(wal, segment);
	return r;
}

int wal_segment_again(struct wal *wal, struct wal_segment *segment)
{
	struct wal_segment again = { .fd = segment->fd,
		                     .size_bytes = segment->size_bytes,
		                     .map = segment->map,
		                     .end = WAL_HEADER_BYTES };
	char from[NAME_BYTES];
	char to[NAME_BYTES];
	int r = random_salt(&again.salt);

	if (r)
		return r;
	again.number = wal->next_number++;
	wal_segment_name(segment->number, from);
	wal_segment_name(again.number, to);
	r = wal->io->rename(wal->io, wal->wal_fd, from, to);
	if (r)
		return r;
	segment->number = again.number;
	r = write_header(wal, &again);
	if (r == 0)
		r = io_fsync(wal->io, wal->wal_fd);
	if (r)
		return health_judge(wal->health, HEALTH_LOG_START_OVER, r);
	*segment = again;
	return 0;
}

/* Take the spare out if it holds `bytes`; else get rid of it. fd -1 where there is none. */
static struct wal_segment take_spare(struct wal *wal, uint64_t size_bytes)
{
	struct wal_segment spare;

	pthread_mutex_lock(&wal->lock);
	spare = wal->spare;
	wal->spare.fd = -1;
	pthread_mutex_unlock(&wal->lock);
	if (spare.fd >= 0 && spare.size_bytes < size_bytes) {
		discard(wal, &spare);
		spare.fd = -1;
	}
	return spare;
}

/* Take out a ready segment that is too small. True where one large enough is there. */
static bool ready_serves(struct wal *wal, uint64_t bytes)
{
	struct wal_segment small = { .fd = -1 };
	bool serves;

	pthread_mutex_lock(&wal->lock);
	serves = wal->ready.fd >= 0 && wal->ready.size_bytes - WAL_HEADER_BYTES >= bytes;
	if (!serves) {
		small = wal->ready;
		wal->ready.fd = -1;
	}
	pthread_mutex_unlock(&wal->lock);
	if (small.fd >= 0)
		discard(wal, &small);
	return serves;
}

int wal_segment_prepare(struct wal *wal, uint64_t bytes)
{
	struct wal_segment segment = { .fd = -1 };
	struct wal_segment spare;
	uint64_t need = (bytes + 2 * (uint64_t)WAL_HEADER_BYTES - 1) &
	                ~(uint64_t)(WAL_HEADER_BYTES - 1);
	uint64_t least = need > WAL_SEGMENT_MIN_BYTES ? need : WAL_SEGMENT_MIN_BYTES;
	int r = 0;

	pthread_mutex_lock(&wal->prepare_lock);
	if (ready_serves(wal, bytes))
		goto out;
	segment.number = wal->next_number++;
	segment.end = WAL_HEADER_BYTES;
	segment.size_bytes = need > wal->next_bytes ? need : wal->next_bytes;
	r = random_salt(&segment.salt);
	if (r)
		goto out;
	spare = take_spare(wal, segment.size_bytes);
	r = spare.fd >= 0 ? recycle(wal, &spare, &segment) : make_file(wal, &segment);
	if (r == -ENOSPC && segment.size_bytes > least) {
		/* A smaller one may fit; the records do not care. */
		segment.size_bytes = least;
		r = make_file(wal, &segment);
	}
	if (r)
		goto out;
	if (wal->next_bytes < WAL_SEGMENT_MAX_BYTES)
		wal->next_bytes *= 2;
	pthread_mutex_lock(&wal->lock);
	assert(wal->ready.fd < 0);
	wal->ready = segment;
	pthread_mutex_unlock(&wal->lock);
out:
	pthread_mutex_unlock(&wal->prepare_lock);
	return r;
}

/* Unmap and close. 0 or -errno. */
static int let_go(struct wal *wal, struct wal_segment *segment)
{
	int r = map_store_close(&segment->map, wal->io);
	int closed = wal->io->close(wal->io, segment->fd);

	segment->fd = -1;
	return r ? r : closed;
}

int wal_segment_remove(struct wal *wal, struct wal_segment *segment)
{
	char name[NAME_BYTES];
	int closed = let_go(wal, segment);
	int r;

	wal_segment_name(segment->number, name);
	r = wal->io->unlink(wal->io, wal->wal_fd, name);
	return r ? r : closed;
}

/* Empty the folder: what an earlier life left there is in the data files by now. */
static int clear_folder(struct wal *wal)
{
	char *names = NULL;
	size_t count = 0;
	const char *name;
	int r = wal->io->list(wal->io, wal->wal_fd, &names, &count);

	name = names;
	for (size_t i = 0; r == 0 && i < count; i++, name += strlen(name) + 1) {
		uint64_t number;

		if (wal_segment_parse(name, &number))
			r = wal->io->unlink(wal->io, wal->wal_fd, name);
	}
	free(names);
	return r;
}

static int open_files(struct wal *wal, int dir_fd)
{
	const struct quiver_io *io = wal->io;
	int r;

	wal->wal_fd = io->open(io, dir_fd, "wal", O_RDONLY | O_DIRECTORY, 0);
	if (wal->wal_fd < 0)
		return wal->wal_fd;
	wal->durable_fd = io->open(io, dir_fd, "durable", O_RDWR | O_CREAT, 0600);
	if (wal->durable_fd < 0)
		return wal->durable_fd;
	/* Its blocks now: a full disk must not fail a sync later. */
	r = io->allocate(io, wal->durable_fd, 0, DURABLE_BYTES);
	if (r == 0)
		(void)map_store_open(&wal->durable, io, wal->durable_fd, 0, DURABLE_BYTES);
	return r;
}

int wal_start(struct wal *wal, const struct quiver_io *io, struct health *health, int dir_fd,
              const uint8_t uuid[16], uint64_t number, uint64_t last_lsn)
{
	int r;

	memset(wal, 0, sizeof(*wal));
	wal->io = io;
	wal->health = health;
	wal->wal_fd = wal->durable_fd = wal->ready.fd = wal->spare.fd = -1;
	memcpy(wal->uuid, uuid, sizeof(wal->uuid));
	pthread_mutex_init(&wal->sync_lock, NULL);
	pthread_mutex_init(&wal->prepare_lock, NULL);
	pthread_mutex_init(&wal->lock, NULL);
	wal->next_number = number;
	wal->next_bytes = WAL_SEGMENT_MIN_BYTES;
	wal->last_lsn = wal->appended_lsn = last_lsn;
	atomic_init(&wal->durable_lsn, last_lsn);
	r = open_files(wal, dir_fd);
	if (r == 0)
		r = wal_segment_prepare(wal, 0);
	if (r == 0) {
		wal->segments[wal->count++] = wal->ready;
		wal->ready.fd = -1;
		atomic_store(&wal->room_bytes, wal->segments[0].size_bytes - WAL_HEADER_BYTES);
	}
	if (r) {
		int e = wal_stop(wal, false);

		(void)e;
	}
	return r;
}

int wal_has_segments(const struct quiver_io *io, int dir_fd)
{
	int wal_fd = io->open(io, dir_fd, "wal", O_RDONLY | O_DIRECTORY, 0);
	char *names = NULL;
	const char *name;
	size_t count = 0;
	int found = 0;
	uint64_t number;
	int r;
	int c;

	if (wal_fd < 0)
		return wal_fd == -ENOENT ? 0 : wal_fd;
	r = io->list(io, wal_fd, &names, &count);
	name = names;
	for (size_t i = 0; r == 0 && i < count; i++, name += strlen(name) + 1)
		found = found || wal_segment_parse(name, &number);
	free(names);
	c = io->close(io, wal_fd);
	r = r ? r : c;
	return r ? r : found;
}

int wal_make_folder(const struct quiver_io *io, int dir_fd)
{
	int wal_fd = io->open(io, dir_fd, "wal", O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (wal_fd != -ENOENT)
		return wal_fd < 0 ? wal_fd : io->close(io, wal_fd);
	r = io->mkdir(io, dir_fd, "wal", 0700);
	return r ? r : io_fsync(io, dir_fd);
}

int wal_clear(const struct quiver_io *io, int dir_fd)
{
	struct wal wal = { .io = io };
	int r;
	int c;

	wal.wal_fd = io->open(io, dir_fd, "wal", O_RDONLY | O_DIRECTORY, 0);
	if (wal.wal_fd < 0)
		return wal.wal_fd;
	r = clear_folder(&wal);
	c = io->close(io, wal.wal_fd);
	return r ? r : c;
}

static void note(int *first, int r)
{
	if (*first == 0 && r < 0)
		*first = r;
}

int wal_stop(struct wal *wal, bool remove)
{
	int r = 0;

	for (size_t i = 0; i < wal->count; i++)
		note(&r, remove ? wal_segment_remove(wal, &wal->segments[i])
		                : let_go(wal, &wal->segments[i]));
	if (wal->ready.fd >= 0)
		note(&r, wal_segment_remove(wal, &wal->ready));
	if (wal->spare.fd >= 0)
		note(&r, wal_segment_remove(wal, &wal->spare));
	wal->count = 0;
	note(&r, map_store_close(&wal->durable, wal->io));
	if (wal->durable_fd >= 0)
		note(&r, wal->io->close(wal->io, wal->durable_fd));
	if (wal->wal_fd >= 0)
		note(&r, wal->io->close(wal->io, wal->wal_fd));
	pthread_mutex_destroy(&wal->sync_lock);
	pthread_mutex_destroy(&wal->prepare_lock);
	pthread_mutex_destroy(&wal->lock);
	return r;
}
