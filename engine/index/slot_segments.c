#include "engine/index/slot_segments.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define WORD_BITS 64u
/* Below it each number has a class of its own. */
#define FEW 4u
#define FEW_BITS 2u

/* Zeros, of which the system keeps nothing that is not touched; calloc would fill them where
 * MALLOC_PERTURB_ is set. NULL without memory. */
static void *zeros(uint64_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

static void give_back(void *zeros, uint64_t bytes)
{
	if (zeros && munmap(zeros, bytes) != 0)
		assert(!"munmap of segments");
}

static uint64_t free_bytes(const struct slot_segments *segments)
{
	return segments->words * WORD_BITS * sizeof(*segments->free);
}

static uint64_t maps_bytes(const struct slot_segments *segments)
{
	return (SEGMENT_CLASSES + 1) * segments->words * sizeof(*segments->maps);
}

int slot_segments_init(struct slot_segments *segments, uint64_t slots_max)
{
	uint64_t count = slots_max / SLOTS_SEGMENT + 1;

	memset(segments, 0, sizeof(*segments));
	segments->words = (count + WORD_BITS - 1) / WORD_BITS;
	segments->free = zeros(free_bytes(segments));
	segments->maps = zeros(maps_bytes(segments));
	if (segments->free && segments->maps)
		return 0;
	slot_segments_destroy(segments);
	return -ENOMEM;
}

void slot_segments_destroy(struct slot_segments *segments)
{
	give_back(segments->free, free_bytes(segments));
	give_back(segments->maps, maps_bytes(segments));
	memset(segments, 0, sizeof(*segments));
}

/* Of a segment with `free` of them, at least one. */
static uint32_t class_of(uint32_t free)
{
	uint32_t bits;

	if (free < FEW)
		return free - 1;
	bits = 31u - (uint32_t)__builtin_clz(free);
	return FEW - 1 + (bits - FEW_BITS) * FEW + (free >> (bits - FEW_BITS) & (FEW - 1));
}

static uint64_t *map_of(const struct slot_segments *segments, uint32_t class)
{
	return segments->maps + class * segments->words;
}

static void flip(uint64_t *map, uint64_t segment)
{
	map[segment / WORD_BITS] ^= UINT64_C(1) << segment % WORD_BITS;
}

static void join(struct slot_segments *segments, uint64_t segment, uint32_t class)
{
	flip(map_of(segments, class), segment);
	segments->counts[class]++;
	segments->classes |= UINT64_C(1) << class;
}

static void leave(struct slot_segments *segments, uint64_t segment, uint32_t class)
{
	flip(map_of(segments, class), segment);
	if (--segments->counts[class] == 0)
		segments->classes &= ~(UINT64_C(1) << class);
}

void slot_segments_set(struct slot_segments *segments, uint64_t segment, uint32_t free)
{
	uint32_t had = segments->free[segment];

	assert(free <= SLOTS_SEGMENT);
	segments->free[segment] = (uint16_t)free;
	if (had > 0 && free > 0 && class_of(had) == class_of(free))
		return;
	if ((had > 0) != (free > 0))
		flip(map_of(segments, SEGMENT_CLASSES), segment);
	if (had > 0)
		leave(segments, segment, class_of(had));
	if (free > 0)
		join(segments, segment, class_of(free));
}

/* The lowest bit at or above `from`, or SEGMENT_NONE. */
static uint64_t lowest_in(const struct slot_segments *segments, uint32_t class, uint64_t from)
{
	const uint64_t *map = map_of(segments, class);
	uint64_t word = from / WORD_BITS;
	uint64_t bits;

	if (word >= segments->words)
		return SEGMENT_NONE;
	bits = map[word] & (~UINT64_C(0) << from % WORD_BITS);
	while (!bits) {
		if (++word >= segments->words)
			return SEGMENT_NONE;
		bits = map[word];
	}
	return word * WORD_BITS + (uint64_t)__builtin_ctzll(bits);
}

uint64_t slot_segments_lowest(const struct slot_segments *segments, uint64_t from)
{
	return lowest_in(segments, SEGMENT_CLASSES, from);
}

uint64_t slot_segments_next(const struct slot_segments *segments, struct segment_walk *walk)
{
	for (;;) {
		uint64_t left = segments->classes;
		uint64_t segment;
		uint32_t class;

		if (walk->past > 0)
			left &= (UINT64_C(1) << (SEGMENT_CLASSES - walk->past)) - 1;
		if (!left)
			return SEGMENT_NONE;
		class = 63u - (uint32_t)__builtin_clzll(left);
		if (class != SEGMENT_CLASSES - 1 - walk->past) {
			walk->past = SEGMENT_CLASSES - 1 - class;
			walk->from = 0;
		}
		segment = lowest_in(segments, class, walk->from);
		if (segment != SEGMENT_NONE) {
			walk->from = segment + 1;
			return segment;
		}
		walk->past++;
		walk->from = 0;
	}
}
