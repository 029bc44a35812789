/* Repair: the log is applied as far as it can be read, what does not match its checksum is
 * copied to lost+found and freed, and the log that could not be read is moved there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fault.h"
#include "engine/recovery/check.h"
#include "engine/recovery/lost_found.h"
#include "engine/recovery/repair_snapshots.h"
#include "engine/recovery/replay.h"

static void say_once_more(struct recovery *recovery, const char *line)
{
	/* The check before has told of it; what is done about it is told below. */
	(void)recovery;
	(void)line;
}

/* Copy a slot's bytes to lost+found/slot-S-id-I.bin and its row of meta.npy to .row. What
 * cannot be read is zeros. */
static int keep_slot(struct check *check, const struct lost_found *lost, uint64_t slot)
{
	uint64_t id = columns_id(&check->catalog->columns, slot);
	uint64_t n = check->catalog->columns.geometry.vector_bytes;
	uint8_t row[META_ROW_BYTES];
	size_t row_bytes;
	void *bytes = calloc(1, n);
	char base[LOST_NAME_BYTES], name[LOST_NAME_BYTES], row_name[LOST_NAME_BYTES];
	int r = bytes ? 0 : -ENOMEM;

	if (r == 0 && fault_copy(bytes, columns_vector(&check->catalog->columns, slot), n) != 0)
		memset(bytes, 0, n);
	if (columns_meta_bytes(&check->catalog->columns, slot, row, &row_bytes) != 0)
		memset(row, 0, sizeof(row));
	(void)snprintf(base, sizeof(base), "slot-%" PRIu64 "-id-%" PRIu64 ".bin", slot, id);
	if (r == 0)
		r = lost_found_keep(lost, base, bytes, n, name);
	(void)snprintf(base, sizeof(base), "slot-%" PRIu64 "-id-%" PRIu64 ".row", slot, id);
	if (r == 0)
		r = lost_found_keep(lost, base, row, row_bytes, row_name);
	if (r == 0) {
		check->result->repaired++;
		check_say(check,
		          "repaired: vector %" PRIu64 " in slot %" PRIu64
		          " removed; its bytes are in lost+found/%s, its row of meta.npy in "
		          "lost+found/%s",
		          id, slot, name, row_name);
	}
	free(bytes);
	return r;
}

/* Every segment of a log that cannot be read to its end. */
static int keep_log(struct check *check, struct recovery *recovery, const struct lost_found *lost)
{
	uint64_t last = recovery->scan.last_segment;
	char name[LOST_NAME_BYTES];
	int r = 0;

	for (uint64_t n = recovery->scan.torn_segment; r == 0 && n > 0 && n <= last; n++) {
		char segment[LOST_NAME_BYTES - sizeof("wal/")];
		char from[LOST_NAME_BYTES];

		wal_segment_name(n, segment);
		(void)snprintf(from, sizeof(from), "wal/%s", segment);
		r = lost_found_move(lost, from, segment, name);
		if (r == -ENOENT) {
			r = 0;
			continue;
		}
		if (r == 0)
			check_say(check,
			          "repaired: log segment %s moved to lost+found/%s; commits up to "
			          "LSN %" PRIu64 " are kept",
			          from, name, recovery->scan.last_lsn);
	}
	/* It tells of commits that are not there any more. */
	if (r == 0)
		r = lost_found_move(lost, "durable", "durable", name);
	if (r == -ENOENT)
		r = 0;
	if (r == 0)
		check->result->repaired++;
	recovery->scan.torn = false; /* put away already */
	return r;
}

/* Doom the rows that do not match, and the vectors that do not. */
static int remove_damaged(struct check *check, struct recovery *recovery,
                          const struct lost_found *lost)
{
	const char *why;
	int r = 0;

	for (size_t i = 0; r == 0 && i < recovery->bad_count; i++) {
		if (recovery->bad[i].settled)
			continue;
		r = keep_slot(check, lost, recovery->bad[i].slot);
		if (r == 0)
			r = recovery_doom(recovery, recovery->bad[i].slot);
	}
	for (uint64_t slot = 0; r == 0 && slot < atomic_load(&check->catalog->columns.rows);
	     slot++) {
		if (!slots_is_live(&check->catalog->slots, slot) || check_vector(check, slot, &why))
			continue;
		r = keep_slot(check, lost, slot);
		if (r)
			break;
		index_remove(&check->catalog->index, columns_id(&check->catalog->columns, slot),
		             slot);
		slots_clear_live(&check->catalog->slots, slot);
		slots_give(&check->catalog->slots, slot);
		r = recovery_doom(recovery, slot);
	}
	return r;
}

int repair_contents(struct check *check)
{
	bool clean = check->superblock->now.clean;
	struct recovery recovery;
	struct lost_found lost;
	int r = recovery_init(&recovery, check->catalog, check->superblock, check->dir_fd);

	if (r)
		return r;
	recovery.damage = say_once_more;
	r = lost_found_open(&lost, check->superblock->io, check->dir_fd);
	if (r == 0 && !clean)
		r = recovery_read_log(&recovery);
	if (r == 0)
		r = recovery_base(&recovery, clean);
	if (r == 0 && !clean) {
		r = recovery_replay(&recovery);
		/* What came before it is applied. */
		if (r == -EUCLEAN || (r == 0 && wal_scan_corrupt(&recovery.scan)))
			r = keep_log(check, &recovery, &lost);
	}
	if (r == 0)
		recovery_settle_torn(&recovery);
	if (r == 0)
		r = remove_damaged(check, &recovery, &lost);
	if (r == 0)
		r = repair_snapshots(check, &lost);
	if (r == 0)
		r = lost_found_sync(&lost);
	if (r == 0)
		r = recovery_finish(&recovery);
	if (r == 0 && check->result->repaired < check->result->damage) {
		check->result->repaired = check->result->damage;
		check_say(check, "repaired: superblock and index are rebuilt from what is there");
	}
	r = lost_found_close(&lost, r);
	recovery_free(&recovery);
	return r;
}
