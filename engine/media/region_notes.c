#include "engine/media/region_notes.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/media/bytes.h"
#include <xxhash.h>

/* Where each field of a sector lies; FORMAT.md. */
enum { AT_GENERATION = 0, AT_BITS = 8, AT_SUM = 504 };

static_assert(AT_BITS + REGIONS_BITS_BYTES == AT_SUM && AT_SUM + 8 == REGIONS_SECTOR_BYTES,
              "a sector");
#ifndef QUIVER_SMALL_SIZES
static_assert(REGIONS_MAX * REGION_SLOTS > UINT32_MAX, "each slot has a region that can be noted");
#endif

static uint64_t sector_sum(const uint8_t *sector, const uint8_t uuid[16], uint64_t number)
{
	uint8_t bytes[AT_SUM + 16 + 8];

	memcpy(bytes, sector, AT_SUM);
	memcpy(bytes + AT_SUM, uuid, 16);
	put_le64(bytes + AT_SUM + 16, number);
	return XXH3_64bits(bytes, sizeof(bytes));
}

void region_sector_encode(uint8_t sector[REGIONS_SECTOR_BYTES], uint64_t generation,
                          const uint8_t bits[REGIONS_BITS_BYTES], const uint8_t uuid[16],
                          uint64_t number)
{
	put_le64(sector + AT_GENERATION, generation);
	memcpy(sector + AT_BITS, bits, REGIONS_BITS_BYTES);
	put_le64(sector + AT_SUM, sector_sum(sector, uuid, number));
}

int region_sector_decode(const uint8_t sector[REGIONS_SECTOR_BYTES], const uint8_t uuid[16],
                         uint64_t number, uint64_t *generation, uint8_t bits[REGIONS_BITS_BYTES])
{
	if (get_le64(sector + AT_SUM) != sector_sum(sector, uuid, number))
		return -EBADMSG;
	*generation = get_le64(sector + AT_GENERATION);
	memcpy(bits, sector + AT_BITS, REGIONS_BITS_BYTES);
	return 0;
}
