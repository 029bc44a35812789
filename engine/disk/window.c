#include "engine/disk/window.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/base/epoch.h"

/* Does not change while it is published. */
struct window {
	uint64_t from; /* offset in the file */
	uint8_t *map; /* of WINDOW_BYTES; owned */
};

static int window_free(struct window *window)
{
	int r = munmap(window->map, WINDOW_BYTES) == 0 ? 0 : -errno;

	free(window);
	return r;
}

/* With all pages there and dirty, so that storing in them does not fault. NULL: none. */
static struct window *window_new(const struct columns *columns, uint64_t from)
{
	struct window *window = malloc(sizeof(*window));

	if (!window)
		return NULL;
	window->from = from;
	window->map =
		columns->io->map_to_store(columns->io, columns->vectors.fd, from, WINDOW_BYTES);
	if (!window->map) {
		free(window);
		return NULL;
	}
	if (madvise(window->map, WINDOW_BYTES, MADV_POPULATE_WRITE) != 0) {
		int r = window_free(window);

		(void)r; /* a piece of address space is lost; there is nobody to tell */
		return NULL;
	}
	return window;
}

/* Put another in the place of one that may be in use. */
static void replace(struct columns *columns, size_t place, struct window *window)
{
	struct window *former = atomic_exchange(&columns->windows[place], window);
	int r;

	if (!former)
		return;
	epoch_wait();
	r = window_free(former);
	(void)r; /* as above */
}

bool windows_follow(struct columns *columns, uint64_t offset, uint64_t end)
{
	uint64_t first = offset / WINDOW_BYTES;
	bool any = false;

	for (uint64_t n = first + 1; n < first + WINDOWS && (n + 1) * WINDOW_BYTES <= end; n++) {
		struct window *there = atomic_load(&columns->windows[n % WINDOWS]);

		if (!there || there->from != n * WINDOW_BYTES)
			replace(columns, n % WINDOWS, window_new(columns, n * WINDOW_BYTES));
		any = any || atomic_load(&columns->windows[n % WINDOWS]);
	}
	return any;
}

void windows_unmap(struct columns *columns)
{
	epoch_enter();
	for (size_t i = 0; i < WINDOWS; i++) {
		struct window *window = atomic_load(&columns->windows[i]);

		if (window)
			(void)madvise(window->map, WINDOW_BYTES, MADV_DONTNEED);
	}
	epoch_leave();
}

int windows_close(struct columns *columns)
{
	int first = 0;

	for (size_t i = 0; i < WINDOWS; i++) {
		struct window *window = atomic_exchange(&columns->windows[i], NULL);
		int r = window ? window_free(window) : 0;

		first = first ? first : r;
	}
	return first;
}

/* -EAGAIN where no window covers it, -EIO where a page of it cannot be stored in. */
static int store(struct columns *columns, uint64_t offset, uint64_t length,
                 const struct iovec *parts, int count)
{
	const struct window *window = atomic_load_explicit(
		&columns->windows[offset / WINDOW_BYTES % WINDOWS], memory_order_acquire);

	if (!window || offset < window->from || offset + length > window->from + WINDOW_BYTES)
		return -EAGAIN;
	return io_fill(window->map + (offset - window->from), parts, count);
}

int window_write(struct columns *columns, uint64_t offset, uint64_t length, struct iovec *parts,
                 int count)
{
	int r;

	/* A page that was dropped is read again meanwhile: rare, and whoever waits for the epoch
	 * is in the background. */
	epoch_enter();
	r = store(columns, offset, length, parts, count);
	epoch_leave();
	if (r)
		r = io_writev_all(columns->io, columns->vectors.fd, parts, count, offset);
	return r;
}
