/*
 * wishes.h - what the store's own threads are asked to do soon. Whoever commits or takes slots
 * wishes and goes on; the threads (store/background.h) nap until a wish comes.
 */
#ifndef QUIVER_WISHES_H
#define QUIVER_WISHES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Who does it: the housekeeper what must not wait long, the checkpointer what may take seconds,
 * the prefetcher what is needed in a millisecond. */
enum wish_thread { HOUSEKEEPER, CHECKPOINTER, PREFETCHER, WISH_THREADS };

struct wishes {
	bool open; /* somebody is there to hear; set before and after there are other threads */
	pthread_mutex_t lock; /* below all other locks */
	pthread_cond_t wake[WISH_THREADS];
	bool stop; /* lock; the threads are to end */
	bool growth; /* lock */
	uint64_t cuts; /* lock; how often the columns were cut */
	bool segment; /* lock */
	bool checkpoint; /* lock */
	bool prefetch; /* lock */
};

/* 0 or -errno. */
int wishes_init(struct wishes *wishes);
/* After wishes_init, also a failed one. */
void wishes_destroy(struct wishes *wishes);

/* Longer columns; another log segment; a checkpoint; pages of the slots that come next. Any
 * thread, with any lock but the wishes' own. */
void wish_growth(struct wishes *wishes);
void wish_segment(struct wishes *wishes);
void wish_checkpoint(struct wishes *wishes);
void wish_prefetch(struct wishes *wishes);

/* The columns were cut: who wished for growth before has taken slots of the longer ones, and nobody waits
 * for it. Any thread, with any lock but the wishes' own. */
void wishes_end_growth(struct wishes *wishes);
/* True unless that was since `cuts` were counted. The same. */
bool wishes_growth_is_open(struct wishes *wishes, uint64_t cuts);

/* Wait for a wish, at most `most_ns`. One of the threads; lock held. */
void wishes_nap(struct wishes *wishes, enum wish_thread who, uint64_t most_ns);
/* Have all threads end. Any thread. */
void wishes_stop(struct wishes *wishes);

#endif
