/*
 * record_attr.h - which attributes a vector gets: those of its record in a batch, else those of the
 * call, else those of the vector that it replaces.
 */
#ifndef QUIVER_RECORD_ATTR_H
#define QUIVER_RECORD_ATTR_H

#include <sys/stat.h>

#include "engine/quiver.h"

/* What its put means by `attr` and *mask of the call; *mask becomes the record's. */
static inline struct quiver_attr record_attr(const struct quiver_record *record,
                                             const struct quiver_attr *attr, unsigned *mask)
{
	struct quiver_attr own = *attr;

	if (!record->attr)
		return own;
	if (record->attr_mask & QUIVER_ATTR_MTIME)
		own.mtime_ns = record->attr->mtime_ns;
	if (record->attr_mask & QUIVER_ATTR_MODE)
		own.mode = record->attr->mode;
	if (record->attr_mask & QUIVER_ATTR_UID)
		own.uid = record->attr->uid;
	if (record->attr_mask & QUIVER_ATTR_GID)
		own.gid = record->attr->gid;
	*mask |= record->attr_mask;
	return own;
}

/* What a call does not mean by `mask` is as it was in `from`. */
static inline void record_attr_inherit(struct quiver_attr *attr, unsigned mask,
                                       const struct quiver_attr *from)
{
	if (!(mask & QUIVER_ATTR_MTIME))
		attr->mtime_ns = from->mtime_ns;
	if (!(mask & QUIVER_ATTR_MODE))
		attr->mode = from->mode;
	if (!(mask & QUIVER_ATTR_MODE) && (mask & QUIVER_ATTR_DROP_SETID))
		attr->mode &= (uint16_t) ~(S_ISUID | S_ISGID);
	if (!(mask & QUIVER_ATTR_UID))
		attr->uid = from->uid;
	if (!(mask & QUIVER_ATTR_GID))
		attr->gid = from->gid;
}

#endif
