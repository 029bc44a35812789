/*
 * region_notes.h - the bytes of the file `regions`: where rows may have been stored since a
 * checkpoint; FORMAT.md.
 */
#ifndef QUIVER_REGION_NOTES_H
#define QUIVER_REGION_NOTES_H

#include <stdint.h>

#include "engine/base/sizes.h"
#include "engine/quiver.h"

/* Neighbouring slots that are noted together. A store on disk has one size of them; the stores of the
 * simulated disk are small, and nobody else reads them. */
#ifdef QUIVER_SMALL_SIZES
#define REGION_SLOTS UINT64_C(16)
#else
#define REGION_SLOTS UINT64_C(16384)
#endif

#define REGIONS_SECTOR_BYTES 512u /* what a disk writes at once */
#define REGIONS_SECTOR_BITS 3968u
#define REGIONS_BITS_BYTES (REGIONS_SECTOR_BITS / 8)
/* Of an area: so many note regions, the rest fills a page. */
#define REGIONS_SECTORS 67u
#define REGIONS_AREA_SECTORS 72u
/* Of the first area: by whoever opened the store last; no regions. */
#define REGIONS_LIFE_SECTOR REGIONS_SECTORS
#define REGIONS_AREAS 2u
#define REGIONS_FILE_BYTES (REGIONS_AREAS * REGIONS_AREA_SECTORS * REGIONS_SECTOR_BYTES)
/* All that a file can note. */
#define REGIONS_MAX ((uint64_t)REGIONS_SECTORS * REGIONS_SECTOR_BITS)

/* `number`: of the sector in the file. `bits`: of its regions, bit i % 8 of byte i / 8. Any thread, as
 * the next. */
void region_sector_encode(uint8_t sector[REGIONS_SECTOR_BYTES], uint64_t generation,
                          const uint8_t bits[REGIONS_BITS_BYTES], const uint8_t uuid[16],
                          uint64_t number);
/* 0, or -EBADMSG: it is not what was written there. */
int region_sector_decode(const uint8_t sector[REGIONS_SECTOR_BYTES], const uint8_t uuid[16],
                         uint64_t number, uint64_t *generation, uint8_t bits[REGIONS_BITS_BYTES]);

#endif
