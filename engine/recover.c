#include "recover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "error.h"
#include "fault.h"

/* Vectors replayed in one write: a few blocks, and whole ones, as a block that is written in
 * part is read from the disk first. */
#define RUN_BYTES (64u << 10)
#define RUN_BYTES_MAX (1u << 20)
#define BLOCK_BYTES 4096u
#define FREE_RUN 256u /* rows freed in one write: some blocks of meta.npy */

static bool is_doomed(const struct recovery *recovery, uint64_t slot)
{
	return slot < recovery->rows && (recovery->doomed[slot / 64] >> (slot % 64) & 1);
}

static void set_doomed(struct recovery *recovery, uint64_t slot, bool on)
{
	if (slot >= recovery->rows)
		return;
	if (on)
		recovery->doomed[slot / 64] |= UINT64_C(1) << (slot % 64);
	else
		recovery->doomed[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

int recovery_doom(struct recovery *recovery, uint64_t slot)
{
	uint64_t rows = atomic_load(&recovery->store->columns.rows);
	uint64_t *grown;

	if (slot >= recovery->rows) {
		/* Replay has grown the columns. */
		grown = realloc(recovery->doomed, (rows / 64 + 1) * 8);
		if (!grown)
			return -ENOMEM;
		memset(grown + recovery->rows / 64 + 1, 0, (rows / 64 - recovery->rows / 64) * 8);
		recovery->doomed = grown;
		recovery->rows = rows;
	}
	set_doomed(recovery, slot, true);
	return 0;
}

void recovery_say(struct recovery *recovery, const char *format, ...)
{
	char line[sizeof(((struct quiver_error *)NULL)->text)];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	recovery->damage_count++;
	if (recovery->damage)
		recovery->damage(recovery, line);
}

int recovery_init(struct recovery *recovery, struct quiver *store)
{
	memset(recovery, 0, sizeof(*recovery));
	recovery->store = store;
	recovery->dir = store->superblock.dir;
	recovery->rows = atomic_load(&store->columns.rows);
	recovery->doomed = calloc(recovery->rows / 64 + 1, 8);
	return recovery->doomed ? 0 : -ENOMEM;
}

void recovery_free(struct recovery *recovery)
{
	free(recovery->run);
	free(recovery->run_ids);
	free(recovery->run_rows);
	free(recovery->doomed);
	free(recovery->bad);
	free(recovery->superseded.items);
	free(recovery->lost.items);
	free(recovery->unreadable.items);
}

/* Whether `slot` holds the vector of a record: 1, 0 or -errno. */
static int holds(const struct quiver *store, uint64_t slot, const struct wal_record *record)
{
	uint64_t hash = 0;
	int r;

	if (slot >= atomic_load(&store->columns.rows))
		return 0;
	r = fault_hash(columns_vector(&store->columns, slot), store->geometry.vector_bytes, &hash);
	return r ? r : vector_sum(record->id, record->lsn, hash) == record->sum;
}

static int list_add(struct retired_list *list, const struct wal_record *record)
{
	int r = retired_make_room(list, 1);

	if (r == 0)
		list->items[list->count++] = (struct retired){ .slot = record->slot,
			                                       .id = record->id,
			                                       .lsn = record->lsn };
	return r;
}

/* A vector that was durable and is damaged is one vector lost, not the end of the log. */
static int in_slot(void *arg, const struct wal_record *record, bool durable)
{
	struct recovery *recovery = arg;
	struct retired_list *lost = &recovery->lost;
	int r = holds(recovery->store, record->slot, record);

	if (!durable || (r != 0 && r != -EIO))
		return r;
	if (lost->count > 0 && lost->items[lost->count - 1].lsn >= record->lsn)
		return 1; /* noted already */
	r = list_add(lost, record);
	return r ? r : 1;
}

int recovery_read_log(struct recovery *recovery)
{
	struct quiver *store = recovery->store;
	struct wal_scan *scan = &recovery->scan;
	int r;

	scan->io = store->io;
	scan->dir_fd = store->dir_fd;
	memcpy(scan->uuid, store->geometry.uuid, sizeof(scan->uuid));
	scan->vector_bytes = store->geometry.vector_bytes;
	scan->first_segment = store->superblock.wal_first;
	scan->checkpoint_lsn = store->superblock.checkpoint_lsn;
	scan->each = NULL;
	scan->in_slot = in_slot;
	scan->arg = recovery;
	/* Where writing a page fails, the kernel calls it clean and goes on showing it. A page
	 * that is written over such a one may even lack the filesystem's note that it belongs
	 * to the file: ext4 then reads zeros after a power cut. */
	scan->forget = true;
	r = columns_forget(&store->columns);
	if (r == 0)
		r = wal_scan(scan);
	scan->forget = false; /* what is in the cache now is on the disk */
	if (r == 0 && scan->durable_lsn > scan->last_lsn)
		recovery_say(recovery,
		             "wal/%016" PRIx64 ".wal: corrupt at byte %" PRIu64
		             ": commits up to LSN %" PRIu64
		             " were durable, but the log can be read only up to LSN %" PRIu64
		             "; `quiverfs check --repair` keeps what is up to there, loses the "
		             "commits after it and moves the rest of the log to lost+found",
		             scan->torn_segment, scan->torn_offset, scan->durable_lsn,
		             scan->last_lsn);
	return r;
}

static int add_bad(struct recovery *recovery, uint64_t slot, uint64_t id)
{
	if (recovery->bad_count == recovery->bad_capacity) {
		size_t want = recovery->bad_capacity ? recovery->bad_capacity * 2 : 16;
		struct bad_row *grown = realloc(recovery->bad, want * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		recovery->bad = grown;
		recovery->bad_capacity = want;
	}
	recovery->bad[recovery->bad_count++] = (struct bad_row){ .slot = slot, .id = id };
	return 0;
}

/* True where the row was bad and is settled now. */
static bool settle(struct recovery *recovery, uint64_t slot)
{
	for (size_t i = 0; i < recovery->bad_count; i++)
		if (recovery->bad[i].slot == slot && !recovery->bad[i].settled) {
			recovery->bad[i].settled = true;
			return true;
		}
	return false;
}

static int adopt(struct recovery *recovery, uint64_t id, uint64_t slot)
{
	struct quiver *store = recovery->store;
	int r = index_make_room(&store->index, 1);

	if (r)
		return r;
	index_insert(&store->index, id, slot);
	slots_load_live(&store->slots, slot);
	return 0;
}

/* A row that does not match its crc: torn by the crash, or damage unless the log mends it. */
static int judge_bad_row(struct recovery *recovery, uint64_t slot, uint64_t id, bool clean)
{
	const struct quiver *store = recovery->store;

	/* At the checkpoint there was nothing, maybe not even the NONE that growing writes. */
	if (!clean && slot >= store->superblock.slots_used) {
		set_doomed(recovery, slot, true);
		return 0;
	}
	if (!clean && columns_meta_torn(&store->columns, slot)) {
		set_doomed(recovery, slot, true);
		return 0;
	}
	/* The ids entry never reached the disk, the row did: a commit that the log lacks. */
	if (!clean && id == QUIVER_ID_NONE &&
	    columns_meta_lsn(&store->columns, slot) > store->superblock.checkpoint_lsn) {
		set_doomed(recovery, slot, true);
		return 0;
	}
	return add_bad(recovery, slot, id);
}

static int judge_row(struct recovery *recovery, uint64_t slot, bool clean)
{
	struct quiver *store = recovery->store;
	uint64_t id = columns_id(&store->columns, slot);
	struct meta_row row;
	int r = columns_meta(&store->columns, slot, id, &row);

	if (r == -EBADMSG)
		return judge_bad_row(recovery, slot, id, clean);
	if (r)
		return r;
	if (row.lsn == 0) {
		if (id != QUIVER_ID_NONE && clean)
			return add_bad(recovery, slot, id);
		/* Free it once more: after a sync that failed in an earlier life it may be free
		 * in the kernel's memory alone. */
		set_doomed(recovery, slot, !clean);
		return 0;
	}
	if (row.lsn > store->superblock.checkpoint_lsn || id > QUIVER_ID_MAX) {
		if (clean || id > QUIVER_ID_MAX)
			return add_bad(recovery, slot, id);
		set_doomed(recovery, slot, true);
		return 0;
	}
	if (index_find(&store->index, id) != SLOT_NONE) {
		recovery_say(recovery,
		             "ids.npy: ID %" PRIu64 " is in rows %" PRIu64 " and %" PRIu64, id,
		             index_find(&store->index, id), slot);
		return add_bad(recovery, slot, id);
	}
	recovery->base++;
	return adopt(recovery, id, slot);
}

int recovery_base(struct recovery *recovery, bool clean)
{
	uint64_t rows = recovery->rows;
	int r = 0;

	for (uint64_t slot = 0; r == 0 && slot < rows; slot++)
		r = judge_row(recovery, slot, clean);
	return r;
}

/* The row that a commit supersedes. */
static int supersede(struct recovery *recovery, uint64_t slot, uint64_t id, uint64_t lsn)
{
	struct quiver *store = recovery->store;
	struct retired item = { .slot = slot, .id = id, .lsn = lsn };
	int r;

	if (slot == SLOT_NONE)
		return 0;
	if (slot > SLOT_MAX)
		return -EUCLEAN;
	/* Not recovery->rows: replay may have grown the columns since. */
	if (slot >= atomic_load(&store->columns.rows) || !slots_is_live(&store->slots, slot)) {
		/* Freed by a checkpoint that the crash interrupted, or bad: one of the vectors
		 * that the superblock counts all the same. */
		(void)settle(recovery, slot);
		set_doomed(recovery, slot, true);
		recovery->gone++;
		return 0;
	}
	r = retired_make_room(&recovery->superseded, 1);
	if (r)
		return r;
	slots_clear_live(&store->slots, slot);
	recovery->superseded.items[recovery->superseded.count++] = item;
	return 0;
}

/* Room for a slot that a crash has cut off again, and a row nobody holds. */
static int claim(struct recovery *recovery, uint64_t slot)
{
	struct quiver *store = recovery->store;
	uint64_t rows = atomic_load(&store->columns.rows);
	int r = 0;

	if (slot > SLOT_MAX || slot >= store->columns.rows_max)
		return -EUCLEAN;
	if (slot >= rows) {
		uint64_t want = slot + 1 + slot / 8;

		r = columns_grow(&store->columns,
		                 want < store->columns.rows_max ? want : store->columns.rows_max);
		if (r == 0)
			slots_set_rows(&store->slots, atomic_load(&store->columns.rows));
	}
	if (r)
		return r;
	if (slots_is_taken(&store->slots, slot)) /* superseded by this log, too */
		return -EUCLEAN;
	set_doomed(recovery, slot, false);
	(void)settle(recovery, slot);
	return 0;
}

static int write_row(struct recovery *recovery, const struct wal_record *record, uint64_t lsn)
{
	struct meta_row row = { .lsn = lsn, .sum = record->sum, .attr = record->attr };

	return columns_write_rows(&recovery->store->columns, record->slot, &record->id, &row, 1);
}

/* ID is now in record->slot, whose row is written. */
static int point_to(struct recovery *recovery, const struct wal_record *record)
{
	struct quiver *store = recovery->store;
	uint64_t old = index_find(&store->index, record->id);
	int r = index_make_room(&store->index, 1);

	if (r)
		return r;
	if (old == SLOT_NONE)
		index_insert(&store->index, record->id, record->slot);
	else
		index_replace(&store->index, record->id, old, record->slot);
	slots_load_live(&store->slots, record->slot);
	return 0;
}

/* Write what run_add has put off. */
static int run_write(struct recovery *recovery)
{
	struct columns *columns = &recovery->store->columns;
	uint64_t count = recovery->run_count;
	struct iovec part = { .iov_base = recovery->run,
		              .iov_len = count * recovery->store->geometry.vector_bytes };
	int r;

	if (count == 0)
		return 0;
	recovery->run_count = 0;
	r = columns_write_vectors(columns, recovery->run_slot, &part, 1);
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

	if (whole * vector_bytes > RUN_BYTES_MAX)
		whole = 1;
	return RUN_BYTES > whole * vector_bytes ? RUN_BYTES / (whole * vector_bytes) * whole
	                                        : whole;
}

static int run_room(struct recovery *recovery, uint64_t slots)
{
	if (recovery->run && recovery->run_ids && recovery->run_rows)
		return 0;
	if (!recovery->run)
		recovery->run = malloc(slots * recovery->store->geometry.vector_bytes);
	if (!recovery->run_ids)
		recovery->run_ids = malloc(slots * sizeof(*recovery->run_ids));
	if (!recovery->run_rows)
		recovery->run_rows = malloc(slots * sizeof(*recovery->run_rows));
	return recovery->run && recovery->run_ids && recovery->run_rows ? 0 : -ENOMEM;
}

/* A vector and its row, to be written with their neighbours. */
static int run_add(struct recovery *recovery, const struct wal_record *record, const void *vector)
{
	const struct quiver *store = recovery->store;
	const uint64_t n = store->geometry.vector_bytes;
	const uint64_t slots = run_slots(n);
	uint64_t at;
	int r = 0;

	if (recovery->run_slot + recovery->run_count != record->slot || record->slot % slots == 0)
		r = run_write(recovery);
	if (r == 0)
		r = run_room(recovery, slots);
	/* The index looks IDs up in the column, so there it cannot be put off. It is there
	 * already if only the process has died. */
	if (r == 0 && columns_id(&store->columns, record->slot) != record->id)
		r = write_row(recovery, record, record->lsn);
	if (r)
		return r;
	if (recovery->run_count == 0)
		recovery->run_slot = record->slot;
	at = recovery->run_count;
	r = fault_copy(recovery->run + at * n, vector, n);
	if (r)
		return r;
	recovery->run_ids[at] = record->id;
	recovery->run_rows[at] =
		(struct meta_row){ .lsn = record->lsn, .sum = record->sum, .attr = record->attr };
	recovery->run_count++;
	return 0;
}

/* Replay goes through the log in the order in which the scan noted them. */
static bool is_lost(struct recovery *recovery, const struct wal_record *record)
{
	const struct retired_list *lost = &recovery->lost;

	if (recovery->lost_next == lost->count ||
	    lost->items[recovery->lost_next].lsn != record->lsn)
		return false;
	recovery->lost_next++;
	return true;
}

/* The row tells what its slot should hold, so reading the vector gives EIO. */
static int replay_unreadable(struct recovery *recovery, const struct wal_record *record)
{
	int r = list_add(&recovery->unreadable, record);

	return r ? r : write_row(recovery, record, record->lsn);
}

static int replay_put(struct recovery *recovery, const struct wal_record *record,
                      const void *payload)
{
	const struct quiver *store = recovery->store;
	int r = claim(recovery, record->slot);

	/* PUTSLOT: the same again, since what is in memory may never have reached the disk. */
	if (r == 0 && record->type == WAL_PUTSLOT)
		payload = columns_vector(&store->columns, record->slot);
	if (r == 0 && is_lost(recovery, record))
		r = replay_unreadable(recovery, record);
	else if (r == 0)
		r = record->type == WAL_PUTREF ? write_row(recovery, record, record->lsn)
		                               : run_add(recovery, record, payload);
	if (r == 0)
		r = point_to(recovery, record);
	if (r == 0)
		r = supersede(recovery, record->old_slot, record->id, record->lsn);
	if (r == 0 && record->old_slot == SLOT_NONE && record->type != WAL_PUTREF)
		recovery->dir.mtime_ns = record->time_ns;
	return r;
}

/* Copy the bytes again, and write the row: from the slot where the vector was, which nobody has
 * reused, or where that was damaged since from the copy. */
static int copy_again(struct recovery *recovery, const struct wal_record *record)
{
	struct quiver *store = recovery->store;
	uint64_t n = store->geometry.vector_bytes;
	void *buffer = malloc(n);
	struct iovec part = { .iov_base = buffer, .iov_len = n };
	uint64_t from = record->src_slot;
	int r = buffer ? 0 : -ENOMEM;

	if (r == 0 && from >= atomic_load(&store->columns.rows))
		r = -EUCLEAN;
	if (r)
		goto out;
	if (holds(store, from, record) != 1)
		from = record->slot;
	if (holds(store, from, record) != 1) {
		r = replay_unreadable(recovery, record);
		goto out;
	}
	r = fault_copy(buffer, columns_vector(&store->columns, from), n);
	if (r == 0)
		r = columns_write_vectors(&store->columns, record->slot, &part, 1);
	if (r == 0)
		r = write_row(recovery, record, record->lsn);
out:
	free(buffer);
	return r;
}

static int replay_move(struct recovery *recovery, const struct wal_record *record)
{
	struct quiver *store = recovery->store;
	uint64_t from = record->type == WAL_RENAME ? record->aux : record->id;
	int r = claim(recovery, record->slot);

	if (r == 0)
		r = copy_again(recovery, record);
	if (r == 0)
		r = point_to(recovery, record);
	if (r == 0 && record->type == WAL_RENAME) {
		if (index_find(&store->index, from) == record->src_slot)
			index_remove(&store->index, from, record->src_slot);
		recovery->dir.mtime_ns = record->time_ns;
		r = supersede(recovery, record->old_slot, record->id, record->lsn);
	}
	if (r == 0)
		r = supersede(recovery, record->src_slot, from, record->lsn);
	return r;
}

static int replay_remove(struct recovery *recovery, const struct wal_record *record)
{
	struct quiver *store = recovery->store;

	if (index_find(&store->index, record->id) == record->old_slot)
		index_remove(&store->index, record->id, record->old_slot);
	if (record->type == WAL_REMOVE)
		recovery->dir.mtime_ns = record->time_ns;
	return supersede(recovery, record->old_slot, record->id, record->lsn);
}

/* The whole row again, since writing it at a checkpoint may have torn it. */
static int replay_attr(struct recovery *recovery, const struct wal_record *record)
{
	struct quiver *store = recovery->store;
	int r = 0;

	if (record->slot >= atomic_load(&store->columns.rows))
		return -EUCLEAN;
	if (slots_is_live(&store->slots, record->slot) &&
	    index_find(&store->index, record->id) != record->slot)
		return -EUCLEAN;
	if (!slots_is_live(&store->slots, record->slot)) {
		/* A later record supersedes it, and an interrupted checkpoint freed it. */
		if (index_find(&store->index, record->id) != SLOT_NONE)
			return -EUCLEAN;
		/* An earlier record has superseded it. */
		if (slots_is_taken(&store->slots, record->slot))
			return -EUCLEAN;
		(void)settle(recovery, record->slot);
		set_doomed(recovery, record->slot, false);
		r = write_row(recovery, record, record->aux);
		if (r == 0)
			r = adopt(recovery, record->id, record->slot);
		recovery->base++;
		return r;
	}
	return write_row(recovery, record, record->aux);
}

/* Whether `id` is where a record says that it was, or nowhere since a checkpoint that the crash
 * interrupted has freed that row already. */
static bool was_in(const struct recovery *recovery, uint64_t id, uint64_t slot)
{
	struct quiver *store = recovery->store;
	uint64_t found = index_find(&store->index, id);

	if (found != SLOT_NONE)
		return found == slot;
	return slot >= atomic_load(&store->columns.rows) || !slots_is_live(&store->slots, slot);
}

/* A FREE comes behind the PUTREF of the vector's new slot. */
static bool may_be_freed(const struct recovery *recovery, uint64_t id, uint64_t slot)
{
	struct quiver *store = recovery->store;

	return slot >= atomic_load(&store->columns.rows) || !slots_is_live(&store->slots, slot) ||
	       columns_id(&store->columns, slot) == id;
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
	if (record->type == WAL_SETATTR && (record->aux == 0 || record->aux > record->lsn))
		return false;
	if (record->type == WAL_RENAME &&
	    (record->aux > QUIVER_ID_MAX || record->aux == record->id))
		return false;
	return record->id <= QUIVER_ID_MAX;
}

static int replay(void *arg, const struct wal_record *record, const void *payload)
{
	struct recovery *recovery = arg;
	int r;

	recovery->applied_lsn = record->lsn;
	/* Others may read, write or copy what is put off. */
	if (record->type != WAL_PUT && record->type != WAL_PUTSLOT) {
		r = run_write(recovery);
		if (r)
			return r;
	}
	switch (is_possible(record) && fits(recovery, record) ? record->type : 0) {
	case WAL_PUT:
	case WAL_PUTREF:
	case WAL_PUTSLOT:
		r = replay_put(recovery, record, payload);
		break;
	case WAL_RENAME:
	case WAL_MOVE:
		r = replay_move(recovery, record);
		break;
	case WAL_REMOVE:
	case WAL_FREE:
		r = replay_remove(recovery, record);
		break;
	case WAL_SETATTR:
		r = replay_attr(recovery, record);
		break;
	case WAL_DIRATTR:
		recovery->dir = record->attr;
		r = 0;
		break;
	default:
		r = -EUCLEAN;
	}
	if (r == -EUCLEAN)
		recovery_say(recovery,
		             "wal/%016" PRIx64 ".wal: corrupt at byte %" PRIu64
		             ": the record with LSN %" PRIu64 " (vector %" PRIu64 ", slot %" PRIu64
		             ") does not fit what is in the data files; `quiverfs check --repair` "
		             "keeps the commits before it, loses it and those after it and moves "
		             "the rest of the log to lost+found",
		             recovery->scan.segment, recovery->scan.offset, record->lsn, record->id,
		             record->slot);
	return r;
}

/* The vector that a record names by its slot, once more. */
static int settle_slot(void *arg, const struct wal_record *record, const void *payload)
{
	struct recovery *recovery = arg;
	struct quiver *store = recovery->store;

	(void)payload;
	if (record->type != WAL_PUTSLOT || record->lsn <= recovery->durable_lsn)
		return 0;
	if (slots_is_taken(&store->slots, record->slot))
		return 0; /* by no store of ours; the replay refuses it */
	recovery->settled_slots = true;
	return run_add(recovery, record, columns_vector(&store->columns, record->slot));
}

/* Make durable what was read, which a sync that failed in an earlier life may have left in the
 * kernel's memory alone: first the slots that the log names, then the log. */
static int settle_log(struct recovery *recovery)
{
	struct wal_scan *scan = &recovery->scan;
	int r;

	if (scan->last_lsn <= scan->durable_lsn || scan->last_lsn <= scan->checkpoint_lsn)
		return 0;
	recovery->durable_lsn = scan->durable_lsn;
	scan->each = settle_slot;
	scan->arg = recovery;
	r = wal_scan(scan);
	if (r == 0)
		r = run_write(recovery);
	if (r == 0 && recovery->settled_slots)
		r = columns_sync(&recovery->store->columns, true, true);
	return r ? r : wal_settle(scan, recovery->durable_lsn);
}

/* What was superseded later is no loss. */
static void report_unreadable(const struct recovery *recovery)
{
	struct quiver *store = recovery->store;

	for (size_t i = 0; i < recovery->unreadable.count; i++) {
		const struct retired *item = &recovery->unreadable.items[i];

		if (index_find(&store->index, item->id) == item->slot)
			quiver_report(
				store,
				"vector %" PRIu64 ": slot %" PRIu64
				" of vectors.npy does not hold what the log says (LSN %" PRIu64
				"), which was durable: it was damaged since; write the vector "
				"again, or remove it",
				item->id, item->slot, item->lsn);
	}
}

int recovery_replay(struct recovery *recovery)
{
	/* From here on rows change that a power cut must find again by this log. */
	int r = settle_log(recovery);
	int w;

	recovery->scan.each = replay;
	recovery->scan.arg = recovery;
	recovery->lost_next = 0;
	if (r == 0)
		r = wal_scan(&recovery->scan);
	/* Also after a record that cannot be applied: a repair keeps what came before. */
	w = run_write(recovery);
	if (w)
		r = w;
	report_unreadable(recovery);
	atomic_store(&recovery->store->counters.replayed, recovery->scan.records);
	return r;
}

static int settle_named(void *arg, const struct wal_record *record, const void *payload)
{
	(void)payload;
	(void)settle(arg, record->slot);
	(void)settle(arg, record->old_slot);
	(void)settle(arg, record->src_slot);
	return 0;
}

int recovery_foresee(struct recovery *recovery)
{
	for (size_t i = 0; i < recovery->lost.count; i++)
		recovery_say(recovery,
		             "vectors.npy: slot %" PRIu64 " (vector %" PRIu64
		             ") does not hold what the log says (LSN %" PRIu64 ")",
		             recovery->lost.items[i].slot, recovery->lost.items[i].id,
		             recovery->lost.items[i].lsn);
	recovery->scan.each = settle_named;
	recovery->scan.arg = recovery;
	return wal_scan(&recovery->scan);
}

void recovery_judge_rows(struct recovery *recovery)
{
	for (size_t i = 0; i < recovery->bad_count; i++)
		if (!recovery->bad[i].settled)
			recovery_say(recovery,
			             "meta.npy: row %" PRIu64 " (ID %" PRIu64
			             ") does not match its checksum",
			             recovery->bad[i].slot, recovery->bad[i].id);
}

void recovery_judge(struct recovery *recovery, bool clean)
{
	const struct superblock *sb = &recovery->store->superblock;
	struct slots_counts counts;

	recovery_judge_rows(recovery);
	slots_counts(&recovery->store->slots, &counts);
	if (counts.used - counts.free_below - recovery->superseded.count !=
	            atomic_load(&recovery->store->index.count) &&
	    recovery->damage_count == 0)
		recovery_say(recovery, "wal: its records leave slots that belong to no vector");
	if (recovery->base + recovery->gone != sb->count && recovery->damage_count == 0)
		recovery_say(recovery,
		             "superblock: %" PRIu64 " vectors at LSN %" PRIu64 " expected, %" PRIu64
		             " found in ids.npy and meta.npy%s",
		             sb->count, sb->checkpoint_lsn, recovery->base + recovery->gone,
		             clean ? "" : " and the log");
}

static int free_superseded(struct recovery *recovery)
{
	static const uint64_t none = QUIVER_ID_NONE;
	struct columns *columns = &recovery->store->columns;
	int r = 0;

	for (size_t i = 0; r == 0 && i < recovery->superseded.count; i++)
		r = columns_write_rows(columns, recovery->superseded.items[i].slot, &none, NULL, 1);
	return r;
}

static int free_doomed(struct recovery *recovery)
{
	struct columns *columns = &recovery->store->columns;
	uint64_t rows = atomic_load(&columns->rows);
	uint64_t none[FREE_RUN];
	uint64_t end = recovery->rows < rows ? recovery->rows : rows;
	uint64_t slot = 0;
	int r = 0;

	memset(none, 0xff, sizeof(none)); /* QUIVER_ID_NONE */
	while (r == 0 && slot < end) {
		uint64_t n = 0;

		while (n < FREE_RUN && slot + n < end && is_doomed(recovery, slot + n))
			n++;
		if (n > 0)
			r = columns_write_rows(columns, slot, none, NULL, n);
		slot += n > 0 ? n : 1;
	}
	return r;
}

/* Cut the free rows at the end, but for those that the superblock of now asks for; and write
 * the headers, which may be on disk no more than a free row. */
static int cut_tail(struct recovery *recovery)
{
	struct quiver *store = recovery->store;
	struct slots_counts counts;
	uint64_t rows;
	int r = 0;

	(void)slots_trim(&store->slots);
	slots_counts(&store->slots, &counts);
	rows = counts.used > store->superblock.slots_used ? counts.used
	                                                  : store->superblock.slots_used;
	if (rows < counts.rows && slots_cut(&store->slots, rows))
		r = columns_cut(&store->columns, rows);
	return r ? r : columns_write_headers(&store->columns);
}

/* Keep what lay behind the end of a torn log. */
static int keep_torn(struct recovery *recovery)
{
	struct quiver *store = recovery->store;
	const struct wal_scan *scan = &recovery->scan;
	char from[64];
	char to[80];
	int fd;
	int c;
	int r;

	wal_segment_name(scan->torn_segment, from);
	(void)snprintf(to, sizeof(to), "%s.broken", from);
	fd = store->io->open(store->io, store->dir_fd, "wal", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	r = store->io->rename(store->io, fd, from, to);
	if (r == 0)
		r = io_fsync(store->io, fd);
	c = store->io->close(store->io, fd);
	if (r == 0)
		quiver_report(store,
		              "wal/%s: torn at byte %" PRIu64 " by a crash, after LSN %" PRIu64
		              "; what lay behind was not durable and is kept as wal/%s",
		              from, scan->torn_offset, scan->last_lsn, to);
	return r ? r : c;
}

int recovery_finish(struct recovery *recovery)
{
	struct quiver *store = recovery->store;
	struct superblock *sb = &store->superblock;
	struct slots_counts counts;
	int r = columns_sync(&store->columns, true, true);

	if (r == 0)
		r = cut_tail(recovery);
	if (r == 0)
		r = free_superseded(recovery);
	if (r == 0)
		r = free_doomed(recovery);
	if (r == 0)
		r = columns_sync(&store->columns, true, true);
	if (r)
		return r;
	for (size_t i = 0; i < recovery->superseded.count; i++)
		slots_give(&store->slots, recovery->superseded.items[i].slot);
	(void)slots_trim(&store->slots);
	slots_counts(&store->slots, &counts);
	sb->clean = false;
	sb->slots_used = counts.used;
	sb->count = atomic_load(&store->index.count);
	/* The repair of a store that was closed cleanly reads no log. */
	if (recovery->scan.last_lsn > sb->checkpoint_lsn)
		sb->checkpoint_lsn = recovery->scan.last_lsn;
	/* That of a repair may have applied the first part of a commit. */
	if (recovery->applied_lsn > sb->checkpoint_lsn)
		sb->checkpoint_lsn = recovery->applied_lsn;
	sb->lsn_ceiling += STORE_LSN_STEP;
	if (recovery->scan.last_segment >= sb->wal_first)
		sb->wal_first = recovery->scan.last_segment + 1;
	sb->dir = recovery->dir;
	r = superblock_write(store->io, store->superblock_fd, sb);
	if (r == 0 && recovery->scan.torn)
		r = keep_torn(recovery);
	if (r == 0)
		r = wal_clear(store->io, store->dir_fd);
	return r;
}
