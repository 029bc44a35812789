/*
 * slot_refs.h - the slots that the log names instead of carrying their vectors, and whether they
 * hold them; FORMAT.md, PUTSLOT. Also those whose vectors it carries: what is there need not be
 * written. Used while opening, and by the check of a store that nobody has
 * open.
 */
#ifndef QUIVER_SLOT_REFS_H
#define QUIVER_SLOT_REFS_H

#include "engine/disk/columns.h"
#include "engine/media/wal_record.h"

struct slot_ref {
	uint64_t slot;
	uint64_t id;
	uint64_t lsn;
	uint64_t sum;
	int state; /* after slot_refs_check: 0 it holds what the sum says, -EBADMSG it does not, or
	              the -errno of reading it */
	bool carried; /* the log has its vector, too */
};

struct slot_ref_list {
	struct slot_ref *items; /* malloc'd, the owner of the list frees */
	size_t count, capacity;
};

/* Add the slot of a record. 0 or -ENOMEM. */
int slot_refs_add(struct slot_ref_list *list, const struct wal_record *record);

/* Compare all with what is on the disk, in the order of the slots, which the list has then. Where
 * most of what the log carries is not there, no more of it is looked for. Of the others what the
 * kernel's cache alone has, after a write that failed, or where there is no way past the
 * cache, holds, too: with `rewrite` it is written anew to pages that are read anew. What holds
 * becomes durable by a sync of the vectors. 0, -ENOMEM, -errno of opening or of writing. */
int slot_refs_check(struct slot_ref_list *list, const struct columns *columns, bool rewrite);

/* Keep only those that hold something else or cannot be read, in the order of their LSNs: those that
 * the log carries in `carried`, which the caller frees, too. 0 or -ENOMEM. */
int slot_refs_split(struct slot_ref_list *list, struct slot_ref_list *carried);

#endif
