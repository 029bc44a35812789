/*
 * scratch_become.h - a scratch file becomes a vector.
 */
#ifndef SCRATCH_BECOME_H
#define SCRATCH_BECOME_H

#include "fs/scratch/scratch.h"
#include "fs/scratch/scratch_table.h"

/*
 * A file becomes a vector: first its bytes are had, and stay as they are; who would change them, or
 * its attributes, waits. Then it either goes on as before, or loses its name and, if somebody has it
 * open, gets an heir, an open file of another kind: what comes by those descriptors is the heir's.
 */
struct scratch_bytes {
	const unsigned char *data; /* NULL where there are none */
	uint32_t size;
	struct quiver_attr attr;
	uint64_t ino;
};
/* -ENOENT; -ENODATA it does not hold `wanted` bytes, unless that is 0 (bytes->size tells how
 * many). */
int scratch_begin(struct fs *fs, struct scratch_place place, uint32_t wanted,
                  struct scratch_bytes *bytes);
void scratch_stay(struct fs *fs, uint64_t ino);
typedef struct scratch_heir scratch_open_fn(struct fs *fs, const void *arg);
/* `open` makes the heir, or fails: then all that comes by the descriptors does. The one returned is
 * for scratch_close_heir: the last descriptor was closed meanwhile. */
struct scratch_heir scratch_become(struct fs *fs, uint64_t ino, scratch_open_fn *open,
                                   const void *arg);
/* Close an heir that nobody has open, if it is one. Waits for a change of what it is (change.h), so
 * never between change_begin and change_end, nor with a lock held. */
void scratch_close_heir(struct fs *fs, struct scratch_heir heir);

/* The file of a node once it is not leaving; the caller holds the lock. -ESTALE; -EAGAIN where that
 * would wait and must not. */
int scratch_settled(struct fs *fs, uint64_t ino, bool may_wait, struct scratch_file **file);

#endif
