/*
 * Listings. Who opens one while no ID has come or gone since another was opened shares its copy:
 * hundreds may have the same folder open. Of many vectors the copy is a bit for each slot, and their
 * IDs are read as they are asked for; of others it is the IDs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/index/catalog.h"
#include "engine/index/list_slots.h"

/* One in so many of the vectors may have moved to other slots since a copy was made that is shared:
 * slot order is for who reads all of them from a disk. */
#define MOVED_SHARE 16u

void catalog_row_goes(struct catalog *catalog, uint64_t slot, uint64_t id)
{
	pthread_mutex_lock(&catalog->fill_lock);
	for (struct list_slots *s = atomic_load(&catalog->listings); s; s = s->next)
		list_slots_row_goes(s, slot, id);
	pthread_mutex_unlock(&catalog->fill_lock);
}

static void list_free(struct catalog *catalog, struct quiver_list *list)
{
	if (list->slots)
		list_slots_end(list->slots, catalog);
	free(list->slots);
	free(list);
}

/* The newest copy, with one user more, where it shows what there was at a moment with so many
 * changes of the index, else NULL. What it lacks for a damaged row is there again once that vector
 * is in another slot. The list lock held. */
static struct quiver_list *share(struct catalog *catalog, uint64_t members, uint64_t moves)
{
	struct quiver_list *list = catalog->newest_list;
	bool lacks;

	if (!list || list->members != members ||
	    (list->slots && list_slots_failed(list->slots, catalog)))
		return NULL;
	lacks = catalog_list_damaged(catalog, list) > 0;
	if (list->moves + (lacks ? 0 : list->count / MOVED_SHARE) < moves)
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
	list_free(catalog, list);
	return other;
}

static struct quiver_list *new_list(void)
{
	struct quiver_list *list = calloc(1, sizeof(*list));

	if (!list)
		return NULL;
	list->users = 1;
	list->slots = calloc(1, sizeof(*list->slots));
	if (list->slots)
		return list;
	free(list);
	return NULL;
}

/* What there is at this moment, or a copy of that which others have: *shared. 0; -EAGAIN more room is
 * needed; -ENOMEM. */
static int take_moment(struct catalog *catalog, struct quiver_list *list,
                       struct quiver_list **shared)
{
	int r = list_slots_make_room(list->slots, catalog);

	if (r)
		return r;
	pthread_mutex_lock(&catalog->publish_lock);
	*shared = share_now(catalog);
	if (!*shared) {
		list->members = atomic_load(&catalog->index.members);
		list->moves = atomic_load(&catalog->index.moves);
		r = list_slots_take(list->slots, catalog);
	}
	pthread_mutex_unlock(&catalog->publish_lock);
	return r;
}

/* Read all IDs now: the map is not needed any more. *list may be in another place then. 0 or
 * -ENOMEM. */
static int read_all(struct catalog *catalog, struct quiver_list **list)
{
	struct list_slots *slots = (*list)->slots;
	struct quiver_list *larger =
		realloc(*list, sizeof(**list) + slots->bits * sizeof((*list)->ids[0]));
	size_t count = 0;
	int64_t n = 1;

	if (!larger)
		return -ENOMEM;
	*list = larger;
	while (n > 0) {
		n = list_slots_read(slots, catalog, count, 0, larger->ids + count,
		                    slots->bits - count);
		count += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return (int)n;
	larger->count = count;
	larger->damaged = list_slots_damaged(slots, catalog);
	larger->slots = NULL;
	list_slots_end(slots, catalog);
	free(slots);
	return 0;
}

static int make_list(struct catalog *catalog, struct quiver_list **list)
{
	struct quiver_list *made = new_list();
	struct quiver_list *shared = NULL;
	int r = made ? -EAGAIN : -ENOMEM;

	while (r == -EAGAIN)
		r = take_moment(catalog, made, &shared);
	if (r == 0 && !shared) {
		list_slots_count(made->slots);
		/* Not as many as the index has: it can lack some where its snapshot was wrong. */
		made->count = made->slots->bits;
		if (made->count <= catalog->list_whole_max)
			r = read_all(catalog, &made);
	}
	if (r == 0 && !shared) {
		*list = offer(catalog, made);
		return 0;
	}
	if (made)
		list_free(catalog, made);
	*list = shared;
	return r;
}

int catalog_list_open(struct catalog *catalog, unsigned flags, struct quiver_list **list)
{
	pthread_mutex_lock(&catalog->publish_lock);
	*list = share_now(catalog);
	pthread_mutex_unlock(&catalog->publish_lock);
	if (*list)
		return 0;
	return flags & QUIVER_NOWAIT && would_wait(catalog) ? -EAGAIN : make_list(catalog, list);
}

int64_t catalog_list_read(struct catalog *catalog, const struct quiver_list *list,
                          uint64_t position, unsigned flags, uint64_t *ids, size_t max)
{
	size_t left = position < list->count ? list->count - (size_t)position : 0;
	size_t n = left < max ? left : max;

	if (list->slots)
		return list_slots_read(list->slots, catalog, position, flags, ids, max);
	if (n > 0)
		memcpy(ids, list->ids + position, n * sizeof(*ids));
	return (int64_t)n;
}

size_t catalog_list_damaged(struct catalog *catalog, const struct quiver_list *list)
{
	return list->slots ? list_slots_damaged(list->slots, catalog) : list->damaged;
}

uint64_t catalog_list_bytes(const struct quiver_list *list)
{
	return list->slots ? list_slots_bytes(list->slots) : list->count * sizeof(list->ids[0]);
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
		list_free(catalog, list);
}
