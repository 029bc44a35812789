#include "engine/log/wal_source.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/sizes.h"
#include "engine/disk/io_direct.h"
#include "engine/media/wal_record.h"

/* Read first through the cache: mostly to see that there is nothing. */
#define STEP_BYTES_MIN UINT64_C(4096)

static void empty(struct wal_source *source)
{
	source->from = source->end = 0;
	source->step_bytes = STEP_BYTES_MIN;
}

static int open_fd(struct wal_source *source, bool cached)
{
	char name[64];

	wal_segment_name(source->number, name);
	source->fd = source->io->open(source->io, source->wal_fd, name,
	                              cached ? O_RDONLY : O_RDONLY | O_DIRECT, 0);
	source->cached = cached;
	empty(source);
	return source->fd < 0 ? source->fd : 0;
}

int wal_source_open(struct wal_source *source, uint64_t number)
{
	struct stat st;
	int r;

	source->number = number;
	r = open_fd(source, source->only_cached);
	if (r == -EINVAL && !source->only_cached) {
		source->only_cached = true;
		r = open_fd(source, true);
	}
	if (r)
		return r;
	r = source->io->stat(source->io, source->fd, &st);
	if (r == 0)
		source->size_bytes = (uint64_t)st.st_size;
	else
		(void)wal_source_close(source); /* what failed first is the reason */
	return r;
}

int wal_source_close(struct wal_source *source)
{
	int r = source->fd >= 0 ? source->io->close(source->io, source->fd) : 0;

	source->fd = -1;
	return r;
}

void wal_source_free(struct wal_source *source)
{
	free(source->bytes);
	source->bytes = NULL;
	source->room_bytes = 0;
}

int wal_source_turn(struct wal_source *source, bool cached)
{
	int r = wal_source_close(source);

	return r ? r : open_fd(source, cached);
}

/* Room for `bytes`, with what there is. */
static int make_room(struct wal_source *source, uint64_t bytes)
{
	uint64_t want = source->room_bytes ? source->room_bytes
	                : source->cached   ? STEP_BYTES_MIN
	                                   : WAL_READ_BYTES;
	uint8_t *grown;

	if (bytes <= source->room_bytes)
		return 0;
	while (want < bytes)
		want *= 2;
	grown = io_direct_alloc(want);
	if (!grown)
		return -ENOMEM;
	if (source->end > source->from)
		memcpy(grown, source->bytes, source->end - source->from);
	free(source->bytes);
	source->bytes = grown;
	source->room_bytes = want;
	return 0;
}

/* Where a part that begins at `start` and reaches `until` at least shall end. */
static uint64_t end_of(struct wal_source *source, uint64_t start, uint64_t until)
{
	uint64_t end = start + source->room_bytes;

	if (source->cached && until < source->end + source->step_bytes &&
	    source->end + source->step_bytes < end)
		end = source->end + source->step_bytes;
	if (source->step_bytes < WAL_READ_BYTES)
		source->step_bytes *= 2;
	return end < source->size_bytes ? end : source->size_bytes;
}

int wal_source_read(struct wal_source *source, uint64_t keep, uint64_t until)
{
	uint64_t start = keep / IO_DIRECT_BYTES * IO_DIRECT_BYTES;
	uint64_t need;
	uint64_t end;
	int r;

	assert(until <= source->size_bytes);
	if (start < source->from || start >= source->end)
		source->from = source->end = start;
	if (start > source->from) {
		memmove(source->bytes, source->bytes + (start - source->from), source->end - start);
		source->from = start;
	}
	need = until - start;
	if (source->cached && need < source->step_bytes)
		need = source->step_bytes;
	r = make_room(source, need);
	if (r)
		return r;
	end = end_of(source, start, until);
	if (source->cached)
		r = io_read_all(source->io, source->fd, source->bytes + (source->end - start),
		                end - source->end, source->end);
	else
		r = io_read_direct(source->io, source->fd, source->bytes + (source->end - start),
		                   end - source->end, source->end);
	if (r)
		empty(source);
	else
		source->end = end;
	return r;
}
