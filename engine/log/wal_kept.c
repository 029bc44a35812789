#include "engine/log/wal_kept.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/sizes.h"
#include "engine/disk/io_direct.h"

#define PART_BYTES (UINT64_C(2) << 20) /* a huge page, where there are any */
#define PART_RECORDS (PART_BYTES / sizeof(struct wal_kept_record))

struct wal_kept_part {
	struct wal_kept_record records[PART_RECORDS];
};

static int make_part(struct wal_kept *kept)
{
	if (kept->part_count == kept->part_capacity) {
		size_t want = kept->part_capacity ? kept->part_capacity * 2 : 8;
		struct wal_kept_part **grown = realloc(kept->parts, want * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		kept->parts = grown;
		kept->part_capacity = want;
	}
	kept->parts[kept->part_count] = (struct wal_kept_part *)io_direct_alloc(PART_BYTES);
	if (!kept->parts[kept->part_count])
		return -ENOMEM;
	kept->part_count++;
	return 0;
}

bool wal_kept_add(struct wal_kept *kept, const struct wal_record *record, uint64_t offset)
{
	const size_t at = kept->count % PART_RECORDS;

	if (kept->count >= WAL_KEPT_RECORDS_MAX)
		return false;
	if (kept->count == kept->part_count * PART_RECORDS && make_part(kept) != 0)
		return false;
	kept->parts[kept->count++ / PART_RECORDS]->records[at] =
		(struct wal_kept_record){ .lsn = record->lsn,
		                          .id = record->id,
		                          .slot = record->slot,
		                          .old_slot = record->old_slot,
		                          .aux = record->aux,
		                          .src_slot = record->src_slot,
		                          .attr = record->attr,
		                          .sum = record->sum,
		                          .segment = (uint32_t)kept->segment_count,
		                          .offset = (uint32_t)offset,
		                          .payload_bytes = record->payload_bytes,
		                          .type = (uint8_t)record->type,
		                          .ahead = record->ahead };
	return true;
}

const struct wal_kept_record *wal_kept_at(const struct wal_kept *kept, size_t i)
{
	return &kept->parts[i / PART_RECORDS]->records[i % PART_RECORDS];
}

struct wal_record wal_kept_restore(const struct wal_kept_record *kept)
{
	return (struct wal_record){ .type = kept->type,
		                    .ahead = kept->ahead,
		                    .lsn = kept->lsn,
		                    .id = kept->id,
		                    .slot = kept->slot,
		                    .old_slot = kept->old_slot,
		                    .aux = kept->aux,
		                    .src_slot = kept->src_slot,
		                    .attr = kept->attr,
		                    .payload_bytes = kept->payload_bytes,
		                    .sum = kept->sum };
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
