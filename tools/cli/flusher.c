#include "tools/cli/flusher.h"

/* Enough for the disk to work at full speed, little to be waited for at the end. */
#define FLUSH_BYTES (UINT64_C(32) << 20)

static void *run(void *arg)
{
	struct flusher *flusher = arg;

	pthread_mutex_lock(&flusher->lock);
	while (!flusher->stop) {
		if (flusher->bytes < FLUSH_BYTES) {
			pthread_cond_wait(&flusher->wake, &flusher->lock);
			continue;
		}
		flusher->bytes = 0;
		pthread_mutex_unlock(&flusher->lock);
		(void)flusher->flush(flusher->arg); /* see flusher.h */
		pthread_mutex_lock(&flusher->lock);
	}
	pthread_mutex_unlock(&flusher->lock);
	return NULL;
}

void flusher_start(struct flusher *flusher, int (*flush)(void *arg), void *arg)
{
	*flusher = (struct flusher){ .flush = flush, .arg = arg };
	pthread_mutex_init(&flusher->lock, NULL);
	pthread_cond_init(&flusher->wake, NULL);
	flusher->running = pthread_create(&flusher->thread, NULL, run, flusher) == 0;
}

void flusher_add(struct flusher *flusher, uint64_t bytes)
{
	pthread_mutex_lock(&flusher->lock);
	flusher->bytes += bytes;
	if (flusher->bytes >= FLUSH_BYTES)
		pthread_cond_signal(&flusher->wake);
	pthread_mutex_unlock(&flusher->lock);
}

void flusher_stop(struct flusher *flusher)
{
	pthread_mutex_lock(&flusher->lock);
	flusher->stop = true;
	pthread_cond_signal(&flusher->wake);
	pthread_mutex_unlock(&flusher->lock);
	if (flusher->running)
		(void)pthread_join(flusher->thread, NULL); /* cannot fail: joined once */
	pthread_cond_destroy(&flusher->wake);
	pthread_mutex_destroy(&flusher->lock);
}
