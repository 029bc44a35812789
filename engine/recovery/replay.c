#include "engine/recovery/replay.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/fault.h"
#include "engine/media/ctime.h"
#include "engine/recovery/keep_replay.h"
#include "engine/recovery/kept.h"

/* Vectors replayed in one write: whole blocks, as one that is written in part is read from the
 * disk first. At least the largest vector. */
#define RUN_BYTES (UINT64_C(1) << 20)
#define BLOCK_BYTES 4096u
#define SOON_BYTES (RUN_BYTES / 2)

static_assert(RUN_BYTES >= (uint64_t)QUIVER_DIM_MAX * 8, "a run holds a vector");

/* The row that a commit supersedes. */
static int supersede(struct recovery *recovery, uint64_t slot, uint64_t id, uint64_t lsn)
{
	struct deferred_free item = { .slot = slot, .id = id, .lsn = lsn };
	int r;

	if (slot == SLOT_NONE)
		return 0;
	if (slot > SLOT_MAX)
		return -EUCLEAN;
	/* Not recovery->rows: replay may have grown the columns since. */
	if (slot >= atomic_load(&recovery->catalog->columns.rows) ||
	    !slots_is_live(&recovery->catalog->slots, slot)) {
		/* Freed by a checkpoint that the crash interrupted, or bad: one of the vectors
		 * that the superblock counts all the same. */
		(void)recovery_settle(recovery, slot);
		recovery_set_doomed(recovery, slot, true);
		recovery->gone++;
		return 0;
	}
	r = deferred_frees_make_room(&recovery->superseded, 1);
	if (r)
		return r;
	slots_clear_live(&recovery->catalog->slots, slot);
	recovery->superseded.items[recovery->superseded.count++] = item;
	return 0;
}

/* Room for a slot that a crash has cut off again, and a row nobody holds. */
static int claim(struct recovery *recovery, uint64_t slot)
{
	uint64_t rows = atomic_load(&recovery->catalog->columns.rows);
	int r = 0;

	if (slot > SLOT_MAX || slot >= recovery->catalog->columns.rows_max)
		return -EUCLEAN;
	if (slot >= rows) {
		uint64_t want = slot + 1 + slot / 8;

		r = columns_grow(&recovery->catalog->columns,
		                 want < recovery->catalog->columns.rows_max
		                         ? want
		                         : recovery->catalog->columns.rows_max);
		if (r == 0)
			r = slots_set_rows(&recovery->catalog->slots,
			                   atomic_load(&recovery->catalog->columns.rows));
	}
	if (r)
		return r;
	if (slots_is_taken(&recovery->catalog->slots, slot)) /* superseded by this log, too */
		return -EUCLEAN;
	recovery_set_doomed(recovery, slot, false);
	(void)recovery_settle(recovery, slot);
	return 0;
}

/* The row that a record tells of. */
static struct meta_row row_of(struct recovery *recovery, const struct wal_record *record,
                              uint64_t lsn)
{
	bool keeps = record->type == WAL_MOVE || record->type == WAL_PUTREF;

	if (record->attr.ctime_ns > recovery->ctime_max_ns)
		recovery->ctime_max_ns = record->attr.ctime_ns;
	return (struct meta_row){ .lsn = lsn,
		                  .sum = record->sum,
		                  .attr = record->attr,
		                  .attr_lsn = keeps ? record->aux : record->lsn };
}

static int write_row(struct recovery *recovery, const struct wal_record *record, uint64_t lsn)
{
	struct meta_row row = row_of(recovery, record, lsn);

	return columns_write_rows(&recovery->catalog->columns, record->slot, &record->id, &row, 1);
}

/* ID is now in record->slot, whose row is written. */
static int point_to(struct recovery *recovery, const struct wal_record *record)
{
	uint64_t old = index_find(&recovery->catalog->index, record->id);
	int r = index_make_room(&recovery->catalog->index, 1);

	if (r)
		return r;
	if (old == SLOT_NONE)
		index_insert(&recovery->catalog->index, record->id, record->slot);
	else
		index_replace(&recovery->catalog->index, record->id, old, record->slot);
	slots_load_live(&recovery->catalog->slots, record->slot);
	return 0;
}

