#include "engine/index/index_pages.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/media/index_layout.h"

/* Copies of pages are found by their number. */
#define KEPT_LISTS 4096u
/* So much memory at least, and an eighth of all pages, may go into copies: who changes more while a
 * checkpoint writes has it written the next time. */
#define KEPT_MIN_PAGES (UINT64_C(64) * 1024 * 1024 / INDEX_PAGE_BYTES)

struct index_page_kept {
	struct index_page_kept *next;
	uint64_t page;
	uint8_t bytes[INDEX_PAGE_BYTES];
};

static bool has(const uint64_t *bits, uint64_t page)
{
	return bits[page / 64] >> page % 64 & 1;
}

static void set(uint64_t *bits, uint64_t page)
{
	bits[page / 64] |= UINT64_C(1) << page % 64;
}

static void clear(uint64_t *bits, uint64_t page)
{
	bits[page / 64] &= ~(UINT64_C(1) << page % 64);
}

/* Of word `word`, the bits of pages below `below`. */
static uint64_t mask_below(uint64_t word, uint64_t below)
{
	if (below >= (word + 1) * 64)
		return ~UINT64_C(0);
	return below <= word * 64 ? 0 : (UINT64_C(1) << below % 64) - 1;
}

static uint64_t words_of(const struct index_pages *pages)
{
	return pages->count / 64 + 1;
}

int index_pages_init(struct index_pages *pages, uint64_t count, const void *owner,
                     index_page_copy *copy)
{
	memset(pages, 0, sizeof(*pages));
	pages->count = count;
	pages->owner = owner;
	pages->copy = copy;
	pages->kept_max = count / 8 > KEPT_MIN_PAGES ? count / 8 : KEPT_MIN_PAGES;
	pages->changed = malloc(words_of(pages) * 8);
	pages->pending = calloc(words_of(pages), 8);
	pages->taken = calloc(words_of(pages), 8);
	pages->second = calloc(words_of(pages), 8);
	pages->kept = calloc(KEPT_LISTS, sizeof(struct index_page_kept *));
	(void)pthread_mutex_init(&pages->lock, NULL); /* cannot fail with defaults */
	if (!pages->changed || !pages->pending || !pages->taken || !pages->second || !pages->kept) {
		index_pages_destroy(pages);
		return -ENOMEM;
	}
	memset(pages->changed, 0xff, words_of(pages) * 8);
	return 0;
}

/* Lock held, or nobody there. */
static void forget_kept(struct index_pages *pages)
{
	for (size_t i = 0; pages->kept_count > 0 && i < KEPT_LISTS; i++)
		while (pages->kept[i]) {
			struct index_page_kept *next = pages->kept[i]->next;

			free(pages->kept[i]);
			pages->kept[i] = next;
			pages->kept_count--;
		}
}

void index_pages_destroy(struct index_pages *pages)
{
	if (!pages->copy)
		return;
	if (pages->kept)
		forget_kept(pages);
	free(pages->kept);
	free(pages->changed);
	free(pages->pending);
	free(pages->taken);
	free(pages->second);
	(void)pthread_mutex_destroy(&pages->lock);
	memset(pages, 0, sizeof(*pages));
}

/* Lock held. */
static void spoil(struct index_pages *pages, int reason)
{
	pages->spoiled = reason;
	forget_kept(pages);
}

/* Lock held. */
static void keep(struct index_pages *pages, uint64_t page)
{
	struct index_page_kept *kept;

	if (pages->spoiled)
		return;
	if (pages->kept_count >= pages->kept_max) {
		spoil(pages, -EAGAIN);
		return;
	}
	kept = malloc(sizeof(*kept));
	if (!kept) {
		spoil(pages, -ENOMEM);
		return;
	}
	pages->copy(pages->owner, page, kept->bytes);
	kept->page = page;
	kept->next = pages->kept[page % KEPT_LISTS];
	pages->kept[page % KEPT_LISTS] = kept;
	pages->kept_count++;
}

