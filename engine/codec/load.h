/*
 * load.h - little-endian integers out of bytes that need not be aligned. Any thread.
 */
#ifndef QUIVER_LOAD_H
#define QUIVER_LOAD_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load16(const void *at)
{
	uint16_t bits;

	memcpy(&bits, at, sizeof(bits));
	return le16toh(bits);
}

static inline uint32_t load32(const void *at)
{
	uint32_t bits;

	memcpy(&bits, at, sizeof(bits));
	return le32toh(bits);
}

static inline uint64_t load64(const void *at)
{
	uint64_t bits;

	memcpy(&bits, at, sizeof(bits));
	return le64toh(bits);
}

#endif
