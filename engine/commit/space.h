/*
 * space.h - room on disk: growing ahead, blocks behind free slots, giving blocks back, cutting.
 */
#ifndef QUIVER_SPACE_H
#define QUIVER_SPACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/commit/prefetch.h"
#include "engine/commit/row_watch.h"
#include "engine/commit/wishes.h"
#include "engine/disk/superblock_file.h"
#include "engine/index/catalog.h"

struct space {
	struct catalog *catalog; /* not owned, as the next three */
	struct superblock_file *superblock;
	struct wishes *wishes;
	struct row_watch *row_watch;
	pthread_mutex_t grow_lock; /* changing the size of the columns */
	/* A bit for each chunk of vectors.npy: known to have blocks / known to be a hole. Neither
	 * is known of what an earlier life left. Bits of a chunk change only by who has taken
	 * slots in it; the words are shared, hence atomic. */
	_Atomic uint64_t *backed;
	_Atomic uint64_t *punched;
	uint64_t chunk_words; /* of each; fixed at open */
	uint64_t slots_max; /* fixed; that any store can have */
	struct prefetch prefetch;
	bool told_no_more; /* grow lock; once is enough */
	pthread_mutex_t hold_lock;
	uint64_t holds; /* hold lock; columns open as files */
	bool cut_wanted; /* hold lock; a cut was put off by a hold or a reader */
};

/* All-zero memory becomes the space of a store whose columns are not open yet. */
void space_init(struct space *space, struct catalog *catalog, struct superblock_file *superblock,
                struct wishes *wishes, struct row_watch *row_watch);
/* The columns are open: memory for what is known of chunks. 0 or -ENOMEM. */
int space_open(struct space *space);
void space_destroy(struct space *space);

/* Take `count` free slots of those there is room for, with blocks behind them. 0; -EAGAIN
 * the columns have to grow first; -ENOSPC, -errno. No lock held. */
int space_take(struct space *space, size_t count, uint64_t *slots);
/* As space_take, but only holes below `below`; how many were taken, or -errno. */
int64_t space_take_below(struct space *space, uint64_t below, size_t count, uint64_t *slots);
/* Room for `count` more slots than are taken; `exactly` so many, else a step. 0, -ENOSPC,
 * -errno. No lock held; waits for the disk. */
int space_grow(struct space *space, uint64_t count, bool exactly);
/* A step ahead of need, for a wish that was taken when wishes->cuts was `cuts`. 0 also where there is
 * enough, and where the columns were cut since: what compaction has given back would come back by
 * itself. -ENOSPC, -errno. One of the store's threads, no lock held; waits for the disk. */
int space_grow_ahead(struct space *space, uint64_t cuts);
/* True when the headroom is below what growing ahead should keep. Any thread. */
bool space_is_low(struct space *space);
/* Slots that growing ahead keeps free. */
uint64_t space_headroom(const struct space *space);
/* Cut the files behind the last used slot, keeping `keep` free ones; 0 also where a hold
 * forbids it (then noted in cut_wanted). Freed bytes are added to *freed. Checkpoint lock. */
int space_cut(struct space *space, uint64_t keep, uint64_t *freed);
/* A reader is in a slot at the tail: cut once it has left. */
void space_cut_later(struct space *space);
/* Whether a cut was put off that nothing forbids any more; with `begin` it is not put off now. */
bool space_cut_is_due(struct space *space, bool begin);
/* Keep the columns from being cut, until as many releases. Any thread. */
void space_hold(struct space *space);
void space_release(struct space *space);
/* Give free runs back to the filesystem, but for the first `keep` free slots. Freed bytes are
 * added to *freed. Checkpoint lock. */
int space_punch(struct space *space, uint64_t keep, uint64_t *freed);

#endif
