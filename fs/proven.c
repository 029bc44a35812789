/* proven.c - which vectors the kernel's page cache may go on with when they are opened. */
#include "proven.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

/* No commit has it. */
#define LSN_NONE 0u

struct proven {
	/* Vectors share them, and with them no lock: what one finds here that another one
	 * wrote is an LSN that it never had. */
	_Atomic uint64_t lsns[PROVEN_ENTRIES];
};

/* IDs are mostly given out one after another: then no two share an entry, and the
 * entries in use lie together. */
static _Atomic uint64_t *entry_of(struct proven *proven, uint64_t id)
{
	return &proven->lsns[id % PROVEN_ENTRIES];
}

int proven_new(struct proven **proven)
{
	*proven = calloc(1, sizeof(**proven)); /* so large: pages that come when touched */
	return *proven != NULL ? 0 : -ENOMEM;
}

void proven_free(struct proven *proven)
{
	free(proven);
}

bool proven_is(const struct proven *proven, uint64_t id, uint64_t lsn)
{
	return atomic_load_explicit(&proven->lsns[id % PROVEN_ENTRIES], memory_order_relaxed) ==
	       lsn;
}

void proven_set(struct proven *proven, uint64_t id, uint64_t lsn)
{
	atomic_store_explicit(entry_of(proven, id), lsn, memory_order_relaxed);
}

void proven_fills(struct proven *proven, uint64_t id, uint64_t lsn)
{
	_Atomic uint64_t *entry = entry_of(proven, id);
	uint64_t seen = atomic_load_explicit(entry, memory_order_relaxed);

	if (seen != lsn && seen != LSN_NONE)
		atomic_store_explicit(entry, LSN_NONE, memory_order_relaxed);
}
