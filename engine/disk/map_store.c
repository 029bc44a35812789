#include "engine/disk/map_store.h"

#include <sys/mman.h>

bool map_store_open(struct map_store *store, const struct quiver_io *io, int fd, uint64_t from,
                    uint64_t bytes)
{
	*store = (struct map_store){ .map = io->map_to_store(io, fd, from, bytes), .from = from };
	store->end = store->map ? from + bytes : 0;
	return store->map;
}

int map_store_close(struct map_store *store, const struct quiver_io *io)
{
	int r = store->map ? io->unmap(io, store->map, store->end - store->from) : 0;

	*store = (struct map_store){ .map = NULL };
	return r;
}

int map_store_populate(const struct map_store *store)
{
	return madvise(store->map, store->end - store->from, MADV_POPULATE_WRITE) == 0 ? 0 : -errno;
}

void map_store_drop(const struct map_store *store, uint64_t at, uint64_t bytes)
{
	if (store->map)
		(void)madvise(store->map + (at - store->from), bytes, MADV_DONTNEED);
}

int map_store_fill(const struct map_store *store, const struct quiver_io *io, uint64_t at,
                   uint64_t length, const struct iovec *parts, int count)
{
	uint8_t *to;
	int r = 0;

	if (!map_store_covers(store, at, length))
		return -EAGAIN;
	to = store->map + (at - store->from);
	for (int i = 0; r == 0 && i < count; i++) {
		r = io->store ? io->store(io, to, parts[i].iov_base, parts[i].iov_len)
		              : fault_fill(to, parts[i].iov_base, parts[i].iov_len);
		to += parts[i].iov_len;
	}
	return r;
}
