/* payload.c - room for what came with a large request. */
#include "fs/base/payload.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Kept for who comes next; what a burst needed above that goes back to the system. */
#define KEPT_BYTES_MAX (4u << 20)

struct payloads {
	size_t room_bytes; /* constant */
	pthread_mutex_t lock;
	struct payload *first; /* lock; the one that was given back last is in some core's cache */
	size_t kept_bytes; /* lock */
};

int payloads_new(size_t room_bytes, struct payloads **payloads)
{
	struct payloads *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->room_bytes = room_bytes;
	(void)pthread_mutex_init(&p->lock, NULL); /* cannot fail with default attributes */
	*payloads = p;
	return 0;
}

static void release(struct payload *payload)
{
	free(payload->bytes);
	free(payload);
}

void payloads_free(struct payloads *payloads)
{
	struct payload *next;

	if (payloads == NULL)
		return;
	for (struct payload *p = payloads->first; p != NULL; p = next) {
		next = p->next;
		release(p);
	}
	pthread_mutex_destroy(&payloads->lock);
	free(payloads);
}

static struct payload *make(size_t room_bytes)
{
	struct payload *payload = malloc(sizeof(*payload));
	void *bytes = NULL;

	if (payload != NULL &&
	    posix_memalign(&bytes, (size_t)sysconf(_SC_PAGESIZE), room_bytes) == 0) {
		payload->bytes = bytes;
		return payload;
	}
	free(payload);
	return NULL;
}

struct payload *payload_take(struct payloads *payloads)
{
	struct payload *payload;

	pthread_mutex_lock(&payloads->lock);
	payload = payloads->first;
	if (payload != NULL) {
		payloads->first = payload->next;
		payloads->kept_bytes -= payloads->room_bytes;
	}
	pthread_mutex_unlock(&payloads->lock);
	return payload != NULL ? payload : make(payloads->room_bytes);
}

void payload_give(struct payloads *payloads, struct payload *payload)
{
	bool kept;

	pthread_mutex_lock(&payloads->lock);
	kept = payloads->kept_bytes + payloads->room_bytes <= KEPT_BYTES_MAX;
	if (kept) {
		payload->next = payloads->first;
		payloads->first = payload;
		payloads->kept_bytes += payloads->room_bytes;
	}
	pthread_mutex_unlock(&payloads->lock);
	if (!kept)
		release(payload);
}
