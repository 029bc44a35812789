/*
 * change.h - what changes vectors: slots are taken, bytes written to them, and the commit handed
 * to the group. Contracts and errors are those of the calls of quiver.h with the same names.
 * Any thread, no lock held.
 */
#ifndef QUIVER_CHANGE_H
#define QUIVER_CHANGE_H

#include "engine/commit/checkpoint.h"

/* Vectors of so many bytes that one batch may have. */
static inline size_t change_batch_max(uint64_t vector_bytes)
{
	uint64_t most = QUIVER_BATCH_BYTES_MAX / vector_bytes;

	return most < QUIVER_BATCH_VECTORS_MAX ? most : QUIVER_BATCH_VECTORS_MAX;
}

int change_put(struct checkpointer *checkpointer, uint64_t id, const void *data,
               const struct quiver_attr *attr, unsigned attr_mask, unsigned flags, uint64_t *lsn);
int change_put_batch(struct checkpointer *checkpointer, const struct quiver_record *records,
                     size_t count, const struct quiver_attr *attr, unsigned attr_mask,
                     unsigned flags, uint64_t *lsn);
int change_remove(struct checkpointer *checkpointer, uint64_t id, unsigned flags, uint64_t *lsn);
int change_rename(struct checkpointer *checkpointer, uint64_t from, uint64_t to, unsigned flags,
                  uint64_t *lsn);
int change_set_attr(struct checkpointer *checkpointer, uint64_t id, const struct quiver_attr *attr,
                    unsigned mask, unsigned flags);
int change_set_dir_attr(struct checkpointer *checkpointer, const struct quiver_attr *attr,
                        unsigned mask, unsigned flags);

/* Move `count` vectors, each by a commit of its own: of the ops (commit_queue.h) the caller sets type,
 * ID, the slot, which is taken, and src_slot, where it should be now. They are used up; `buffer` holds
 * N bytes for each. One that is elsewhere by now, gone, or damaged (reported) is left out, and its
 * slot given back. *moved: how many were moved. 0; -EIO, a row is damaged; as a put. */
int change_move(struct checkpointer *checkpointer, struct commit_op *ops, size_t count,
                void *buffer, size_t *moved);

#endif
