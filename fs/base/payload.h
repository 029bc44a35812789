/*
 * payload.h - room for what came with a large request, kept mapped from one to the next: to be given
 * such pages by the system and to give them back costs more than the bytes do.
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include <stddef.h>

struct payloads;

/* Room for one request. */
struct payload {
	struct payload *next; /* payloads' lock; of those that nobody has */
	char *bytes; /* `room_bytes` of them, at a page */
};

/* -ENOMEM. */
int payloads_new(size_t room_bytes, struct payloads **payloads);
/* All have been given back. */
void payloads_free(struct payloads *payloads);

/* One that the caller has until payload_give. NULL without memory. Any thread. */
struct payload *payload_take(struct payloads *payloads);
void payload_give(struct payloads *payloads, struct payload *payload);

#endif
