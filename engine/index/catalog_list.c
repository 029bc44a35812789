/*
 * Listings. Who opens one while no ID has come or gone since another was opened shares its copy:
 * hundreds may have the same folder open.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/index/catalog.h"

/* One in so many of the vectors may have moved to other slots since a copy was made that is shared:
 * slot order is for who reads all of them from a disk. */
#define MOVED_SHARE 16u

/* The slots in use at one moment. */
struct live_map {
	uint64_t *words; /* malloc'd */
	uint64_t count; /* words */
	uint64_t bits;
};

/* The publish lock held. */
static int copy_live(struct catalog *catalog, struct live_map *live)
{
	struct slots_counts counts;

	slots_counts(&catalog->slots, &counts);
	live->count = (counts.used + 63) / 64;
	live->bits = 0;
	live->words = malloc(live->count * 8 + 8);
	if (!live->words)
		return -ENOMEM;
	for (uint64_t i = 0; i < live->count; i++) {
		live->words[i] =
			atomic_load_explicit(&catalog->slots.live[i], memory_order_relaxed);
		live->bits += (uint64_t)__builtin_popcountll(live->words[i]);
	}
	return 0;
}

/* IDs of the set bits of a live map, in slot order, but for those of damaged rows, which are
 * counted and reported. Inside the epoch section in which the map was copied, so that none of the
 * slots is reused meanwhile. */
static void fill(struct catalog *catalog, const struct live_map *live, struct quiver_list *list)
{
	for (uint64_t word = 0; word < live->count; word++)
		for (uint64_t bits = live->words[word]; bits; bits &= bits - 1) {
			uint64_t slot = word * 64 + (uint64_t)__builtin_ctzll(bits);
			uint64_t id = columns_id(&catalog->columns, slot);
			struct meta_row row;
			int r = columns_meta(&catalog->columns, slot, id, &row);

			/* Attributes that were set since bring the whole row. */
			if (r && attr_deltas_get(&catalog->attr_deltas, slot, &row))
				r = 0;
			if (r) {
				(void)catalog_row_error(catalog, id, slot, r);
				list->damaged++;
			} else {
				list->ids[list->count++] = id;
			}
		}
}

/* The newest copy, with one user more, where it shows what there was at a moment with so many
 * changes of the index, else NULL. What it lacks for a damaged row is there again once that vector
 * is in another slot. The list lock held. */
static struct quiver_list *share(struct catalog *catalog, uint64_t members, uint64_t moves)
{
	struct quiver_list *list = catalog->newest_list;

	if (!list || list->members != members ||
	    list->moves + (list->damaged > 0 ? 0 : list->count / MOVED_SHARE) < moves)
		return NULL;
	list->users++;
	return list;
}

/* The same for the moment of the call. The publish lock held. */
static struct quiver_list *share_now(struct catalog *catalog)
{
	struct quiver_list *list;

	pthread_mutex_lock(&catalog->list_lock);
	list = share(catalog, atomic_load(&catalog->index.members),
	             atomic_load(&catalog->index.moves));
	pthread_mutex_unlock(&catalog->list_lock);
	return list;
}

/* Whether making a copy would take long or wait for the disk; a best effort. */
static bool would_wait(struct catalog *catalog)
{
	struct slots_counts counts;

	slots_counts(&catalog->slots, &counts);
	/* A copy of as many takes a few 100 us. */
	return counts.used > RESIDENCY_ROWS_MAX ||
	       !residency_has_rows(&catalog->columns, counts.used);
}

/* Offer a new copy to those who come. One that was made at the same time is as good: then there is
 * one copy less. Returns what the caller gets. */
static struct quiver_list *offer(struct catalog *catalog, struct quiver_list *list)
{
	struct quiver_list *other;

	pthread_mutex_lock(&catalog->list_lock);
	other = share(catalog, list->members, list->moves);
	if (!other)
		catalog->newest_list = list;
	pthread_mutex_unlock(&catalog->list_lock);
	if (!other)
		return list;
	free(list);
	return other;
}

int catalog_list_open(struct catalog *catalog, unsigned flags, struct quiver_list **list)
{
	struct live_map live = { NULL };
	struct quiver_list *made = NULL;
	int r;

	*list = NULL;
	if (flags & QUIVER_NOWAIT && would_wait(catalog)) {
		pthread_mutex_lock(&catalog->publish_lock);
		*list = share_now(catalog);
		pthread_mutex_unlock(&catalog->publish_lock);
		return *list ? 0 : -EAGAIN;
	}
	pthread_mutex_lock(&catalog->publish_lock);
	*list = share_now(catalog);
	if (*list) {
		pthread_mutex_unlock(&catalog->publish_lock);
		return 0;
	}
	r = copy_live(catalog, &live);
	/* Not as many as the index has: it can lack some where its snapshot was wrong. */
	if (r == 0)
		made = malloc(sizeof(*made) + live.bits * sizeof(made->ids[0]));
	if (made)
		*made = (struct quiver_list){ .users = 1,
			                      .members = atomic_load(&catalog->index.members),
			                      .moves = atomic_load(&catalog->index.moves) };
	epoch_enter();
	pthread_mutex_unlock(&catalog->publish_lock);
	if (made)
		fill(catalog, &live, made);
	epoch_leave();
	free(live.words);
	if (!made)
		return -ENOMEM;
	*list = offer(catalog, made);
	return 0;
}

size_t catalog_list_read(const struct quiver_list *list, uint64_t position, uint64_t *ids,
                         size_t max)
{
	size_t left = position < list->count ? list->count - (size_t)position : 0;
	size_t n = left < max ? left : max;

	if (n > 0)
		memcpy(ids, list->ids + position, n * sizeof(*ids));
	return n;
}

void catalog_list_close(struct catalog *catalog, struct quiver_list *list)
{
	bool last;

	if (!list)
		return;
	pthread_mutex_lock(&catalog->list_lock);
	last = --list->users == 0;
	if (last && catalog->newest_list == list)
		catalog->newest_list = NULL;
	pthread_mutex_unlock(&catalog->list_lock);
	if (last)
		free(list);
}
