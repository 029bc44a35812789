#include "engine/commit/wishes.h"

#include "engine/base/latency.h"

static int init_cond(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int e = pthread_condattr_init(&attr);

	if (e == 0)
		e = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (e == 0)
		e = pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
	return -e;
}

int wishes_init(struct wishes *wishes)
{
	int r = -pthread_mutex_init(&wishes->lock, NULL);

	for (size_t i = 0; r == 0 && i < WISH_THREADS; i++)
		r = init_cond(&wishes->wake[i]);
	return r;
}

void wishes_destroy(struct wishes *wishes)
{
	for (size_t i = 0; i < WISH_THREADS; i++)
		pthread_cond_destroy(&wishes->wake[i]);
	pthread_mutex_destroy(&wishes->lock);
}

static void wish(struct wishes *wishes, bool *what, enum wish_thread who)
{
	if (!wishes->open)
		return;
	pthread_mutex_lock(&wishes->lock);
	if (!*what) {
		*what = true;
		pthread_cond_signal(&wishes->wake[who]);
	}
	pthread_mutex_unlock(&wishes->lock);
}

void wish_growth(struct wishes *wishes)
{
	wish(wishes, &wishes->growth, HOUSEKEEPER);
}

void wishes_end_growth(struct wishes *wishes)
{
	if (!wishes->open)
		return;
	pthread_mutex_lock(&wishes->lock);
	wishes->growth = false;
	wishes->cuts++;
	pthread_mutex_unlock(&wishes->lock);
}

bool wishes_growth_is_open(struct wishes *wishes, uint64_t cuts)
{
	bool is_open;

	pthread_mutex_lock(&wishes->lock);
	is_open = wishes->cuts == cuts;
	pthread_mutex_unlock(&wishes->lock);
	return is_open;
}

void wish_segment(struct wishes *wishes)
{
	wish(wishes, &wishes->segment, HOUSEKEEPER);
}

void wish_checkpoint(struct wishes *wishes)
{
	wish(wishes, &wishes->checkpoint, CHECKPOINTER);
}

void wish_prefetch(struct wishes *wishes)
{
	wish(wishes, &wishes->prefetch, PREFETCHER);
}

void wishes_nap(struct wishes *wishes, enum wish_thread who, uint64_t most_ns)
{
	struct timespec until = clock_timespec(clock_monotonic_ns() + most_ns);

	(void)pthread_cond_timedwait(&wishes->wake[who], &wishes->lock, &until);
}

void wishes_stop(struct wishes *wishes)
{
	pthread_mutex_lock(&wishes->lock);
	wishes->stop = true;
	for (size_t i = 0; i < WISH_THREADS; i++)
		pthread_cond_signal(&wishes->wake[i]);
	pthread_mutex_unlock(&wishes->lock);
}
