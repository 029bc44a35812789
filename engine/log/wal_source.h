/*
 * wal_source.h - the bytes of one segment of the log, a part of them at a time: as the disk itself
 * has them, or as the kernel shows them. For one thread.
 */
#ifndef QUIVER_WAL_SOURCE_H
#define QUIVER_WAL_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/io.h"

struct wal_source {
	/* Set before the first call; what is not set here begins as zero. */
	const struct quiver_io *io;
	int wal_fd; /* the folder wal/ */
	/* Read through the kernel's cache, always: where nothing can be read past it. */
	bool only_cached;

	uint64_t number; /* of the segment */
	int fd; /* through the cache, or past it */
	bool cached; /* fd is through the cache */
	uint64_t size_bytes; /* of the file; may be made less by who uses it */
	/* The part: bytes from `from` to `end` of the file, in memory of room_bytes that is kept from
	 * one segment to the next, since new memory costs a fault a page. */
	uint8_t *bytes;
	uint64_t room_bytes;
	uint64_t from, end;
	uint64_t step_bytes; /* read at once, through the cache */
};

/* Open a segment, past the cache where that is possible; the part is empty. 0 or -errno. */
int wal_source_open(struct wal_source *source, uint64_t number);
/* 0 or -errno of closing. */
int wal_source_close(struct wal_source *source);
/* Free the memory. */
void wal_source_free(struct wal_source *source);
/* Go on through the cache, or past it again; the part is empty. 0 or -errno, and then it is
 * closed. */
int wal_source_turn(struct wal_source *source, bool cached);
/* wal_source_get where that has to be read. */
int wal_source_read(struct wal_source *source, uint64_t keep, uint64_t until);

/* Have the bytes from `at` to `at` + `length` in the part, and those from `keep` on, which is at or
 * before `at`, with them; all within size_bytes. Where they are: *bytes, until the next call. 0,
 * -ENOMEM, -ENODATA the file is shorter by now, -EINVAL there is no way past the cache, -errno of
 * reading. */
static inline int wal_source_get(struct wal_source *source, uint64_t keep, uint64_t at,
                                 uint64_t length, const uint8_t **bytes)
{
	int r = 0;

	if (keep < source->from || at + length > source->end)
		r = wal_source_read(source, keep, at + length);
	if (r == 0)
		*bytes = source->bytes + (at - source->from);
	return r;
}

#endif
