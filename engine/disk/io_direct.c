#include "engine/disk/io_direct.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define STALLS_MAX 128 /* as in io.c */
#define HUGE_PAGE_BYTES (UINT64_C(2) << 20) /* of most machines; on others it is a hint in vain */

static uint64_t round_up(uint64_t bytes, uint64_t to)
{
	return (bytes + to - 1) / to * to;
}

uint8_t *io_direct_alloc(uint64_t bytes)
{
	uint64_t align = bytes < HUGE_PAGE_BYTES ? IO_DIRECT_BYTES : HUGE_PAGE_BYTES;
	uint8_t *memory = aligned_alloc(align, round_up(bytes, align));

	if (memory && align == HUGE_PAGE_BYTES)
		(void)madvise(memory, bytes, MADV_HUGEPAGE); /* without it is only slower */
	return memory;
}

int io_read_direct(const struct quiver_io *io, int fd, uint8_t *to, uint64_t length,
                   uint64_t offset)
{
	const uint64_t room = round_up(length, IO_DIRECT_BYTES);
	uint64_t got = 0;
	int stalls = 0;

	while (got < length) {
		ssize_t n = io->pread(io, fd, to + got, room - got, offset + got);
		uint64_t whole;

		if (n < 0 && n != -EINTR)
			return (int)n;
		if (n > 0 && got + (uint64_t)n >= length)
			return 0;
		/* On with the block that was read in part. */
		whole = n > 0 ? (got + (uint64_t)n) / IO_DIRECT_BYTES * IO_DIRECT_BYTES : got;
		stalls = whole == got ? stalls + 1 : 0;
		if (stalls >= STALLS_MAX)
			return n == 0 ? -ENODATA : -EIO;
		got = whole;
	}
	return 0;
}