/* Write what run_add has put off. */
static int run_write(struct recovery *recovery)
{
	struct columns *columns = &recovery->catalog->columns;
	uint64_t count = recovery->run_count;
	struct iovec part = { .iov_base = recovery->run,
		              .iov_len = count * recovery->catalog->columns.geometry.vector_bytes };
	int r = 0;

	if (count == 0)
		return 0;
	recovery->run_count = 0;
	if (!recovery->run_in_place) {
		r = columns_write_vectors(columns, recovery->run_slot, &part, 1);
		/* While the rest is replayed; of few bytes that would take longer. */
		if (r == 0 &&
		    count * recovery->catalog->columns.geometry.vector_bytes >= SOON_BYTES)
			columns_slots_soon(columns, recovery->run_slot, count);
	}
	return r ? r
	         : columns_write_rows(columns, recovery->run_slot, recovery->run_ids,
	                              recovery->run_rows, count);
}

/* Slots of one write; it ends before a slot that is a multiple of them. */
static uint64_t run_slots(uint64_t vector_bytes)
{
	/* The power of two in the size tells after how many slots a block ends with one. */
	uint64_t power = vector_bytes & -vector_bytes;
	uint64_t whole = power < BLOCK_BYTES ? BLOCK_BYTES / power : 1;

	if (whole * vector_bytes > RUN_BYTES)
		whole = 1;
	return RUN_BYTES / (whole * vector_bytes) * whole;
}

static int run_room(struct recovery *recovery, uint64_t slots)
{
	if (recovery->run && recovery->run_ids && recovery->run_rows)
		return 0;
	if (!recovery->run)
		recovery->run = malloc(slots * recovery->catalog->columns.geometry.vector_bytes);
	if (!recovery->run_ids)
		recovery->run_ids = malloc(slots * sizeof(*recovery->run_ids));
	if (!recovery->run_rows)
		recovery->run_rows = malloc(slots * sizeof(*recovery->run_rows));
	return recovery->run && recovery->run_ids && recovery->run_rows ? 0 : -ENOMEM;
}

/* Make the run one that a slot can be added to. */
static int run_begin(struct recovery *recovery, uint64_t slot, bool in_place)
{
	const uint64_t slots = run_slots(recovery->catalog->columns.geometry.vector_bytes);
	int r = 0;

	if (recovery->run_slot + recovery->run_count != slot || slot % slots == 0 ||
	    recovery->run_in_place != in_place)
		r = run_write(recovery);
	if (r == 0)
		r = run_room(recovery, slots);
	if (recovery->run_count == 0) {
		recovery->run_slot = slot;
		recovery->run_in_place = in_place;
	}
	return r;
}

/* A vector and its row, to be written with their neighbours; NULL: the vector is in its slot. */
static int run_add(struct recovery *recovery, const struct wal_record *record, const void *vector)
{
	const uint64_t n = recovery->catalog->columns.geometry.vector_bytes;
	int r = run_begin(recovery, record->slot, !vector);
	uint64_t at = recovery->run_count;

	if (r)
		return r;
	/* The index looks IDs up in the column, so there it cannot be put off. It is there
	 * already if only the process has died. */
	if (columns_id(&recovery->catalog->columns, record->slot) != record->id)
		r = write_row(recovery, record, record->lsn);
	if (r == 0 && vector)
		r = fault_copy(recovery->run + at * n, vector, n);
	if (r)
		return r;
	recovery->run_ids[at] = record->id;
	recovery->run_rows[at] = row_of(recovery, record, record->lsn);
	recovery->run_count++;
	return 0;
}

/* Replay goes through the log in the order in which the scan noted them. */
static bool is_lost(struct recovery *recovery, const struct wal_record *record)
{
	const struct slot_ref_list *lost = &recovery->slot_refs;

	if (recovery->lost_next == lost->count ||
	    lost->items[recovery->lost_next].lsn != record->lsn)
		return false;
	recovery->lost_next++;
	return true;
}

