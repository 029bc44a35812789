#include "engine/commit/regions.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/media/bytes.h"

#define WORDS (REGIONS_MAX / 64)
#define SECTOR_WORDS (REGIONS_SECTOR_BITS / 64)
/* More at once would have a recovery look at rows that nobody has come near. */
#define AHEAD_MAX 256u
/* Segments that are noted for a checkpoint before anybody needs them. */
#define SEGMENTS_AHEAD 2u
#define REGIONS_OF_SEGMENT (SLOTS_SEGMENT / REGION_SLOTS)

static_assert(SLOTS_SEGMENT % REGION_SLOTS == 0, "a segment is whole regions");
static_assert(REGIONS_SECTOR_BITS % 64 == 0, "a sector is whole words");

/* What is to be noted, beyond what is. */
struct wanted {
	uint64_t words[WORDS];
	bool sectors[REGIONS_SECTORS]; /* that change */
};

static void want(struct wanted *wanted, uint64_t region)
{
	assert(region < REGIONS_MAX);
	wanted->words[region / 64] |= UINT64_C(1) << (region % 64);
	wanted->sectors[region / REGIONS_SECTOR_BITS] = true;
}

static bool is_noted(const struct region_area *area, uint64_t region)
{
	return atomic_load_explicit(&area->noted[region / 64], memory_order_relaxed) >>
	               (region % 64) &
	       1;
}

/* Regions that slots are taken from next, of so many segments. */
static void want_next(struct regions *regions, struct wanted *wanted, size_t segments)
{
	uint64_t next[AHEAD_MAX + 1];

	segments = slots_next_segments(regions->slots, next, segments);
	for (size_t i = 0; i < segments; i++)
		for (uint64_t k = 0; k < REGIONS_OF_SEGMENT; k++)
			if (next[i] * REGIONS_OF_SEGMENT + k < REGIONS_MAX)
				want(wanted, next[i] * REGIONS_OF_SEGMENT + k);
}

/* Write what is noted in an area and what is wanted, and sync it; then it counts. Lock held. */
static int write_notes(struct regions *regions, unsigned at, const struct wanted *wanted)
{
	struct region_area *area = &regions->areas[at];
	uint8_t bits[REGIONS_BITS_BYTES];
	int r = 0;

	for (unsigned sector = 0; r == 0 && sector < REGIONS_SECTORS; sector++) {
		uint64_t first = (uint64_t)sector * SECTOR_WORDS;

		if (!wanted->sectors[sector])
			continue;
		for (uint64_t i = 0; i < SECTOR_WORDS; i++)
			put_le64(bits + i * 8,
			         wanted->words[first + i] | atomic_load(&area->noted[first + i]));
		r = regions_file_write(&regions->file, at, sector, area->generation, bits);
	}
	if (r == 0)
		r = regions_file_sync(&regions->file);
	for (uint64_t i = 0; r == 0 && i < WORDS; i++)
		atomic_fetch_or(&area->noted[i], wanted->words[i]);
	if (r == 0)
		atomic_fetch_add(&regions->syncs, 1);
	return r;
}

static int open_file(struct regions *regions, const struct quiver_io *io, int dir_fd,
                     const uint8_t uuid[16])
{
	int r = regions_file_open(&regions->file, io, dir_fd, uuid, true);
	int bad = r == 0 ? regions_file_damage(&regions->file) : 0;

	if (r == 0 && bad == 0)
		return 0;
	if (r == 0)
		r = regions_file_close(&regions->file);
	if (bad < 0)
		return bad;
	/* Nobody needs what it has noted any more. */
	return r == 0 || r == -ENOENT || r == -EBADMSG
	               ? regions_file_create(&regions->file, io, dir_fd, uuid)
	               : r;
}

int regions_start(struct regions *regions, const struct quiver_io *io, int dir_fd,
                  const uint8_t uuid[16], struct slots *slots, uint64_t generation,
                  uint64_t slots_used)
{
	int r;

	assert(!regions->started);
	regions->slots = slots;
	for (unsigned i = 0; i < REGIONS_AREAS; i++) {
		regions->areas[i].noted = calloc(WORDS, 8);
		if (!regions->areas[i].noted) {
			r = -ENOMEM;
			goto fail;
		}
	}
	r = open_file(regions, io, dir_fd, uuid);
	if (r)
		goto fail;
	r = generation ? regions_file_begin_life(&regions->file, generation) : 0;
	if (r) {
		(void)regions_file_close(&regions->file); /* what failed first is the reason */
		goto fail;
	}
	pthread_mutex_init(&regions->lock, NULL);
	regions->areas[0].generation = generation;
	regions->is_settled = true;
	regions->ahead = 1;
	atomic_store(&regions->noted_below, generation ? slots_used : 0);
	regions->started = true;
	return 0;
fail:
	for (unsigned i = 0; i < REGIONS_AREAS; i++) {
		free((void *)(uintptr_t)regions->areas[i].noted);
		regions->areas[i].noted = NULL;
	}
	return r;
}

