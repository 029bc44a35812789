#include "engine/disk/write_window.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/base/epoch.h"
#include "engine/base/sizes.h"
#include "engine/disk/map_store.h"

/* Does not change while it is published. */
struct write_window {
	struct map_store store; /* of WRITE_WINDOW_BYTES */
};

static int write_window_free(const struct columns *columns, struct write_window *window)
{
	int r = map_store_close(&window->store, columns->io);

	free(window);
	return r;
}

/* With all pages there and dirty, so that storing in them does not fault. NULL: none. */
static struct write_window *write_window_new(const struct columns *columns, uint64_t from)
{
	struct write_window *window = malloc(sizeof(*window));

	if (!window)
		return NULL;
	if (map_store_open(&window->store, columns->io, columns->vectors.fd, from,
	                   WRITE_WINDOW_BYTES) &&
	    map_store_populate(&window->store) == 0)
		return window;
	/* If it fails, a piece of address space is lost; there is nobody to tell. */
	(void)write_window_free(columns, window);
	return NULL;
}

/* Put another in the place of one that may be in use. */
static void replace(struct columns *columns, size_t place, struct write_window *window)
{
	struct write_window *former = atomic_exchange(&columns->windows[place], window);

	if (!former)
		return;
	epoch_wait();
	(void)write_window_free(columns, former); /* as above */
}

bool write_windows_follow(struct columns *columns, uint64_t offset, uint64_t end)
{
	uint64_t first = offset / WRITE_WINDOW_BYTES;
	bool any = false;

	for (uint64_t n = first + 1;
	     n < first + WRITE_WINDOWS && (n + 1) * WRITE_WINDOW_BYTES <= end; n++) {
		struct write_window *there = atomic_load(&columns->windows[n % WRITE_WINDOWS]);

		if (!there || there->store.from != n * WRITE_WINDOW_BYTES)
			replace(columns, n % WRITE_WINDOWS,
			        write_window_new(columns, n * WRITE_WINDOW_BYTES));
		any = any || atomic_load(&columns->windows[n % WRITE_WINDOWS]);
	}
	return any;
}

void write_windows_unmap(struct columns *columns)
{
	epoch_enter();
	for (size_t i = 0; i < WRITE_WINDOWS; i++) {
		struct write_window *window = atomic_load(&columns->windows[i]);

		if (window)
			map_store_drop(&window->store, window->store.from, WRITE_WINDOW_BYTES);
	}
	epoch_leave();
}

int write_windows_close(struct columns *columns)
{
	int first = 0;

	for (size_t i = 0; i < WRITE_WINDOWS; i++) {
		struct write_window *window = atomic_exchange(&columns->windows[i], NULL);
		int r = window ? write_window_free(columns, window) : 0;

		first = first ? first : r;
	}
	return first;
}

/* -EAGAIN where no window covers it, -EIO where a page of it cannot be stored in. */
static int store(struct columns *columns, uint64_t offset, uint64_t length,
                 const struct iovec *parts, int count)
{
	const struct write_window *window =
		atomic_load_explicit(&columns->windows[offset / WRITE_WINDOW_BYTES % WRITE_WINDOWS],
	                             memory_order_acquire);

	return window ? map_store_fill(&window->store, columns->io, offset, length, parts, count)
	              : -EAGAIN;
}

int write_window_write(struct columns *columns, uint64_t offset, uint64_t length,
                       struct iovec *parts, int count)
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