/* The bytes of a vector that has to be written; NULL: they are in its slot, on the disk. `payload`:
 * what the record carries, where that is in memory. */
static int bytes_of(struct recovery *recovery, const struct wal_record *record,
                    const void **payload)
{
	const struct slot_ref_list *missing = &recovery->missing;

	if (record->type == WAL_PUT && record->lsn <= recovery->looked_lsn) {
		if (recovery->missing_next == missing->count ||
		    missing->items[recovery->missing_next].lsn != record->lsn) {
			*payload = NULL;
			return 0;
		}
		recovery->missing_next++;
	}
	if (record->type != WAL_PUT)
		*payload = NULL;
	else if (!*payload)
		return wal_payload(&recovery->payloads, &recovery->scan, record, payload);
	return 0;
}

/* The row tells what its slot should hold, so reading the vector gives EIO. */
static int replay_unreadable(struct recovery *recovery, const struct wal_record *record)
{
	int r = recovery_note(&recovery->unreadable, record);

	return r ? r : write_row(recovery, record, record->lsn);
}

static int replay_put(struct recovery *recovery, const struct wal_record *record,
                      const void *payload)
{
	int r = claim(recovery, record->slot);

	if (r == 0 && is_lost(recovery, record))
		r = replay_unreadable(recovery, record);
	else if (r == 0) {
		r = bytes_of(recovery, record, &payload);
		if (r == 0)
			r = run_add(recovery, record, payload);
	}
	if (r == 0)
		r = point_to(recovery, record);
	if (r == 0)
		r = supersede(recovery, record->old_slot, record->id, record->lsn);
	if (r == 0 && record->old_slot == SLOT_NONE && record->type != WAL_PUTREF)
		ctime_touch_dir(&recovery->dir, record->attr.ctime_ns);
	return r;
}

/* Copy the bytes again, and write the row: from the slot where the vector was, which nobody has
 * reused, or where that was damaged since from the copy. */
static int copy_again(struct recovery *recovery, const struct wal_record *record)
{
	uint64_t n = recovery->catalog->columns.geometry.vector_bytes;
	void *buffer = malloc(n);
	struct iovec part = { .iov_base = buffer, .iov_len = n };
	uint64_t from = record->src_slot;
	int r = buffer ? 0 : -ENOMEM;

	if (r == 0 && from >= atomic_load(&recovery->catalog->columns.rows))
		r = -EUCLEAN;
	if (r)
		goto out;
	if (recovery_holds(recovery, from, record) != 1)
		from = record->slot;
	if (recovery_holds(recovery, from, record) != 1) {
		r = replay_unreadable(recovery, record);
		goto out;
	}
	r = fault_copy(buffer, columns_vector(&recovery->catalog->columns, from), n);
	if (r == 0)
		r = columns_write_vectors(&recovery->catalog->columns, record->slot, &part, 1);
	if (r == 0)
		r = write_row(recovery, record, record->lsn);
out:
	free(buffer);
	return r;
}

static int replay_move(struct recovery *recovery, const struct wal_record *record)
{
	uint64_t from = record->type == WAL_RENAME ? record->aux : record->id;
	int r = claim(recovery, record->slot);

	if (r == 0)
		r = copy_again(recovery, record);
	if (r == 0)
		r = point_to(recovery, record);
	if (r == 0 && record->type == WAL_RENAME) {
		if (index_find(&recovery->catalog->index, from) == record->src_slot)
			index_remove(&recovery->catalog->index, from, record->src_slot);
		if (record->ahead)
			ctime_step_dir(&recovery->dir);
		else
			ctime_touch_dir(&recovery->dir, record->attr.ctime_ns);
		r = supersede(recovery, record->old_slot, record->id, record->lsn);
	}
	if (r == 0)
		r = supersede(recovery, record->src_slot, from, record->lsn);
	return r;
}

static int replay_remove(struct recovery *recovery, const struct wal_record *record)
{

	if (index_find(&recovery->catalog->index, record->id) == record->old_slot)
		index_remove(&recovery->catalog->index, record->id, record->old_slot);
	if (record->type == WAL_REMOVE)
		ctime_touch_dir(&recovery->dir, record->attr.ctime_ns);
	return supersede(recovery, record->old_slot, record->id, record->lsn);
}

