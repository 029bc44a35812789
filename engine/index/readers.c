#include "engine/index/readers.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

_Thread_local uint32_t reader_number = READER_NEW;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* once; its value is not NULL in threads that have a number */
static bool have_key; /* once */
static pthread_mutex_t numbers_lock = PTHREAD_MUTEX_INITIALIZER;
static bool taken[READERS_MAX]; /* lock */

/* The thread ends. Pins that it has set may outlive it: who has its number next goes round
 * them. */
static void give_back(void *value)
{
	uint32_t number = reader_number;

	(void)value;
	reader_number = READERS_MAX; /* what runs after this may still read */
	pthread_mutex_lock(&numbers_lock);
	taken[number] = false;
	pthread_mutex_unlock(&numbers_lock);
}

static void make_key(void)
{
	have_key = pthread_key_create(&key, give_back) == 0;
}

uint32_t reader_number_take(void)
{
	uint32_t number = 0;

	reader_number = READERS_MAX;
	if (pthread_once(&once, make_key) != 0 || !have_key)
		return READERS_MAX;
	pthread_mutex_lock(&numbers_lock);
	while (number < READERS_MAX && taken[number])
		number++;
	if (number < READERS_MAX && pthread_setspecific(key, taken) == 0) {
		taken[number] = true;
		reader_number = number;
	}
	pthread_mutex_unlock(&numbers_lock);
	return reader_number;
}

int readers_init(struct readers *readers)
{
	size_t bytes = READERS_MAX * sizeof(struct reader);

	atomic_init(&readers->gets, 0);
	atomic_init(&readers->misses, 0);
	readers->own = aligned_alloc(_Alignof(struct reader), bytes);
	if (!readers->own)
		return -ENOMEM;
	memset(readers->own, 0, bytes);
	return 0;
}

void readers_destroy(struct readers *readers)
{
	free(readers->own);
	readers->own = NULL;
}

uint64_t readers_gets(const struct readers *readers)
{
	uint64_t sum = atomic_load_explicit(&readers->gets, memory_order_relaxed);

	for (uint32_t i = 0; i < READERS_MAX; i++)
		sum += atomic_load_explicit(&readers->own[i].gets, memory_order_relaxed);
	return sum;
}

uint64_t readers_misses(const struct readers *readers)
{
	uint64_t sum = atomic_load_explicit(&readers->misses, memory_order_relaxed);

	for (uint32_t i = 0; i < READERS_MAX; i++)
		sum += atomic_load_explicit(&readers->own[i].misses, memory_order_relaxed);
	return sum;
}

static int by_slot(const void *a, const void *b)
{
	const uint32_t *x = a;
	const uint32_t *y = b;

	return (*x > *y) - (*x < *y);
}

size_t readers_pinned(const struct readers *readers, uint32_t *slots)
{
	size_t n = 0;

	for (uint32_t i = 0; i < READERS_MAX; i++)
		for (uint32_t k = 0; k < READER_PINS; k++) {
			uint32_t pin = atomic_load_explicit(&readers->own[i].pins[k],
			                                    memory_order_acquire);

			if (pin)
				slots[n++] = pin - 1;
		}
	qsort(slots, n, sizeof(*slots), by_slot);
	return n;
}
