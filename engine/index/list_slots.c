#include "engine/index/list_slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/index/catalog.h"

#define WORD_BITS 64u
/* Words whose bits are counted together: one more in 64 of the map, and as many to look through for a
 * position. */
#define BLOCK_WORDS 64u
/* Slots that may come into use while memory for the map is had. */
#define SPARE_WORDS UINT64_C(1024)
#define GONE_PLACES_MIN UINT64_C(64)

static uint64_t popcount(uint64_t bits)
{
	return (uint64_t)__builtin_popcountll(bits);
}

/* ---- rows that have gone ---- */

static uint64_t gone_home(const struct list_gone *gone, uint64_t slot)
{
	/* The highest bits of Fibonacci hashing (Knuth). */
	return (slot * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (gone->places - 1);
}

/* The place of a slot, or the empty one where it would be. */
static uint64_t gone_find(const struct list_gone *gone, uint64_t slot)
{
	uint64_t at = gone_home(gone, slot);

	while (gone->slots[at] != 0 && gone->slots[at] != (uint32_t)slot + 1)
		at = (at + 1) & (gone->places - 1);
	return at;
}

static void gone_free(struct list_gone *gone)
{
	free(gone->slots);
	free(gone->ids);
}

/* Room for one more. */
static int gone_grow(struct list_gone *gone)
{
	struct list_gone larger = { .places = gone->places > 0 ? gone->places * 2
		                                               : GONE_PLACES_MIN };

	if (gone->count + 1 < gone->places / 4 * 3)
		return 0;
	larger.slots = calloc(larger.places, sizeof(*larger.slots));
	larger.ids = malloc(larger.places * sizeof(*larger.ids));
	if (!larger.slots || !larger.ids) {
		gone_free(&larger);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < gone->places; i++)
		if (gone->slots[i] != 0) {
			uint64_t at = gone_find(&larger, gone->slots[i] - UINT64_C(1));

			larger.slots[at] = gone->slots[i];
			larger.ids[at] = gone->ids[i];
		}
	larger.count = gone->count;
	gone_free(gone);
	*gone = larger;
	return 0;
}

void list_slots_row_goes(struct list_slots *slots, uint64_t slot, uint64_t id)
{
	uint64_t word = slot / WORD_BITS < slots->count ? slots->words[slot / WORD_BITS] : 0;
	uint64_t at;

	if (!(word >> slot % WORD_BITS & 1) || slots->error)
		return;
	slots->error = gone_grow(&slots->gone);
	if (slots->error)
		return;
	at = gone_find(&slots->gone, slot);
	/* Who had the slot first was in it at that moment. */
	if (slots->gone.slots[at] != 0)
		return;
	slots->gone.slots[at] = (uint32_t)slot + 1;
	slots->gone.ids[at] = id;
	slots->gone.count++;
}

/* Whose row it was, where it has gone; else QUIVER_ID_NONE. The fill lock held. */
static uint64_t gone_id(const struct list_gone *gone, uint64_t slot)
{
	uint64_t at;

	if (gone->count == 0)
		return QUIVER_ID_NONE;
	at = gone_find(gone, slot);
	return gone->slots[at] != 0 ? gone->ids[at] : QUIVER_ID_NONE;
}

/* ---- beginning and end ---- */

int list_slots_make_room(struct list_slots *slots, struct catalog *catalog)
{
	struct slots_counts counts;

	slots_counts(&catalog->slots, &counts);
	slots->room = counts.used / WORD_BITS + SPARE_WORDS;
	free(slots->words);
	free(slots->before);
	slots->words = malloc(slots->room * 8);
	slots->before = malloc((slots->room / BLOCK_WORDS + 2) * 8);
	if (!slots->words || !slots->before)
		return -ENOMEM;
	/* Its pages now: writers wait while it is filled. */
	memset(slots->words, 0, slots->room * 8);
	return 0;
}

int list_slots_take(struct list_slots *slots, struct catalog *catalog)
{
	struct slots_counts counts;

	slots_counts(&catalog->slots, &counts);
	slots->count = (counts.used + WORD_BITS - 1) / WORD_BITS;
	if (slots->count > slots->room) {
		slots->count = 0;
		return -EAGAIN;
	}
	for (uint64_t i = 0; i < slots->count; i++)
		slots->words[i] =
			atomic_load_explicit(&catalog->slots.live[i], memory_order_relaxed);
	pthread_mutex_lock(&catalog->fill_lock);
	slots->next = catalog->listings;
	atomic_store(&catalog->listings, slots);
	pthread_mutex_unlock(&catalog->fill_lock);
	return 0;
}

void list_slots_count(struct list_slots *slots)
{
	slots->bits = 0;
	for (uint64_t i = 0; i < slots->count; i++) {
		if (i % BLOCK_WORDS == 0)
			slots->before[i / BLOCK_WORDS] = slots->bits;
		slots->bits += popcount(slots->words[i]);
	}
}

void list_slots_end(struct list_slots *slots, struct catalog *catalog)
{
	struct list_slots *at;

	pthread_mutex_lock(&catalog->fill_lock);
	at = atomic_load(&catalog->listings);
	if (at == slots)
		atomic_store(&catalog->listings, slots->next);
	while (at && at->next != slots)
		at = at->next;
	if (at)
		at->next = slots->next;
	pthread_mutex_unlock(&catalog->fill_lock);
	free(slots->words);
	free(slots->before);
	gone_free(&slots->gone);
	free(slots->damaged);
}

uint64_t list_slots_bytes(const struct list_slots *slots)
{
	return (slots->room + slots->room / BLOCK_WORDS) * 8;
}

size_t list_slots_damaged(struct list_slots *slots, struct catalog *catalog)
{
	size_t count;

	pthread_mutex_lock(&catalog->fill_lock);
	count = slots->damaged_count;
	pthread_mutex_unlock(&catalog->fill_lock);
	return count;
}

bool list_slots_failed(struct list_slots *slots, struct catalog *catalog)
{
	bool failed;

	pthread_mutex_lock(&catalog->fill_lock);
	failed = slots->error != 0;
	pthread_mutex_unlock(&catalog->fill_lock);
	return failed;
}

/* ---- which of them are damaged. The fill lock held ---- */

/* How many of the damaged ones have a number below `number`. */
static size_t damaged_below(const struct list_slots *slots, uint64_t number)
{
	size_t from = 0, to = slots->damaged_count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (slots->damaged[middle] < number)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static bool is_damaged(const struct list_slots *slots, uint64_t number)
{
	size_t at = damaged_below(slots, number);

	return at < slots->damaged_count && slots->damaged[at] == number;
}

static int note_damaged(struct list_slots *slots, uint64_t number)
{
	if (slots->damaged_count == slots->damaged_room) {
		size_t room = slots->damaged_room * 2 + 16;
		uint64_t *larger = realloc(slots->damaged, room * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		slots->damaged = larger;
		slots->damaged_room = room;
	}
	slots->damaged[slots->damaged_count++] = number;
	return 0;
}

/* The number of the one at `position`, before which all were read. */
static uint64_t number_of(const struct list_slots *slots, uint64_t position)
{
	size_t from = 0, to = slots->damaged_count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (slots->damaged[middle] - middle <= position)
			from = middle + 1;
		else
			to = middle;
	}
	return position + from;
}

/* ---- reading ---- */

/* Some slots of one word of the map, on their way. */
struct part {
	uint64_t word;
	uint64_t bits; /* which slots of it */
	uint64_t first; /* number of the first */
	uint64_t told; /* those of `bits` whose rows have gone */
	uint64_t ids[WORD_BITS]; /* by place in the word; of damaged ones what the row has */
	int why[WORD_BITS]; /* they are damaged; 0 they are not */
};

/* Whose rows have gone. The fill lock held. */
static void ask_gone(const struct list_slots *slots, struct part *part)
{
	if (slots->gone.count == 0)
		return;
	for (uint64_t bits = part->bits & ~part->told; bits; bits &= bits - 1) {
		unsigned at = (unsigned)__builtin_ctzll(bits);
		uint64_t id = gone_id(&slots->gone, part->word * WORD_BITS + at);

		if (id == QUIVER_ID_NONE)
			continue;
		part->told |= UINT64_C(1) << at;
		part->ids[at] = id;
		part->why[at] = 0;
	}
}

/* What keeps the rows that are still to be read in the files. */
struct held {
	uint64_t slot; /* SLOT_NONE: nothing is to be read */
	void *pin; /* of the thread; NULL: the slot counts it */
};

/* No file is cut below a slot that is pinned, and whoever empties that one tells us first. By a pin of
 * the thread: counts in the slots would take 4 bytes for each after a listing of all. */
static struct held hold(struct list_slots *slots, struct catalog *catalog, struct part *part)
{
	struct reader *own = readers_own(&catalog->readers);
	struct held held = { .slot = SLOT_NONE };
	uint64_t left;

	pthread_mutex_lock(&catalog->fill_lock);
	ask_gone(slots, part);
	left = part->bits & ~part->told;
	if (left) {
		held.slot = part->word * WORD_BITS + 63 - (uint64_t)__builtin_clzll(left);
		epoch_enter();
		held.pin = own ? reader_pin(own, held.slot) : NULL;
		if (!held.pin)
			slots_pin(&catalog->slots, held.slot);
		epoch_leave();
	}
	pthread_mutex_unlock(&catalog->fill_lock);
	return held;
}

static void let_go(struct catalog *catalog, const struct held *held)
{
	if (held->pin)
		reader_unpin(held->pin);
	else if (held->slot != SLOT_NONE)
		slots_unpin(&catalog->slots, held->slot);
}

/* The ID in a row. 0, or why the row cannot be used. */
static int read_id(struct catalog *catalog, uint64_t slot, uint64_t *id)
{
	struct meta_row row;
	int r;

	*id = columns_id(&catalog->columns, slot);
	r = columns_meta(&catalog->columns, slot, *id, &row);
	if (r == 0 && row.lsn == 0)
		r = -EBADMSG; /* free */
	/* Attributes that were set since bring the whole row. */
	if (r && attr_deltas_get(&catalog->attr_deltas, slot, &row))
		r = 0;
	return r;
}

/* Which of them are damaged, where they were not read before: *fresh. The fill lock held. */
static int settle(struct list_slots *slots, struct part *part, uint64_t *fresh)
{
	uint64_t number = part->first;
	int r = slots->error;

	ask_gone(slots, part);
	*fresh = 0;
	for (uint64_t bits = part->bits; r == 0 && bits; bits &= bits - 1, number++) {
		unsigned at = (unsigned)__builtin_ctzll(bits);

		if (number < slots->known) {
			/* As it was found then, so that positions stay. */
			part->why[at] = is_damaged(slots, number) ? -EBADMSG : 0;
			continue;
		}
		if (part->why[at])
			r = note_damaged(slots, number);
		if (r == 0 && part->why[at])
			*fresh |= UINT64_C(1) << at;
		if (r == 0)
			slots->known = number + 1;
	}
	return r;
}

/* 0 and *count IDs, or -ENOMEM. */
static int read_part(struct list_slots *slots, struct catalog *catalog, struct part *part,
                     uint64_t *ids, size_t *count)
{
	struct held held = hold(slots, catalog, part);
	uint64_t fresh;
	int r;

	for (uint64_t bits = part->bits & ~part->told; bits; bits &= bits - 1) {
		unsigned at = (unsigned)__builtin_ctzll(bits);

		part->why[at] = read_id(catalog, part->word * WORD_BITS + at, &part->ids[at]);
	}
	let_go(catalog, &held);
	pthread_mutex_lock(&catalog->fill_lock);
	r = settle(slots, part, &fresh);
	pthread_mutex_unlock(&catalog->fill_lock);
	for (uint64_t bits = fresh; bits; bits &= bits - 1) {
		unsigned at = (unsigned)__builtin_ctzll(bits);

		(void)catalog_row_error(catalog, part->ids[at], part->word * WORD_BITS + at,
		                        part->why[at]);
	}
	*count = 0;
	for (uint64_t bits = part->bits; r == 0 && bits; bits &= bits - 1) {
		unsigned at = (unsigned)__builtin_ctzll(bits);

		if (part->why[at] == 0)
			ids[(*count)++] = part->ids[at];
	}
	return r;
}

/* The word that the one with this number is in, and *bits of it from that one on. */
static uint64_t find_word(const struct list_slots *slots, uint64_t number, uint64_t *bits)
{
	uint64_t from = 0;
	uint64_t to = (slots->count + BLOCK_WORDS - 1) / BLOCK_WORDS;
	uint64_t word;
	uint64_t left;

	*bits = 0;
	if (number >= slots->bits)
		return slots->count;
	while (to - from > 1) {
		uint64_t middle = from + (to - from) / 2;

		if (slots->before[middle] <= number)
			from = middle;
		else
			to = middle;
	}
	left = number - slots->before[from];
	for (word = from * BLOCK_WORDS; left >= popcount(slots->words[word]); word++)
		left -= popcount(slots->words[word]);
	*bits = slots->words[word];
	while (left-- > 0)
		*bits &= *bits - 1;
	return word;
}

/* The lowest of them, at most `max`. */
static uint64_t lowest_bits(uint64_t bits, size_t max)
{
	uint64_t rest = bits;

	if (popcount(bits) <= max)
		return bits;
	while (max-- > 0)
		rest &= rest - 1;
	return bits & ~rest;
}

/* From the one with this number on, before which all were read. */
static int64_t read_from(struct list_slots *slots, struct catalog *catalog, uint64_t number,
                         unsigned flags, uint64_t *ids, size_t max)
{
	uint32_t second = flags & QUIVER_NOWAIT ? residency_second() : 0;
	uint64_t bits;
	uint64_t word = find_word(slots, number, &bits);
	size_t got = 0;
	int r = 0;

	while (r == 0 && got < max && word < slots->count) {
		struct part part;
		size_t n = 0;

		part.word = word;
		part.bits = lowest_bits(bits, max - got);
		part.first = number;
		part.told = 0;
		if (part.bits && (flags & QUIVER_NOWAIT) &&
		    !residency_has_row(&catalog->residency, &catalog->columns,
		                       word * WORD_BITS + (uint64_t)__builtin_ctzll(part.bits),
		                       second))
			r = -EAGAIN;
		else if (part.bits)
			r = read_part(slots, catalog, &part, ids + got, &n);
		got += n;
		number += popcount(part.bits);
		bits &= ~part.bits;
		if (bits == 0 && ++word < slots->count)
			bits = slots->words[word];
	}
	return got > 0 ? (int64_t)got : r;
}

/* IDs that were read, from the first on. */
static uint64_t known_ids(struct list_slots *slots, struct catalog *catalog, uint64_t *known)
{
	uint64_t ids;

	pthread_mutex_lock(&catalog->fill_lock);
	*known = slots->known;
	ids = slots->known - slots->damaged_count;
	pthread_mutex_unlock(&catalog->fill_lock);
	return ids;
}

int64_t list_slots_read(struct list_slots *slots, struct catalog *catalog, uint64_t position,
                        unsigned flags, uint64_t *ids, size_t max)
{
	uint64_t skipped[WORD_BITS];
	uint64_t known;
	uint64_t there = known_ids(slots, catalog, &known);
	int64_t n = 1;

	/* What is damaged before it counts. */
	while (n > 0 && there < position && known < slots->bits) {
		uint64_t left = position - there;

		n = read_from(slots, catalog, known, flags, skipped,
		              left < WORD_BITS ? (size_t)left : WORD_BITS);
		there = known_ids(slots, catalog, &known);
	}
	if (n <= 0 || there < position)
		return n < 0 ? n : 0;
	pthread_mutex_lock(&catalog->fill_lock);
	known = number_of(slots, position);
	pthread_mutex_unlock(&catalog->fill_lock);
	return read_from(slots, catalog, known, flags, ids, max);
}