/* The whole row again, since writing it at a checkpoint may have torn it. */
static int replay_attr(struct recovery *recovery, const struct wal_record *record)
{
	int r = 0;

	if (record->slot >= atomic_load(&recovery->catalog->columns.rows))
		return -EUCLEAN;
	if (slots_is_live(&recovery->catalog->slots, record->slot) &&
	    index_find(&recovery->catalog->index, record->id) != record->slot)
		return -EUCLEAN;
	if (!slots_is_live(&recovery->catalog->slots, record->slot)) {
		/* A later record supersedes it, and an interrupted checkpoint freed it. */
		if (index_find(&recovery->catalog->index, record->id) != SLOT_NONE)
			return -EUCLEAN;
		/* An earlier record has superseded it. */
		if (slots_is_taken(&recovery->catalog->slots, record->slot))
			return -EUCLEAN;
		(void)recovery_settle(recovery, record->slot);
		recovery_set_doomed(recovery, record->slot, false);
		r = write_row(recovery, record, record->aux);
		if (r == 0)
			r = recovery_adopt(recovery, record->id, record->slot);
		recovery->base++;
		return r;
	}
	return write_row(recovery, record, record->aux);
}

/* Whether `id` is where a record says that it was, or nowhere since a checkpoint that the crash
 * interrupted has freed that row already. */
static bool was_in(const struct recovery *recovery, uint64_t id, uint64_t slot)
{
	uint64_t found = index_find(&recovery->catalog->index, id);

	if (found != SLOT_NONE)
		return found == slot;
	return slot >= atomic_load(&recovery->catalog->columns.rows) ||
	       !slots_is_live(&recovery->catalog->slots, slot);
}

/* A FREE comes behind the PUTREF of the vector's new slot. */
static bool may_be_freed(const struct recovery *recovery, uint64_t id, uint64_t slot)
{

	return slot >= atomic_load(&recovery->catalog->columns.rows) ||
	       !slots_is_live(&recovery->catalog->slots, slot) ||
	       columns_id(&recovery->catalog->columns, slot) == id;
}

/* Whether the record fits what is there. */
static bool fits(const struct recovery *recovery, const struct wal_record *record)
{
	switch (record->type) {
	case WAL_PUT:
	case WAL_PUTSLOT:
	case WAL_REMOVE:
		return was_in(recovery, record->id, record->old_slot);
	case WAL_RENAME:
		return was_in(recovery, record->id, record->old_slot) &&
		       was_in(recovery, record->aux, record->src_slot);
	case WAL_MOVE:
		return was_in(recovery, record->id, record->src_slot);
	case WAL_PUTREF:
		return record->old_slot == SLOT_NONE;
	case WAL_FREE:
		return may_be_freed(recovery, record->id, record->old_slot);
	default:
		return true;
	}
}

/* False for what no store logs, though the checksum fits. */
static bool is_possible(const struct wal_record *record)
{
	if (record->type == WAL_DIRATTR)
		return true;
	if ((record->type == WAL_REMOVE || record->type == WAL_FREE) &&
	    record->old_slot == SLOT_NONE)
		return false;
	/* A slot is not overwritten. */
	if ((record->type == WAL_PUT || record->type == WAL_PUTSLOT) &&
	    record->slot == record->old_slot)
		return false;
	if (record->type == WAL_SETATTR && (record->aux == 0 || record->aux > record->lsn))
		return false;
	if ((record->type == WAL_MOVE || record->type == WAL_PUTREF) && record->aux > record->lsn)
		return false;
	if (record->type == WAL_RENAME &&
	    (record->aux > QUIVER_ID_MAX || record->aux == record->id))
		return false;
	return record->id <= QUIVER_ID_MAX;
}

