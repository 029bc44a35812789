/*
 * uuid.h - new names for stores and snapshots.
 */
#ifndef QUIVER_UUID_H
#define QUIVER_UUID_H

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

/* A random UUID, version 4 (RFC 9562), to the caller's 16 bytes. Any thread. 0, or -EIO the system
 * gives no random bytes. */
static inline int uuid_random(uint8_t uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		return -EIO;
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	return 0;
}

#endif