void index_pages_change(struct index_pages *pages, uint64_t page)
{
	assert(page < pages->count);
	pthread_mutex_lock(&pages->lock);
	if (has(pages->pending, page))
		keep(pages, page);
	pthread_mutex_unlock(&pages->lock);
	set(pages->changed, page);
}

void index_pages_read(struct index_pages *pages, uint64_t page, bool second)
{
	pthread_mutex_lock(&pages->lock);
	if (second)
		set(pages->second, page);
	else
		clear(pages->second, page);
	pthread_mutex_unlock(&pages->lock);
}

void index_pages_all_read(struct index_pages *pages, uint64_t below)
{
	for (uint64_t i = 0; i < words_of(pages); i++)
		pages->changed[i] &= ~mask_below(i, below);
}

uint64_t index_pages_count(const struct index_pages *pages, uint64_t below)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < words_of(pages) && i * 64 < below; i++)
		count += (uint64_t)__builtin_popcountll(pages->changed[i] & mask_below(i, below));
	return count;
}

void index_pages_begin(struct index_pages *pages, uint64_t below, bool all)
{
	assert(below <= pages->count);
	pthread_mutex_lock(&pages->lock);
	for (uint64_t i = 0; i < words_of(pages); i++) {
		uint64_t mask = mask_below(i, below);

		assert(pages->pending[i] == 0 && pages->taken[i] == 0);
		pages->pending[i] = all ? mask : pages->changed[i] & mask;
		pages->changed[i] &= ~mask;
	}
	pages->spoiled = 0;
	pthread_mutex_unlock(&pages->lock);
}

/* The next pending one from `page` on, or count. Lock held. */
static uint64_t next_pending(const struct index_pages *pages, uint64_t page)
{
	uint64_t word = page / 64;
	uint64_t bits;

	if (page >= pages->count)
		return pages->count;
	bits = pages->pending[word] & ~UINT64_C(0) << page % 64;
	while (!bits && ++word < words_of(pages))
		bits = pages->pending[word];
	return bits ? word * 64 + (uint64_t)__builtin_ctzll(bits) : pages->count;
}

/* The copy of a page, out of the list; NULL where it has not changed. Lock held. */
static struct index_page_kept *take_kept(struct index_pages *pages, uint64_t page)
{
	struct index_page_kept **at = &pages->kept[page % KEPT_LISTS];
	struct index_page_kept *kept;

	while (*at && (*at)->page != page)
		at = &(*at)->next;
	kept = *at;
	if (kept) {
		*at = kept->next;
		pages->kept_count--;
	}
	return kept;
}

bool index_pages_take(struct index_pages *pages, uint64_t *page, uint8_t *to, bool *second)
{
	struct index_page_kept *kept;
	bool found;

	pthread_mutex_lock(&pages->lock);
	*page = next_pending(pages, *page);
	found = *page < pages->count && !pages->spoiled;
	if (found) {
		kept = take_kept(pages, *page);
		if (kept)
			memcpy(to, kept->bytes, INDEX_PAGE_BYTES);
		else
			pages->copy(pages->owner, *page, to);
		free(kept);
		clear(pages->pending, *page);
		set(pages->taken, *page);
		*second = has(pages->second, *page);
	}
	pthread_mutex_unlock(&pages->lock);
	return found;
}

int index_pages_error(struct index_pages *pages)
{
	int r;

	pthread_mutex_lock(&pages->lock);
	r = pages->spoiled;
	pthread_mutex_unlock(&pages->lock);
	return r;
}

void index_pages_end(struct index_pages *pages, bool counts, bool whole)
{
	pthread_mutex_lock(&pages->lock);
	for (uint64_t i = 0; i < words_of(pages); i++) {
		if (!counts)
			pages->changed[i] |= pages->pending[i] | pages->taken[i];
		else if (whole)
			pages->second[i] = 0;
		else
			pages->second[i] ^= pages->taken[i];
		pages->pending[i] = 0;
		pages->taken[i] = 0;
	}
	forget_kept(pages);
	pthread_mutex_unlock(&pages->lock);
}