static int apply(struct recovery *recovery, const struct wal_record *record, const void *payload)
{
	if (!is_possible(record) || !fits(recovery, record))
		return -EUCLEAN;
	switch (record->type) {
	case WAL_PUT:
	case WAL_PUTREF:
	case WAL_PUTSLOT:
		return replay_put(recovery, record, payload);
	case WAL_RENAME:
	case WAL_MOVE:
		return replay_move(recovery, record);
	case WAL_REMOVE:
	case WAL_FREE:
		return replay_remove(recovery, record);
	case WAL_SETATTR:
		return replay_attr(recovery, record);
	case WAL_DIRATTR:
		recovery->dir = record->attr;
		return 0;
	default:
		return -EUCLEAN;
	}
}

static int replay(void *arg, const struct wal_record *record, const void *payload)
{
	struct recovery *recovery = arg;
	int r = 0;

	recovery->applied_lsn = record->lsn;
	/* Others may read, write or copy what is put off. */
	if (record->type != WAL_PUT && record->type != WAL_PUTSLOT && record->type != WAL_PUTREF)
		r = run_write(recovery);
	if (r)
		return r;
	r = recovery->kept ? kept_ready(recovery, record) : 0;
	if (r == 0)
		r = apply(recovery, record, payload);
	if (r == -EUCLEAN)
		recovery_say(recovery,
		             "wal/%016" PRIx64 ".wal: corrupt at byte %" PRIu64
		             ": the record with LSN %" PRIu64 " (vector %" PRIu64 ", slot %" PRIu64
		             ") contradicts the data files; `quiverfs check --repair` keeps the "
		             "commits before it, loses it and those after it, and moves the rest "
		             "of the log to lost+found",
		             recovery->scan.segment, recovery->scan.offset, record->lsn, record->id,
		             record->slot);
	return r;
}

/* A record will be applied soon. */
static void soon(void *arg, const struct wal_record *record)
{
	const struct recovery *recovery = arg;

	index_prefetch(&recovery->catalog->index, record->id);
}

/* Make durable what was read, which a sync that failed in an earlier life may have left in the
 * kernel's memory alone: first the slots that the log names, then the log. */
static int settle_log(struct recovery *recovery)
{
	struct wal_scan *scan = &recovery->scan;
	uint64_t durable_lsn;
	int r = 0;

	if (scan->last_lsn <= scan->durable_lsn || scan->last_lsn <= scan->checkpoint_lsn)
		return 0;
	durable_lsn = scan->durable_lsn;
	/* Their bytes are there, and there are so many of them. */
	if (recovery->names_slots)
		r = columns_sync(&recovery->catalog->columns, true, true);
	return r ? r : wal_settle(scan, durable_lsn);
}

/* What was superseded later is no loss. */
static void report_unreadable(const struct recovery *recovery)
{

	for (size_t i = 0; i < recovery->unreadable.count; i++) {
		const struct deferred_free *item = &recovery->unreadable.items[i];

		if (index_find(&recovery->catalog->index, item->id) == item->slot)
			report_add(&recovery->catalog->health->report,
			           "vector %" PRIu64 ": slot %" PRIu64
			           " of vectors.npy does not hold what the log says (LSN %" PRIu64
			           "); it was durable, and was damaged later; write the vector "
			           "again, or remove it",
			           item->id, item->slot, item->lsn);
	}
}

int recovery_replay(struct recovery *recovery)
{
	/* From here on rows change that a power cut must find again by this log. */
	int r = settle_log(recovery);
	int w;

	/* ... and no version of a row has ended by a commit that it may lose. */
	if (r == 0)
		r = keep_before_replay(recovery);
	if (r == 0 && recovery->kept) {
		slots_tell_taken(&recovery->catalog->slots);
		r = kept_restore(recovery);
	}
	recovery->scan.each = replay;
	recovery->scan.arg = recovery;
	recovery->scan.soon = soon;
	recovery->lost_next = recovery->missing_next = 0;
	if (r == 0)
		r = wal_scan_again(&recovery->scan);
	/* Also after a record that cannot be applied: a repair keeps what came before. */
	w = run_write(recovery);
	if (w)
		r = w;
	w = wal_payloads_end(&recovery->payloads);
	if (r == 0)
		r = w;
	report_unreadable(recovery);
	atomic_store(&recovery->catalog->health->counters.replayed, recovery->scan.records);
	return r;
}
