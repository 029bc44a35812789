#include "engine/disk/column_map.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/fault.h"

/* Costs neither memory nor swap, whatever the overcommit policy. */
#define RESERVE_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static uint64_t whole_pages(uint64_t bytes)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

static uint64_t mapped(const struct column *column)
{
	return atomic_load_explicit(&column->mapped_bytes, memory_order_relaxed);
}

static uint8_t *address(const struct column *column, uint64_t offset)
{
	return (uint8_t *)(uintptr_t)column->map + offset;
}

int column_reserve(struct column *column, uint64_t bytes)
{
	void *at;

	bytes = whole_pages(bytes);
	at = mmap(NULL, bytes, PROT_NONE, RESERVE_FLAGS, -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	column->map = at;
	column->reserved_bytes = bytes;
	atomic_store_explicit(&column->mapped_bytes, 0, memory_order_relaxed);
	return 0;
}

int column_release(struct column *column)
{
	int r = 0;

	if (column->reserved_bytes == 0)
		return 0;
	if (munmap(address(column, 0), column->reserved_bytes) != 0)
		r = -errno;
	if (column->store_map && munmap(column->store_map, column->store_bytes) != 0)
		r = -errno;
	column->store_map = NULL;
	column->store_bytes = 0;
	column->map = NULL;
	column->reserved_bytes = 0;
	atomic_store_explicit(&column->mapped_bytes, 0, memory_order_relaxed);
	return r;
}

int column_map_to(const struct quiver_io *io, struct column *column, uint64_t bytes)
{
	uint64_t from = mapped(column);
	int r;

	bytes = whole_pages(bytes);
	assert(bytes <= column->reserved_bytes);
	if (bytes <= from)
		return 0;
	r = io->map_at(io, column->fd, address(column, from), bytes - from, from);
	if (r < 0)
		return r;
	atomic_store_explicit(&column->mapped_bytes, bytes, memory_order_release);
	return 0;
}

int column_unmap_above(struct column *column, uint64_t bytes)
{
	uint64_t end = mapped(column);

	bytes = whole_pages(bytes);
	if (bytes >= end)
		return 0;
	if (mmap(address(column, bytes), end - bytes, PROT_NONE, RESERVE_FLAGS | MAP_FIXED, -1,
	         0) == MAP_FAILED)
		return -errno;
	atomic_store_explicit(&column->mapped_bytes, bytes, memory_order_release);
	return 0;
}

int column_map_to_store(const struct quiver_io *io, struct column *column, pthread_mutex_t *lock)
{
	uint64_t bytes = mapped(column);
	uint8_t *map = io->map_to_store(io, column->fd, 0, bytes);
	uint8_t *former;
	uint64_t former_bytes;

	pthread_mutex_lock(lock);
	former = column->store_map;
	former_bytes = column->store_bytes;
	column->store_map = map;
	column->store_bytes = map ? bytes : 0;
	pthread_mutex_unlock(lock);
	return former && munmap(former, former_bytes) != 0 ? -errno : 0;
}

void column_store_drop(struct column *column)
{
	if (column->store_map)
		(void)madvise(column->store_map, column->store_bytes, MADV_DONTNEED);
}

static bool has_bytes(const struct quiver_io *io, const struct column *column, uint64_t bytes)
{
	struct stat st;

	return io->stat(io, column->fd, &st) == 0 && (uint64_t)st.st_size >= bytes;
}

int column_store(const struct quiver_io *io, struct column *column, uint64_t offset,
                 const void *bytes, size_t length)
{
	if (offset + length <= column->store_bytes) {
		if (fault_store(column->store_map + offset, bytes, length) == 0)
			return 0;
		/* A call that makes a file longer which somebody has cut would hide that. */
		if (!has_bytes(io, column, offset + length))
			return -EIO;
	}
	return io_write_all(io, column->fd, bytes, length, offset);
}