bool regions_are_noted(const struct regions *regions)
{
	return regions->started;
}

int regions_stop(struct regions *regions)
{
	if (!regions->started)
		return 0;
	regions->started = false;
	atomic_store(&regions->noted_below, 0);
	for (unsigned i = 0; i < REGIONS_AREAS; i++) {
		free((void *)(uintptr_t)regions->areas[i].noted);
		regions->areas[i].noted = NULL;
	}
	pthread_mutex_destroy(&regions->lock);
	return regions_file_close(&regions->file);
}

int regions_note(struct regions *regions, const uint64_t *slots, size_t count)
{
	struct wanted *wanted = calloc(1, sizeof(*wanted));
	unsigned at = atomic_load(&regions->area);
	bool any = false;
	int r = 0;

	if (!wanted)
		return -ENOMEM;
	pthread_mutex_lock(&regions->lock);
	for (size_t i = 0; i < count; i++) {
		uint64_t region = slots[i] / REGION_SLOTS;

		if (regions_has(regions, slots[i]) || is_noted(&regions->areas[at], region))
			continue;
		want(wanted, region);
		any = true;
	}
	if (any) {
		/* The one that is being used up is most often the first of them. */
		want_next(regions, wanted, regions->ahead + 1);
		r = write_notes(regions, at, wanted);
		if (r == 0 && regions->ahead < AHEAD_MAX)
			regions->ahead *= 2;
	}
	pthread_mutex_unlock(&regions->lock);
	free(wanted);
	return r;
}

/* Where slots are taken now. */
static void want_current(struct regions *regions, struct wanted *wanted)
{
	struct slots_counts counts;
	uint64_t from, to;

	slots_counts(regions->slots, &counts);
	from = counts.used > REGIONS_IN_FLIGHT_SLOTS ? counts.used - REGIONS_IN_FLIGHT_SLOTS : 0;
	to = (counts.used + REGIONS_IN_FLIGHT_SLOTS) / REGION_SLOTS;
	for (uint64_t region = from / REGION_SLOTS; region <= to && region < REGIONS_MAX; region++)
		want(wanted, region);
	want_next(regions, wanted, SEGMENTS_AHEAD);
}

int regions_prepare(struct regions *regions, uint64_t generation)
{
	struct wanted *wanted;
	unsigned at = atomic_load(&regions->area);
	struct region_area *area;
	int r;

	if (!regions->started)
		return -EBADF;
	wanted = calloc(1, sizeof(*wanted));
	if (!wanted)
		return -ENOMEM;
	pthread_mutex_lock(&regions->lock);
	if (regions->is_settled) {
		/* Nobody needs the notes of the other area any more. */
		at = 1 - at;
		area = &regions->areas[at];
		for (uint64_t i = 0; i < WORDS; i++)
			atomic_store(&area->noted[i], 0);
	} else {
		area = &regions->areas[at];
	}
	area->generation = generation;
	want_current(regions, wanted);
	for (uint64_t i = 0; i < WORDS; i++)
		if (atomic_load(&area->noted[i]) != 0)
			wanted->sectors[i / SECTOR_WORDS] = true;
	r = write_notes(regions, at, wanted);
	pthread_mutex_unlock(&regions->lock);
	free(wanted);
	regions->prepared = at;
	return r;
}

void regions_begin(struct regions *regions, uint64_t slots_used)
{
	pthread_mutex_lock(&regions->lock);
	if (regions->prepared != atomic_load(&regions->area))
		regions->is_settled = false;
	atomic_store(&regions->area, regions->prepared);
	atomic_store(&regions->noted_below, slots_used);
	regions->ahead = 1;
	pthread_mutex_unlock(&regions->lock);
}

void regions_end(struct regions *regions, bool kept)
{
	if (!regions->started)
		return;
	pthread_mutex_lock(&regions->lock);
	regions->is_settled = true;
	if (!kept)
		atomic_store(&regions->noted_below, 0);
	pthread_mutex_unlock(&regions->lock);
}
