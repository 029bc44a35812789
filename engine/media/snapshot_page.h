/*
 * snapshot_page.h - the file of a snapshot as bytes; FORMAT.md, Snapshots.
 */
#ifndef QUIVER_SNAPSHOT_PAGE_H
#define QUIVER_SNAPSHOT_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/quiver.h"

#define SNAPSHOT_COPY_BYTES 4096u
#define SNAPSHOT_FILE_BYTES (2 * SNAPSHOT_COPY_BYTES)

struct snapshot_page {
	uint8_t store_uuid[16];
	uint8_t uuid[16];
	uint64_t lsn;
	uint64_t count;
	uint64_t slots_used;
	int64_t created_ns;
	struct quiver_attr dir;
	struct quiver_description description;
	bool incomplete; /* a repair has removed damaged vectors from it */
};

/* Both copies, as they stand in the file. Any thread, as the next. */
void snapshot_page_encode(const struct snapshot_page *page, uint8_t file[SNAPSHOT_FILE_BYTES]);
/* From the file, of which one whole copy will do. 0, -ENOTSUP a newer version, -EUCLEAN damage, also
 * where it is of another store. *copies_bad: how many copies are not whole. */
int snapshot_page_decode(const uint8_t file[SNAPSHOT_FILE_BYTES], const uint8_t store_uuid[16],
                         struct snapshot_page *page, unsigned *copies_bad);

#endif
