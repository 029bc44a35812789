/*
 * index_pages.h - which pages of something in memory have changed since a checkpoint wrote them,
 * and what those are like that the one under way has yet to write: of the table of the index, and
 * of the live map.
 *
 * Changes are made under the writer lock, each after index_pages_touch. A checkpoint begins under
 * it, and then takes page by page while changes go on: a page that it has not come to yet is copied
 * before it is changed.
 */
#ifndef QUIVER_INDEX_PAGES_H
#define QUIVER_INDEX_PAGES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* The content of a page of `owner`, as INDEX_PAGE_BYTES of which the head is left out. */
typedef void index_page_copy(const void *owner, uint64_t page, uint8_t *to);

struct index_page_kept;

struct index_pages {
	uint64_t count; /* fixed */
	const void *owner; /* fixed, as the next */
	index_page_copy *copy;
	uint64_t file; /* checkpoint lock; salt of the file that has them; 0: none */
	uint64_t *changed; /* writer lock; a bit for each page, as the next three */
	pthread_mutex_t lock; /* within the writer lock */
	uint64_t *pending; /* lock; to be written by the checkpoint under way */
	uint64_t *taken; /* lock; those that it has taken */
	uint64_t *second; /* lock; the version that counts is in place 1 of the file */
	struct index_page_kept **kept; /* lock; copies of pending pages that have changed */
	uint64_t kept_count, kept_max; /* lock */
	int spoiled; /* lock; why there are no copies any more, as index_pages_error; 0: there are */
};

/* All of them changed, none of them in a file. 0 or -ENOMEM. */
int index_pages_init(struct index_pages *pages, uint64_t count, const void *owner,
                     index_page_copy *copy);
/* Also of all-zero memory. Nobody is there. */
void index_pages_destroy(struct index_pages *pages);

/* For index_pages_touch. */
void index_pages_change(struct index_pages *pages, uint64_t page);
/* Before anything of a page is changed. Writer lock. */
static inline void index_pages_touch(struct index_pages *pages, uint64_t page)
{
	if (!(pages->changed[page / 64] >> page % 64 & 1))
		index_pages_change(pages, page);
}

/* A page was read from the file, from place 1 or 0: it is not changed. Nobody may touch it before.
 * Any thread. */
void index_pages_read(struct index_pages *pages, uint64_t page, bool second);
/* None has changed yet, as all of them can be read. While nobody else is there. */
void index_pages_all_read(struct index_pages *pages, uint64_t below);

/* Pages below `below` that have changed. Writer lock. */
uint64_t index_pages_count(const struct index_pages *pages, uint64_t below);
/* The changed ones below `below`, or all of those, are to be written as they are now. Not before
 * the last time has ended. Writer lock. */
void index_pages_begin(struct index_pages *pages, uint64_t below, bool all);
/* The next of them from *page on: its content as it was at the beginning, and whether the version
 * that counts is in place 1. False: there is none. Any thread, one at a time. */
bool index_pages_take(struct index_pages *pages, uint64_t *page, uint8_t *to, bool *second);
/* Whether what was taken is right: 0; -EAGAIN more was changed meanwhile than copies may be made of,
 * which is no fault; -ENOMEM. As index_pages_take. */
int index_pages_error(struct index_pages *pages);
/* It was written, into the place that did not count, or `whole` into place 0; or, unless it
 * `counts`, all have to be written again. Writer lock. */
void index_pages_end(struct index_pages *pages, bool counts, bool whole);

#endif
