#include "engine/log/wal_kept.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/sizes.h"
#include "engine/disk/io_direct.h"

/* What is left out of a record, as it follows from the one before. */
enum {
	NEXT_LSN = 1, /* one more */
	NEXT_ID = 2,
	NEXT_SLOT = 4,
	SAME_OTHERS = 8, /* the other slots, and aux */
	SAME_OWNER = 16, /* with the mode */
	SAME_MTIME = 32,
	SAME_CTIME = 64,
	SAME_KIND = 128, /* type, flag and length of the payload */
	NEXT_PLACE = 256, /* directly behind it */
	NEXT_PART = 512, /* no record: the next one is in the next part */
};

#define RECORD_BYTES_MAX 128u /* all fields and more */

struct wal_kept_part {
	uint8_t bytes[WAL_KEPT_PART_BYTES];
};

static_assert(WAL_KEPT_PART_BYTES >= 2 * RECORD_BYTES_MAX, "a part holds records");

/* Where a record without anything unusual ends. */
static uint64_t end_of(const struct wal_kept_record *kept)
{
	return kept->offset + WAL_RECORD_HEADER_BYTES +
	       ((uint64_t)kept->record.payload_bytes + 7) / 8 * 8;
}

static uint16_t what_follows(const struct wal_kept_record *before,
                             const struct wal_kept_record *now)
{
	const struct wal_record *a = &before->record;
	const struct wal_record *b = &now->record;
	unsigned follows = 0;

	follows |= b->lsn == a->lsn + 1 ? NEXT_LSN : 0;
	follows |= b->id == a->id + 1 ? NEXT_ID : 0;
	follows |= b->slot == a->slot + 1 ? NEXT_SLOT : 0;
	follows |= b->old_slot == a->old_slot && b->aux == a->aux && b->src_slot == a->src_slot
	                   ? SAME_OTHERS
	                   : 0;
	follows |= b->attr.uid == a->attr.uid && b->attr.gid == a->attr.gid &&
	                           b->attr.mode == a->attr.mode
	                   ? SAME_OWNER
	                   : 0;
	follows |= b->attr.mtime_ns == a->attr.mtime_ns ? SAME_MTIME : 0;
	follows |= b->attr.ctime_ns == a->attr.ctime_ns ? SAME_CTIME : 0;
	follows |= b->type == a->type && b->ahead == a->ahead &&
	                           b->payload_bytes == a->payload_bytes
	                   ? SAME_KIND
	                   : 0;
	follows |= now->segment == before->segment && now->offset == end_of(before) ? NEXT_PLACE
	                                                                            : 0;
	return (uint16_t)follows;
}

/* Copy a field to memory, or from it; and go on behind it. */
static inline void copy(uint8_t **at, bool reads, void *value, size_t length)
{
	if (reads)
		memcpy(value, *at, length);
	else
		memcpy(*at, value, length);
	*at += length;
}

#define COPY(value) copy(at, reads, &(value), sizeof(value))

/* All fields of a record that do not follow from the one before. */
static inline void copy_all(uint8_t **at, bool reads, unsigned follows,
                            struct wal_kept_record *kept)
{
	struct wal_record *record = &kept->record;

	COPY(record->sum);
	if (!(follows & NEXT_LSN))
		COPY(record->lsn);
	if (!(follows & NEXT_ID))
		COPY(record->id);
	if (!(follows & NEXT_SLOT))
		COPY(record->slot);
	if (!(follows & SAME_OTHERS)) {
		COPY(record->old_slot);
		COPY(record->aux);
		COPY(record->src_slot);
	}
	if (!(follows & SAME_OWNER)) {
		COPY(record->attr.uid);
		COPY(record->attr.gid);
		COPY(record->attr.mode);
	}
	if (!(follows & SAME_MTIME))
		COPY(record->attr.mtime_ns);
	if (!(follows & SAME_CTIME))
		COPY(record->attr.ctime_ns);
	if (!(follows & SAME_KIND)) {
		COPY(record->type);
		COPY(record->ahead);
		COPY(record->payload_bytes);
	}
	if (!(follows & NEXT_PLACE)) {
		COPY(kept->segment);
		COPY(kept->offset);
	}
}

