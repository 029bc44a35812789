#include "engine/recovery/kept.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/disk/regions_file.h"

/* Pages between two that are dropped go, too, where dropping them costs less than another call. */
#define GAP_BYTES (UINT64_C(64) << 10)
/* Of IDs in a page: the rows beside them fill some pages. */
#define ROWS_GAP (COLUMN_HEADER_BYTES / sizeof(uint64_t))

static void set_bit(uint64_t *bits, uint64_t at)
{
	bits[at / 64] |= UINT64_C(1) << (at % 64);
}

/* What cannot be read is not needed: the rows say the same. */
static int unusable(int r)
{
	return r == 0 || r == -ENOMEM ? r : -EBADMSG;
}

int kept_begin(struct recovery *recovery, uint64_t generation)
{
	struct regions_file file;
	int c;
	int r;

	recovery->noted = malloc(REGIONS_MAX / 8);
	recovery->named_rows = calloc(recovery->rows / 64 + 1, 8);
	recovery->named_slots = calloc(recovery->rows / 64 + 1, 8);
	if (!recovery->noted || !recovery->named_rows || !recovery->named_slots)
		return -ENOMEM;
	r = regions_file_open(&file, recovery->superblock->io, recovery->dir_fd,
	                      recovery->superblock->now.geometry.uuid, false);
	if (r)
		return unusable(r);
	r = unusable(regions_file_read(&file, generation, recovery->noted));
	c = regions_file_close(&file);
	recovery->named_end = 0;
	recovery->base = recovery->superblock->now.count;
	recovery->kept = true;
	return r ? r : c;
}

void kept_free(struct recovery *recovery)
{
	free(recovery->noted);
	free(recovery->named_rows);
	free(recovery->named_slots);
	free(recovery->ended.items);
}

/* A row that a record changes. */
static void name_row(struct recovery *recovery, uint64_t slot)
{
	if (slot < recovery->rows) /* not NONE */
		set_bit(recovery->named_rows, slot);
}

/* ... and that it ends, as the row of `id`. */
static int name_end(struct recovery *recovery, uint64_t slot, uint64_t id, uint64_t lsn)
{
	int r;

	if (slot >= recovery->rows || !slots_is_live(&recovery->catalog->slots, slot))
		return 0; /* it was made since the checkpoint, or there is none */
	name_row(recovery, slot);
	r = deferred_frees_make_room(&recovery->ended, 1);
	if (r == 0)
		recovery->ended.items[recovery->ended.count++] =
			(struct deferred_free){ .slot = slot, .id = id, .lsn = lsn };
	return r;
}

int kept_name(struct recovery *recovery, const struct wal_record *record)
{
	uint64_t was = record->type == WAL_RENAME ? record->aux : record->id;
	int r = name_end(recovery, record->old_slot, record->id, record->lsn);

	if (r == 0)
		r = name_end(recovery, record->src_slot, was, record->lsn);
	if (r)
		return r;
	name_row(recovery, record->slot);
	if (record->slot > SLOT_MAX || record->type == WAL_SETATTR)
		return 0;
	recovery->named_puts++;
	if (record->slot >= recovery->named_end)
		recovery->named_end = record->slot + 1;
	if (record->slot < recovery->rows)
		set_bit(recovery->named_slots, record->slot);
	return 0;
}

/* A table that is about to be replaced has to be in memory, all of it. */
static int room_for(struct recovery *recovery, uint64_t count)
{
	struct index *index = &recovery->catalog->index;
	struct slots *slots = &recovery->catalog->slots;
	struct slots_counts counts;

	if (index_is_whole(index) || !index_is_outlived(index, count))
		return 0;
	slots_counts(slots, &counts);
	return index_load_rest(index, (const uint64_t *)(uintptr_t)slots->live, counts.used);
}

int kept_ready(struct recovery *recovery, const struct wal_record *record)
{
	const struct index *index = &recovery->catalog->index;
	int r = room_for(recovery, 1);

	if (r == 0 && record->type != WAL_DIRATTR)
		r = index_ready(index, record->id, 1);
	if (r == 0 && record->type == WAL_RENAME)
		r = index_ready(index, record->aux, 1);
	return unusable(r);
}

int kept_restore(struct recovery *recovery)
{
	struct columns *columns = &recovery->catalog->columns;
	int r = unusable(room_for(recovery, recovery->named_puts));

	for (size_t i = 0; r == 0 && i < recovery->ended.count; i++) {
		const struct deferred_free *end = &recovery->ended.items[i];

		if (columns_id(columns, end->slot) != QUIVER_ID_NONE)
			continue;
		r = unusable(index_ready(&recovery->catalog->index, end->id, 1));
		if (r == 0 && index_names(&recovery->catalog->index, end->id, end->slot))
			r = columns_write_id(columns, end->slot, end->id);
	}
	return r;
}

/* Rows from `from` to `to` that are not live at the checkpoint. */
static void doom_free(struct recovery *recovery, uint64_t from, uint64_t to)
{
	const struct slots *slots = &recovery->catalog->slots;

	uint64_t doomed = 0;

	for (uint64_t slot = from; slot < to && slot < recovery->rows; slot++)
		if (!slots_is_live(slots, slot)) {
			set_bit(recovery->doomed, slot);
			set_bit(recovery->named_rows, slot);
			set_bit(recovery->named_slots, slot);
			doomed++;
		}
	atomic_fetch_add(&recovery->catalog->health->counters.rows_scanned, doomed);
}

static void doom_all(struct recovery *recovery)
{
	uint64_t slots_used = recovery->superblock->now.slots_used;

	for (uint64_t region = 0; region < REGIONS_MAX; region++) {
		uint64_t from = region * REGION_SLOTS;
		uint64_t to = from + REGION_SLOTS;

		if (from >= slots_used)
			break;
		if (recovery->noted[region / 8] >> (region % 8) & 1)
			doom_free(recovery, from, to < slots_used ? to : slots_used);
	}
	/* What lies behind that is cut. */
	doom_free(recovery, slots_used, recovery->named_end);
}

/* The next slot from `from` on whose bit is set, or `end`. */
static uint64_t next_set(const uint64_t *bits, uint64_t from, uint64_t end)
{
	uint64_t word = from / 64;
	uint64_t left;

	if (from >= end)
		return end;
	left = bits[word] & ~UINT64_C(0) << (from % 64);
	while (left == 0) {
		if (++word * 64 >= end)
			return end;
		left = bits[word];
	}
	from = word * 64 + (uint64_t)__builtin_ctzll(left);
	return from < end ? from : end;
}

/* Have what is set read from the disk; so many slots that are not set between two come with them. */
static int forget_set(const struct recovery *recovery, const uint64_t *bits, uint64_t gap,
                      int (*forget)(const struct columns *columns, uint64_t slot, uint64_t count))
{
	const uint64_t end = recovery->rows;
	uint64_t from = next_set(bits, 0, end);
	int r = 0;

	while (r == 0 && from < end) {
		uint64_t to = from + 1;
		uint64_t next = next_set(bits, to, end);

		while (next < end && next - to <= gap) {
			to = next + 1;
			next = next_set(bits, to, end);
		}
		r = forget(&recovery->catalog->columns, from, to - from);
		from = next;
	}
	return r;
}

int kept_look(struct recovery *recovery)
{
	const uint64_t n = recovery->catalog->columns.geometry.vector_bytes;
	int r;

	doom_all(recovery);
	r = forget_set(recovery, recovery->named_rows, ROWS_GAP, columns_forget_rows);
	return r ? r
	         : forget_set(recovery, recovery->named_slots, GAP_BYTES / n,
	                      columns_forget_vectors);
}
