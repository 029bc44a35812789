#include "engine/disk/column_map.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

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

int column_release(const struct quiver_io *io, struct column *column)
{
	int closed;
	int r = 0;

	if (column->reserved_bytes == 0)
		return 0;
	if (munmap(address(column, 0), column->reserved_bytes) != 0)
		r = -errno;
	closed = map_store_close(&column->store, io);
	column->map = NULL;
	column->reserved_bytes = 0;
	atomic_store_explicit(&column->mapped_bytes, 0, memory_order_relaxed);
	return r ? r : closed;
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
	struct map_store store;
	struct map_store former;

	(void)map_store_open(&store, io, column->fd, 0, mapped(column)); /* else by calls */
	pthread_mutex_lock(lock);
	former = column->store;
	column->store = store;
	pthread_mutex_unlock(lock);
	return map_store_close(&former, io);
}

void column_store_drop(struct column *column)
{
	map_store_drop(&column->store, 0, column->store.end);
}

static bool has_bytes(const struct quiver_io *io, const struct column *column, uint64_t bytes)
{
	struct stat st;

	return io->stat(io, column->fd, &st) == 0 && (uint64_t)st.st_size >= bytes;
}

int column_store(const struct quiver_io *io, struct column *column, uint64_t offset,
                 const void *bytes, size_t length)
{
	int r = map_store_words(&column->store, io, offset, bytes, length);

	if (r == 0)
		return 0;
	/* A call that makes a file longer which somebody has cut would hide that. */
	if (r == -EIO && !has_bytes(io, column, offset + length))
		return r;
	return io_write_all(io, column->fd, bytes, length, offset);
}
