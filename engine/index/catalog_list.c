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

/* A copy that is being made: of the slots in use at one moment. Their rows are read one after the
 * other, which takes as long as the disk does, and nobody waits for it: not in an epoch section.
 * So whoever empties a row says first which ID was in it (catalog_row_goes). */
struct filling {
	struct filling *next; /* fill lock */
	uint64_t *words; /* malloc'd; the map of slots in use */
	uint64_t *before; /* malloc'd; for each word: bits in those before it */
	uint64_t count; /* words */
	uint64_t bits;
	uint64_t
		pinned; /* the last slot in use: no file is cut below it. SLOT_NONE: there is none */
	struct quiver_list *list;
	uint64_t done; /* fill lock; so many are read, ascending. Of each of the others
	                  list->ids has 0 or, where its row goes, its ID + 1 */
};

/* The publish lock held. */
static int copy_live(struct catalog *catalog, struct filling *filling)
{
	struct slots_counts counts;

	slots_counts(&catalog->slots, &counts);
	filling->count = (counts.used + 63) / 64;
	filling->words = malloc(filling->count * 8 + 8);
	filling->before = malloc(filling->count * 8 + 8);
	if (!filling->words || !filling->before)
		return -ENOMEM;
	for (uint64_t i = 0; i < filling->count; i++) {
		uint64_t word = atomic_load_explicit(&catalog->slots.live[i], memory_order_relaxed);

		filling->words[i] = word;
		filling->before[i] = filling->bits;
		filling->bits += (uint64_t)__builtin_popcountll(word);
		if (word)
			filling->pinned = i * 64 + 63 - (uint64_t)__builtin_clzll(word);
	}
	return 0;
}

/* The copy of this moment begins. -ENOMEM. The publish lock held. */
static int fill_begin(struct catalog *catalog, struct filling *filling)
{
	int r = copy_live(catalog, filling);

	/* Not as many as the index has: it can lack some where its snapshot was wrong. */
	if (r == 0)
		filling->list = calloc(1, sizeof(*filling->list) +
		                                  filling->bits * sizeof(filling->list->ids[0]));
	if (!filling->list)
		return -ENOMEM;
	filling->list->users = 1;
	filling->list->members = atomic_load(&catalog->index.members);
	filling->list->moves = atomic_load(&catalog->index.moves);
	if (filling->pinned != SLOT_NONE) {
		epoch_enter();
		slots_pin(&catalog->slots, filling->pinned);
		epoch_leave();
	}
	pthread_mutex_lock(&catalog->fill_lock);
	filling->next = catalog->fillings;
	atomic_store(&catalog->fillings, filling);
	pthread_mutex_unlock(&catalog->fill_lock);
	return 0;
}

static void fill_end(struct catalog *catalog, struct filling *filling)
{
	struct filling *_Atomic *at = &catalog->fillings;

	pthread_mutex_lock(&catalog->fill_lock);
	if (atomic_load(at) == filling) {
		atomic_store(at, filling->next);
	} else {
		struct filling *other = atomic_load(at);

		while (other->next != filling)
			other = other->next;
		other->next = filling->next;
	}
	pthread_mutex_unlock(&catalog->fill_lock);
	if (filling->pinned != SLOT_NONE)
		slots_unpin(&catalog->slots, filling->pinned);
}

void catalog_row_goes(struct catalog *catalog, uint64_t slot, uint64_t id)
{
	uint64_t bit = UINT64_C(1) << slot % 64;

	pthread_mutex_lock(&catalog->fill_lock);
	for (struct filling *f = catalog->fillings; f; f = f->next) {
		uint64_t word = slot / 64 < f->count ? f->words[slot / 64] : 0;
		uint64_t at;

		if (!(word & bit))
			continue;
		at = f->before[slot / 64] + (uint64_t)__builtin_popcountll(word & (bit - 1));
		/* Who had the slot first was in it at that moment. */
		if (at >= f->done && f->list->ids[at] == 0)
			f->list->ids[at] = id + 1;
	}
	pthread_mutex_unlock(&catalog->fill_lock);
}

/* The ID in a row, or QUIVER_ID_NONE where the row does not match: *r says why, *id what it has. */
static uint64_t read_id(struct catalog *catalog, uint64_t slot, uint64_t *id, int *r)
{
	struct meta_row row;

	*id = columns_id(&catalog->columns, slot);
	*r = columns_meta(&catalog->columns, slot, *id, &row);
	if (*r == 0 && row.lsn == 0)
		*r = -EBADMSG; /* free */
	/* Attributes that were set since bring the whole row. */
	if (*r && attr_deltas_get(&catalog->attr_deltas, slot, &row))
		*r = 0;
	return *r ? QUIVER_ID_NONE : *id;
}

/* Of the slots of one word of the map. Damaged ones become QUIVER_ID_NONE, and are counted and
 * reported. */
static void fill_word(struct catalog *catalog, struct filling *filling, uint64_t word)
{
	struct quiver_list *list = filling->list;
	uint64_t ids[64], found[64];
	int why[64];
	size_t n = 0, at;

	for (uint64_t bits = filling->words[word]; bits; bits &= bits - 1, n++)
		found[n] = read_id(catalog, word * 64 + (uint64_t)__builtin_ctzll(bits), &ids[n],
		                   &why[n]);
	pthread_mutex_lock(&catalog->fill_lock);
	at = filling->done;
	for (size_t i = 0; i < n; i++) {
		if (list->ids[at + i] != 0) {
			found[i] = list->ids[at + i] - 1;
			why[i] = 0;
		}
		list->ids[at + i] = found[i];
	}
	filling->done += n;
	pthread_mutex_unlock(&catalog->fill_lock);
	n = 0;
	for (uint64_t bits = filling->words[word]; bits; bits &= bits - 1, n++)
		if (why[n]) {
			(void)catalog_row_error(catalog, ids[n],
			                        word * 64 + (uint64_t)__builtin_ctzll(bits),
			                        why[n]);
			list->damaged++;
		}
}

/* All of it, in slot order. No lock held. */
static void fill(struct catalog *catalog, struct filling *filling)
{
	struct quiver_list *list = filling->list;

	for (uint64_t word = 0; word < filling->count; word++)
		fill_word(catalog, filling, word);
	list->count = filling->bits;
	if (list->damaged == 0)
		return;
	list->count = 0;
	for (uint64_t i = 0; i < filling->bits; i++)
		if (list->ids[i] != QUIVER_ID_NONE)
			list->ids[list->count++] = list->ids[i];
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
	struct filling filling = { .pinned = SLOT_NONE };
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
	r = fill_begin(catalog, &filling);
	pthread_mutex_unlock(&catalog->publish_lock);
	if (r == 0) {
		fill(catalog, &filling);
		fill_end(catalog, &filling);
		*list = offer(catalog, filling.list);
	}
	free(filling.words);
	free(filling.before);
	return r;
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