static bool begin_part(struct wal_kept *kept)
{
	struct wal_kept_part *part;

	if (kept->part_count == WAL_KEPT_PARTS_MAX)
		return false;
	if (!kept->parts)
		kept->parts = calloc(WAL_KEPT_PARTS_MAX, sizeof(struct wal_kept_part *));
	part = kept->parts ? (struct wal_kept_part *)io_direct_alloc(WAL_KEPT_PART_BYTES) : NULL;
	if (!part)
		return false;
	kept->parts[kept->part_count++] = part;
	return true;
}

static void put_follows(uint8_t **at, uint16_t follows)
{
	copy(at, false, &follows, sizeof(follows));
}

/* Room for a record at the end. */
static bool make_room(struct wal_kept *kept)
{
	struct wal_kept_at *end = &kept->end;

	if (kept->part_count > 0 && end->byte + RECORD_BYTES_MAX <= WAL_KEPT_PART_BYTES)
		return true;
	if (!begin_part(kept))
		return false;
	if (kept->part_count > 1) {
		uint8_t *at = kept->parts[end->part++]->bytes + end->byte;

		put_follows(&at, NEXT_PART);
	}
	end->byte = 0;
	return true;
}

bool wal_kept_add(struct wal_kept *kept, const struct wal_record *record, uint64_t offset)
{
	struct wal_kept_at *end = &kept->end;
	struct wal_kept_record now = { .record = *record,
		                       .segment = kept->segment_count,
		                       .offset = offset };
	uint16_t follows;
	uint8_t *begin;
	uint8_t *at;

	if (!make_room(kept))
		return false;
	follows = what_follows(&end->before, &now);
	begin = at = kept->parts[end->part]->bytes + end->byte;
	put_follows(&at, follows);
	copy_all(&at, false, follows, &now);
	end->byte += (size_t)(at - begin);
	end->count++;
	end->before = now;
	return true;
}

bool wal_kept_next(const struct wal_kept *kept, struct wal_kept_at *at)
{
	struct wal_kept_record now = { .record.salt = 0 };
	const struct wal_kept_record *before = &at->before;
	uint16_t follows;
	uint8_t *begin;
	uint8_t *p;

	if (at->count == kept->end.count)
		return false;
	begin = p = kept->parts[at->part]->bytes + at->byte;
	copy(&p, true, &follows, sizeof(follows));
	if (follows & NEXT_PART) {
		begin = p = kept->parts[++at->part]->bytes;
		at->byte = 0;
		copy(&p, true, &follows, sizeof(follows));
	}
	now.record.lsn = before->record.lsn + 1;
	now.record.id = before->record.id + 1;
	now.record.slot = before->record.slot + 1;
	now.record.old_slot = before->record.old_slot;
	now.record.aux = before->record.aux;
	now.record.src_slot = before->record.src_slot;
	now.record.attr = before->record.attr;
	now.record.type = before->record.type;
	now.record.ahead = before->record.ahead;
	now.record.payload_bytes = before->record.payload_bytes;
	now.segment = before->segment;
	now.offset = end_of(before);
	copy_all(&p, true, follows, &now);
	at->byte += (size_t)(p - begin);
	at->count++;
	at->before = now;
	return true;
}

int wal_kept_add_segment(struct wal_kept *kept, const struct wal_kept_segment *segment)
{
	if (kept->segment_count == kept->segment_capacity) {
		size_t want = kept->segment_capacity ? kept->segment_capacity * 2 : 16;
		struct wal_kept_segment *grown = realloc(kept->segments, want * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		kept->segments = grown;
		kept->segment_capacity = want;
	}
	kept->segments[kept->segment_count++] = *segment;
	return 0;
}

void wal_kept_clear(struct wal_kept *kept)
{
	for (size_t i = 0; i < kept->part_count; i++)
		free(kept->parts[i]);
	free(kept->parts);
	free(kept->segments);
	*kept = (struct wal_kept){ 0 };
}
