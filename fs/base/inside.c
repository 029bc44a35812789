/* inside.c - what the kernel knows of snapshots. */
#include "fs/base/inside.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/base/clock.h"
#include "fs/base/tree.h"

#define NS_PER_MS INT64_C(1000000)

/* Places are made in chunks, which never move. */
#define CHUNK 4096u
#define CHUNKS (TREE_INSIDE_COUNT / CHUNK)

/* Links are places plus one; 0: none. */
struct place {
	struct guest *guest; /* NULL: it is free */
	uint64_t inner;
	uint64_t lookups; /* the kernel has been told so often, and has not forgotten */
	uint32_t generation;
	uint32_t openings; /* guest's, when it was found */
	uint32_t next; /* chain of what has the same hash, or of the free */
	uint32_t newer, older; /* of those that are kept though forgotten */
};

struct inside {
	pthread_mutex_t lock;
	inside_unused_fn *unused; /* constant */
	void *arg; /* constant; of that */
	struct place *places[CHUNKS]; /* lock */
	uint32_t made; /* lock; places there are */
	uint32_t free; /* lock; link to the first free one */
	uint32_t newest, oldest; /* lock; links: of those kept */
	unsigned kept; /* lock; how many they are */
	uint32_t generation; /* lock; of the next */
	/* By what they name: a hash table that grows by one bucket at a time (linear hashing), so that
	 * nobody waits while much is moved. */
	uint32_t *chains[CHUNKS]; /* lock */
	uint32_t buckets; /* lock; how many there are, */
	uint32_t half; /* lock; and the largest power of two below or at that */
	uint32_t taken; /* lock; places that are not free */
};

/* ---- places; the caller holds the lock ---- */

static struct place *place_at(struct inside *inside, uint32_t at)
{
	return &inside->places[at / CHUNK][at % CHUNK];
}

static uint32_t *bucket_at(struct inside *inside, uint32_t at)
{
	return &inside->chains[at / CHUNK][at % CHUNK];
}

static uint64_t hash_of(const struct guest *guest, uint64_t inner)
{
	uint64_t hash = (inner ^ guest->serial * UINT64_C(0xD6E8FEB86659FD93)) *
	                UINT64_C(0x9E3779B97F4A7C15);

	return hash ^ hash >> 32;
}

static uint32_t bucket_of(const struct inside *inside, uint64_t hash)
{
	uint32_t at = (uint32_t)(hash & (2 * (uint64_t)inside->half - 1));

	return at < inside->buckets ? at : at & (inside->half - 1);
}

/* One bucket more, with its part of what was in another. Without memory chains get longer instead. */
static void add_bucket(struct inside *inside)
{
	uint32_t at = inside->buckets, from = at - inside->half;
	uint32_t *link, *other;

	if (at / CHUNK >= CHUNKS)
		return;
	if (at % CHUNK == 0) {
		inside->chains[at / CHUNK] = calloc(CHUNK, sizeof(uint32_t));
		if (inside->chains[at / CHUNK] == NULL)
			return;
	}
	inside->buckets++;
	other = bucket_at(inside, at);
	for (link = bucket_at(inside, from); *link != 0;) {
		struct place *place = place_at(inside, *link - 1);

		if (bucket_of(inside, hash_of(place->guest, place->inner)) != at) {
			link = &place->next;
			continue;
		}
		*other = *link;
		*link = place->next;
		place->next = 0;
		other = &place->next;
	}
	if (inside->buckets == 2 * inside->half)
		inside->half *= 2;
}

/* A link to the place of a node, or 0. */
static uint32_t find(struct inside *inside, const struct guest *guest, uint64_t inner)
{
	uint32_t link = *bucket_at(inside, bucket_of(inside, hash_of(guest, inner)));

	while (link != 0) {
		const struct place *place = place_at(inside, link - 1);

		if (place->guest == guest && place->inner == inner &&
		    (place->openings == guest->openings || !tree_is_fleeting(inner)))
			break;
		link = place->next;
	}
	return link;
}

static void unkeep(struct inside *inside, const struct place *place)
{
	if (place->newer != 0)
		place_at(inside, place->newer - 1)->older = place->older;
	else
		inside->newest = place->older;
	if (place->older != 0)
		place_at(inside, place->older - 1)->newer = place->newer;
	else
		inside->oldest = place->newer;
	inside->kept--;
}

/* Of a place that is not kept nothing is left. */
static void drop(struct inside *inside, uint32_t link)
{
	struct place *place = place_at(inside, link - 1);
	struct guest *guest = place->guest;
	uint32_t *p = bucket_at(inside, bucket_of(inside, hash_of(guest, place->inner)));

	while (*p != link)
		p = &place_at(inside, *p - 1)->next;
	*p = place->next;
	place->guest = NULL;
	place->next = inside->free;
	inside->free = link;
	inside->taken--;
	guest->views -= tree_is_fleeting(place->inner);
	if (--guest->known == 0)
		inside->unused(inside->arg, guest);
}

static void keep(struct inside *inside, uint32_t link)
{
	struct place *place = place_at(inside, link - 1);

	place->newer = 0;
	place->older = inside->newest;
	if (inside->newest != 0)
		place_at(inside, inside->newest - 1)->newer = link;
	else
		inside->oldest = link;
	inside->newest = link;
	if (++inside->kept > INSIDE_KEPT_MAX) {
		uint32_t oldest = inside->oldest;

		unkeep(inside, place_at(inside, oldest - 1));
		drop(inside, oldest);
	}
}

