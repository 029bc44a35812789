/* proven.c - which vectors the kernel's page cache may go on with when they are opened. */
#include "fs/vector/proven.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Marks that are no commit's. */
#define NOTHING_YET 0u /* nothing that was committed since the mount has been in the cache */
#define NOTHING 1u
#define WORD_BITS 64u

struct proven {
	uint64_t lsn; /* of the last commit before the mount; constant */
	uint64_t slots; /* constant */
	_Atomic uint64_t *bits; /* of slots */
	/* Vectors share them, and with them no lock: what one finds here that another one
	 * wrote is a mark that it never has. */
	_Atomic uint32_t marks[PROVEN_MARKS];
};

int proven_new(uint64_t lsn, uint64_t slots, struct proven **proven)
{
	/* So large that they are pages which come when they are written to. */
	struct proven *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->lsn = lsn;
	p->slots = slots;
	p->bits = calloc(slots / WORD_BITS + 1, sizeof(*p->bits));
	if (p->bits == NULL) {
		free(p);
		return -ENOMEM;
	}
	*proven = p;
	return 0;
}

void proven_free(struct proven *proven)
{
	free(proven->bits);
	free(proven);
}

static bool was_there(const struct proven *proven, const struct quiver_ref *ref)
{
	return ref->lsn <= proven->lsn;
}

/* Of a version that was committed since the mount; NOTHING where it can have none. */
static uint32_t mark_of(const struct proven *proven, const struct quiver_ref *ref)
{
	uint64_t commits = ref->lsn - proven->lsn;

	return commits <= PROVEN_COMMITS_MAX ? (uint32_t)commits + NOTHING : NOTHING;
}

/* IDs are mostly given out one after another: then no two share a mark, and the marks in
 * use lie together. */
static size_t place_of(const struct quiver_ref *ref)
{
	return ref->id % PROVEN_MARKS;
}

bool proven_is(const struct proven *proven, const struct quiver_ref *ref)
{
	uint32_t mark = atomic_load_explicit(&proven->marks[place_of(ref)], memory_order_relaxed);
	uint64_t word;

	if (!was_there(proven, ref))
		return mark > NOTHING && mark == mark_of(proven, ref);
	if (mark != NOTHING_YET || ref->slot >= proven->slots)
		return false;
	word = atomic_load_explicit(&proven->bits[ref->slot / WORD_BITS], memory_order_relaxed);
	return (word >> ref->slot % WORD_BITS & 1) != 0;
}

void proven_set(struct proven *proven, const struct quiver_ref *ref)
{
	if (!was_there(proven, ref))
		atomic_store_explicit(&proven->marks[place_of(ref)], mark_of(proven, ref),
		                      memory_order_relaxed);
	else if (ref->slot < proven->slots)
		atomic_fetch_or_explicit(&proven->bits[ref->slot / WORD_BITS],
		                         UINT64_C(1) << ref->slot % WORD_BITS,
		                         memory_order_relaxed);
}

void proven_fills(struct proven *proven, const struct quiver_ref *ref)
{
	_Atomic uint32_t *mark = &proven->marks[place_of(ref)];
	uint32_t seen = atomic_load_explicit(mark, memory_order_relaxed);

	if (was_there(proven, ref) ? seen > NOTHING : seen != mark_of(proven, ref))
		atomic_store_explicit(mark, NOTHING, memory_order_relaxed);
}
