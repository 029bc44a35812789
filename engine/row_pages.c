#include "row_pages.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault.h"

static_assert(COLUMN_PENDING_MAX <= COLUMN_PENDING_ROOM, "room for the pages");

/* Pages that are copied at once where rows are stored in order: of more, readers have more mapped
 * again before they are copied. Of 868 interrupts in a compaction 4 left 370, 8 233, 16 330. */
#define COPY_AHEAD_PAGES 8u

uint64_t column_page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint8_t *address(const struct column *column, uint64_t offset)
{
	return (uint8_t *)(uintptr_t)column->map + offset;
}

static bool is_pending(const struct column *column, uint64_t page)
{
	/* The last one first: slots are taken in order. */
	for (size_t i = column->pending_count; i > 0; i--)
		if (column->pending[i - 1] == page)
			return true;
	return false;
}

static void sort(uint64_t *pages, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		uint64_t page = pages[i];
		size_t at = i;

		for (; at > 0 && pages[at - 1] > page; at--)
			pages[at] = pages[at - 1];
		pages[at] = page;
	}
}

/* Neighbouring pages. The header is never stored, so it is not written either. */
static int write_run(const struct quiver_io *io, const struct column *column, uint64_t first,
                     size_t count, uint64_t end)
{
	uint64_t from = first * column_page_bytes();
	uint64_t to = from + count * column_page_bytes();
	uint64_t begin = from > COLUMN_HEADER_BYTES ? from : COLUMN_HEADER_BYTES;
	int r = 0;

	to = to < end ? to : end;
	if (begin < to)
		r = io_write_all(io, column->fd, address(column, begin), to - begin, begin);
	if (r == 0 &&
	    madvise(address(column, from), count * column_page_bytes(), MADV_DONTNEED) != 0)
		r = -errno;
	return r;
}

int column_flush(const struct columns *columns, struct column *column)
{
	uint64_t rows = atomic_load_explicit(&columns->rows, memory_order_acquire);
	uint64_t end = COLUMN_HEADER_BYTES + rows * column->row_bytes;
	uint64_t *pages = column->pending;
	size_t done = 0;
	int r = 0;

	sort(pages, column->pending_count);
	while (r == 0 && done < column->pending_count) {
		size_t n = 1;

		while (done + n < column->pending_count && pages[done + n] == pages[done] + n)
			n++;
		r = write_run(columns->io, column, pages[done], n, end);
		if (r == 0)
			done += n;
	}
	column->pending_count -= done;
	memmove(pages, pages + done, column->pending_count * sizeof(*pages));
	return r;
}

/* How many pages from `page` on, none of which is copied yet, will be stored in soon: more than
 * the one where the page before it is. */
static size_t pages_ahead(const struct columns *columns, const struct column *column, uint64_t page)
{
	uint64_t rows = atomic_load_explicit(&columns->rows, memory_order_acquire);
	uint64_t end = (COLUMN_HEADER_BYTES + rows * column->row_bytes) / column_page_bytes();
	size_t room = COLUMN_PENDING_MAX - column->pending_count;
	size_t n = 1;

	if (!is_pending(column, page - 1))
		return 1;
	while (n < COPY_AHEAD_PAGES && n < room && page + n < end && !is_pending(column, page + n))
		n++;
	return n;
}

/* Copy pages that nobody has stored in. A page that is copied under the eyes of readers costs
 * an interrupt on each of their cores, so all are unmapped first, at the cost of one. Where that
 * does not work out, none is copied. 0 or -errno. */
static int copy_pages(struct column *column, uint64_t first, size_t count)
{
	uint8_t *at = address(column, first * column_page_bytes());
	size_t length = count * column_page_bytes();

	if (fault_covered() > 0)
		return 0;
	if (madvise(at, length, MADV_DONTNEED) != 0)
		return -errno;
	if (madvise(at, length, MADV_POPULATE_WRITE) == 0 && fault_covered() == 0) {
		for (size_t i = 0; i < count; i++)
			column->pending[column->pending_count++] = first + i;
		return 0;
	}
	return madvise(at, length, MADV_DONTNEED) == 0 ? 0 : -errno;
}

/* In the copy of a page that is there, or of one that is made now; -EAGAIN where the page cannot
 * be trusted with it. */
static int store_in_copy(struct column *column, uint64_t offset, const void *bytes, size_t length)
{
	uint64_t page = offset / column_page_bytes();
	bool fresh = !is_pending(column, page);
	int r = fault_store(address(column, offset), bytes, length);

	if (!fresh)
		return r;
	/* A page of 0xFF may stand for one that could not be read (fault_cover), whose bytes must
	 * not get into the file. */
	atomic_thread_fence(memory_order_seq_cst);
	if (r == 0 && fault_covered() == 0) {
		column->pending[column->pending_count++] = page;
		return 0;
	}
	if (madvise(address(column, page * column_page_bytes()), column_page_bytes(),
	            MADV_DONTNEED) != 0)
		return -errno;
	return r ? r : -EAGAIN;
}

/* Within one page. */
static int store_in_page(const struct columns *columns, struct column *column, uint64_t offset,
                         const void *bytes, size_t length, bool through)
{
	uint64_t page = offset / column_page_bytes();
	bool pending = is_pending(column, page);
	size_t ahead;
	int r = 0;

	if (!pending && !through && column->pending_count == COLUMN_PENDING_MAX)
		r = column_flush(columns, column);
	if (r == 0 && !pending && !through) {
		ahead = pages_ahead(columns, column, page);
		if (ahead > 1)
			r = copy_pages(column, page, ahead);
	}
	if (r == 0 && (pending || !through))
		r = store_in_copy(column, offset, bytes, length);
	if (r == -EAGAIN || (r == 0 && through))
		r = io_write_all(columns->io, column->fd, bytes, length, offset);
	return r;
}

int column_store(const struct columns *columns, struct column *column, uint64_t offset,
                 const void *bytes, size_t length, bool through)
{
	int r = 0;

	while (r == 0 && length > 0) {
		size_t left = column_page_bytes() - offset % column_page_bytes();
		size_t some = length < left ? length : left;

		r = store_in_page(columns, column, offset, bytes, some, through);
		bytes = (const uint8_t *)bytes + some;
		offset += some;
		length -= some;
	}
	return r;
}