/* A link to a new place for a node, or 0. */
static uint32_t take_place(struct inside *inside, struct guest *guest, uint64_t inner)
{
	struct place *place;
	uint32_t link, *bucket;

	if (inside->free == 0) {
		uint32_t chunk = inside->made / CHUNK;

		if (inside->made % CHUNK == 0) {
			if (chunk >= CHUNKS)
				return 0;
			inside->places[chunk] = calloc(CHUNK, sizeof(struct place));
			if (inside->places[chunk] == NULL)
				return 0;
		}
		inside->free = ++inside->made;
	}
	if (inside->taken >= inside->buckets)
		add_bucket(inside);
	link = inside->free;
	place = place_at(inside, link - 1);
	inside->free = place->next;
	bucket = bucket_at(inside, bucket_of(inside, hash_of(guest, inner)));
	*place = (struct place){
		.guest = guest,
		.inner = inner,
		.generation = inside->generation++,
		.openings = guest->openings,
		.next = *bucket,
	};
	*bucket = link;
	inside->taken++;
	guest->known++;
	guest->views += tree_is_fleeting(inner);
	return link;
}

/* ---- the table ---- */

int inside_new(inside_unused_fn *unused, void *arg, struct inside **inside)
{
	struct inside *i = calloc(1, sizeof(*i));

	if (i == NULL)
		return -ENOMEM;
	i->chains[0] = calloc(CHUNK, sizeof(uint32_t));
	if (i->chains[0] == NULL) {
		free(i);
		return -ENOMEM;
	}
	(void)pthread_mutex_init(&i->lock, NULL); /* cannot fail with default attributes */
	i->unused = unused;
	i->arg = arg;
	i->buckets = i->half = CHUNK;
	/* The places begin again with each mount, and file handles live on. */
	i->generation = (uint32_t)(clock_now_ns() / NS_PER_MS);
	*inside = i;
	return 0;
}

void inside_free(struct inside *inside)
{
	if (inside == NULL)
		return;
	for (size_t i = 0; i < CHUNKS && inside->places[i] != NULL; i++)
		free(inside->places[i]);
	for (size_t i = 0; i < CHUNKS && inside->chains[i] != NULL; i++)
		free(inside->chains[i]);
	pthread_mutex_destroy(&inside->lock);
	free(inside);
}

void inside_lock(struct inside *inside)
{
	pthread_mutex_lock(&inside->lock);
}

void inside_unlock(struct inside *inside)
{
	pthread_mutex_unlock(&inside->lock);
}

pthread_mutex_t *inside_mutex(struct inside *inside)
{
	return &inside->lock;
}

bool inside_find(struct inside *inside, uint64_t outer, struct guest **guest, uint64_t *inner)
{
	uint64_t at = outer - TREE_INSIDE_BASE;
	const struct place *place;

	if (at >= inside->made)
		return false;
	place = place_at(inside, (uint32_t)at);
	if (place->guest == NULL ||
	    (tree_is_fleeting(place->inner) && place->openings != place->guest->openings))
		return false;
	*guest = place->guest;
	*inner = place->inner;
	return true;
}

int inside_give(struct inside *inside, struct guest *guest, uint64_t inner, uint64_t *outer,
                uint64_t *generation)
{
	struct place *place;
	uint32_t link;

	inside_lock(inside);
	link = find(inside, guest, inner);
	if (link == 0) {
		link = take_place(inside, guest, inner);
	} else if (place_at(inside, link - 1)->lookups == 0) {
		unkeep(inside, place_at(inside, link - 1));
	}
	if (link != 0) {
		place = place_at(inside, link - 1);
		place->lookups++;
		*outer = TREE_INSIDE_BASE + link - 1;
		*generation = place->generation;
	}
	inside_unlock(inside);
	return link != 0 ? 0 : -ENOMEM;
}

void inside_forget(struct inside *inside, uint64_t outer, uint64_t count)
{
	uint64_t at = outer - TREE_INSIDE_BASE;
	struct place *place;

	inside_lock(inside);
	place = at < inside->made ? place_at(inside, (uint32_t)at) : NULL;
	if (place != NULL && place->guest != NULL && place->lookups > 0) {
		place->lookups -= count < place->lookups ? count : place->lookups;
		/* A view has gone with its last lookup. */
		if (place->lookups == 0 && tree_is_fleeting(place->inner))
			drop(inside, (uint32_t)at + 1);
		else if (place->lookups == 0)
			keep(inside, (uint32_t)at + 1);
	}
	inside_unlock(inside);
}

/* ---- on behalf of the view of a snapshot ---- */

int inside_entry(struct fs *fs, struct fuse_entry_param *entry)
{
	if (fs->guest == NULL)
		return 0;
	return inside_give(fs->inside, fs->guest, entry->ino, &entry->ino, &entry->generation);
}

void inside_entry_failed(struct fs *fs, uint64_t ino)
{
	if (fs->guest != NULL)
		inside_forget(fs->inside, ino, 1);
}

void inside_hold(struct fs *fs)
{
	if (fs->guest == NULL)
		return;
	inside_lock(fs->inside);
	fs->guest->users++;
	inside_unlock(fs->inside);
}

void inside_let_go(struct fs *fs)
{
	struct inside *inside = fs->inside;

	if (fs->guest == NULL)
		return;
	inside_lock(inside);
	if (--fs->guest->users == 0)
		inside->unused(inside->arg, fs->guest);
	inside_unlock(inside);
}

int inside_reply_open(struct fs *fs, fuse_req_t req, const struct fuse_file_info *fi)
{
	int err;

	inside_hold(fs); /* before a RELEASE can come */
	err = fuse_reply_open(req, fi);
	if (err != 0)
		inside_let_go(fs);
	return err;
}
