/*
 * index_old.h - the file `index` as programs before wrote it at a clean close: version 2; FORMAT.md.
 */
#ifndef QUIVER_INDEX_OLD_H
#define QUIVER_INDEX_OLD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/io.h"
#include "engine/index/index_source.h"

struct index_old {
	uint32_t *entries; /* owned; 0, or a slot and two */
	uint64_t size; /* entries */
	uint64_t *live; /* owned; index_live_bytes of the slots in use */
};

/* Read all of it. Of the stamp uuid, LSN, slots in use and count have to fit. 0; -ENOENT, -ESTALE,
 * -EBADMSG as index_source_open; -ENOMEM; -errno of the reads. *old is to be freed then. */
int index_old_read(const struct quiver_io *io, int dir_fd, const struct index_stamp *stamp,
                   struct index_old *old);
void index_old_free(struct index_old *old);
/* Whether it says that `id` is in `slot`. */
bool index_old_names(const struct index_old *old, uint64_t id, uint64_t slot);

#endif
