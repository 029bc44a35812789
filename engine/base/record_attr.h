/*
 * record_attr.h - the attributes of one record of a batch: its own, else those of the call.
 */
#ifndef QUIVER_RECORD_ATTR_H
#define QUIVER_RECORD_ATTR_H

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

#endif
