/* What replaying the log would make of the base, for who may not write: the check. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/recovery/recover.h"

struct foresight {
	struct recovery *recovery;
	uint64_t *named; /* a bit for each row: an earlier record has written or freed it */
};

/* Whether a record names the row as the first of the log. */
static bool is_first(struct foresight *foresight, uint64_t slot)
{
	uint64_t bit = UINT64_C(1) << (slot % 64);
	bool first;

	if (slot >= foresight->recovery->rows) /* made by the log */
		return false;
	first = !(foresight->named[slot / 64] & bit);
	foresight->named[slot / 64] |= bit;
	(void)recovery_settle(foresight->recovery, slot);
	return first;
}

/* A record that is of a vector which had the row before. Where that is not there, a checkpoint that
 * the crash interrupted has freed or torn it, unless the log itself has made it. */
static void had(struct foresight *foresight, uint64_t slot)
{
	struct recovery *recovery = foresight->recovery;

	if (is_first(foresight, slot) && !slots_is_live(&recovery->catalog->slots, slot))
		recovery->gone++;
}

static int foresee(void *arg, const struct wal_record *record, const void *payload)
{
	struct foresight *foresight = arg;

	(void)payload;
	if (record->type == WAL_SETATTR)
		had(foresight, record->slot);
	else
		(void)is_first(foresight, record->slot);
	had(foresight, record->old_slot);
	had(foresight, record->src_slot);
	return 0;
}

int recovery_foresee(struct recovery *recovery)
{
	struct foresight foresight = { .recovery = recovery };
	int r;

	for (size_t i = 0; i < recovery->slot_refs.count; i++) {
		const struct slot_ref *lost = &recovery->slot_refs.items[i];

		recovery_say(recovery,
		             "vectors.npy: slot %" PRIu64 " (vector %" PRIu64
		             ") does not hold what the log says (LSN %" PRIu64 ")",
		             lost->slot, lost->id, lost->lsn);
	}
	foresight.named = calloc(recovery->rows / 64 + 1, 8);
	if (!foresight.named)
		return -ENOMEM;
	recovery->scan.each = foresee;
	recovery->scan.arg = &foresight;
	r = wal_scan_again(&recovery->scan);
	free(foresight.named);
	return r;
}
