#include "engine/recovery/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fault.h"
#include "engine/commit/checkpoint.h"
#include "engine/log/wal.h"
#include "engine/recovery/keep.h"
#include "engine/recovery/kept.h"

#define FREE_RUN 256u /* rows freed in one write: some blocks of meta.npy */

static bool is_doomed(const struct recovery *recovery, uint64_t slot)
{
	return slot < recovery->rows && (recovery->doomed[slot / 64] >> (slot % 64) & 1);
}

void recovery_set_doomed(struct recovery *recovery, uint64_t slot, bool on)
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
	uint64_t rows = atomic_load(&recovery->catalog->columns.rows);
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
	recovery_set_doomed(recovery, slot, true);
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

int recovery_init(struct recovery *recovery, struct catalog *catalog,
                  struct superblock_file *superblock, int dir_fd)
{
	memset(recovery, 0, sizeof(*recovery));
	recovery->catalog = catalog;
	recovery->superblock = superblock;
	recovery->dir_fd = dir_fd;
	recovery->dir = recovery->superblock->now.dir;
	recovery->ctime_max_ns = recovery->superblock->now.ctime_max_ns;
	recovery->rows = atomic_load(&recovery->catalog->columns.rows);
	recovery->doomed = calloc(recovery->rows / 64 + 1, 8);
	return recovery->doomed ? 0 : -ENOMEM;
}

void recovery_free(struct recovery *recovery)
{
	kept_free(recovery);
	free(recovery->run);
	free(recovery->run_ids);
	free(recovery->run_rows);
	free(recovery->doomed);
	free(recovery->bad);
	free(recovery->superseded.items);
	free(recovery->slot_refs.items);
	free(recovery->unreadable.items);
	free(recovery->missing.items);
	wal_kept_clear(&recovery->log);
}

int recovery_holds(const struct recovery *recovery, uint64_t slot, const struct wal_record *record)
{
	uint64_t hash = 0;
	int r;

	if (slot >= atomic_load(&recovery->catalog->columns.rows))
		return 0;
	r = fault_hash(columns_vector(&recovery->catalog->columns, slot),
	               recovery->catalog->columns.geometry.vector_bytes, &hash);
	return r ? r : vector_sum(record->id, record->lsn, hash) == record->sum;
}

int recovery_note(struct deferred_free_list *list, const struct wal_record *record)
{
	int r = deferred_frees_make_room(list, 1);

	if (r == 0)
		list->items[list->count++] = (struct deferred_free){ .slot = record->slot,
			                                             .id = record->id,
			                                             .lsn = record->lsn };
	return r;
}

/* Whether it is looked in its slot whether the vector of a PUT is there, which costs less than
 * writing and syncing it; of as many as are kept in memory. */
static bool is_looked_for(struct recovery *recovery, const struct wal_record *record)
{
	if (record->type != WAL_PUT || recovery->look_only || recovery->log.more)
		return false;
	recovery->looked_lsn = record->lsn;
	return true;
}

static int collect(void *arg, const struct wal_record *record, const void *payload)
{
	struct recovery *recovery = arg;

	int r = recovery->kept ? kept_name(recovery, record) : 0;

	(void)payload;
	recovery->names_slots |= record->type == WAL_PUTSLOT;
	if (r == 0 && (record->type == WAL_PUTSLOT || is_looked_for(recovery, record)))
		r = slot_refs_add(&recovery->slot_refs, record);
	return r;
}

/* Where the log was read to its end but for the slots that it names. One that was durable and is
 * damaged is one vector lost; else the first that holds something else ends the log. */
static int judge_slot_refs(struct recovery *recovery)
{
	struct wal_scan *scan = &recovery->scan;
	struct slot_ref_list *refs = &recovery->slot_refs;
	int r;

	r = slot_refs_check(refs, &recovery->catalog->columns, !recovery->look_only);
	if (r == 0)
		r = slot_refs_split(refs, &recovery->missing);
	for (size_t i = 0; r == 0 && i < refs->count; i++) {
		const struct slot_ref *bad = &refs->items[i];

		if (bad->lsn <= scan->durable_lsn)
			continue;
		if (bad->state != -EBADMSG)
			return bad->state;
		refs->count = i;
		scan->bad_slot_lsn = bad->lsn;
		scan->each = NULL;
		return wal_scan(scan);
	}
	return r;
}

static int read_log(struct recovery *recovery)
{
	struct wal_scan *scan = &recovery->scan;
	int r;

	/* Of a log that was cut off by a crash the kernel has much to write. */
	columns_write_soon(&recovery->catalog->columns);
	scan->each = collect;
	scan->arg = recovery;
	r = wal_scan(scan);
	if (r == 0)
		r = judge_slot_refs(recovery);
	/* Where writing a page fails, the kernel calls it clean and goes on showing it. A page
	 * that is written over such a one may even lack the filesystem's note that it belongs
	 * to the file: ext4 then reads zeros after a power cut. The log's pages had theirs when
	 * it was filled with zeros. */
	if (r)
		return r;
	return recovery->kept ? kept_look(recovery) : columns_forget(&recovery->catalog->columns);
}

int recovery_keep(struct recovery *recovery, uint64_t generation)
{
	return kept_begin(recovery, generation);
}

int recovery_read_log(struct recovery *recovery)
{
	struct wal_scan *scan = &recovery->scan;
	int r;

	scan->io = recovery->superblock->io;
	scan->kept = &recovery->log;
	scan->dir_fd = recovery->dir_fd;
	memcpy(scan->uuid, recovery->catalog->columns.geometry.uuid, sizeof(scan->uuid));
	scan->vector_bytes = recovery->catalog->columns.geometry.vector_bytes;
	scan->first_segment = recovery->superblock->now.wal_first;
	scan->checkpoint_lsn = recovery->superblock->now.checkpoint_lsn;
	r = read_log(recovery);
	if (r == 0 && scan->oversized)
		recovery_say(recovery,
		             "wal/%016" PRIx64 ".wal: the segment is larger than %" PRIu64
		             " bytes, which is impossible, so it was not read; `quiverfs check "
		             "--repair` keeps the commits up to LSN %" PRIu64
		             ", loses those after it, and moves the rest of the log to lost+found",
		             scan->torn_segment, (uint64_t)WAL_FILE_BYTES_MAX, scan->last_lsn);
	else if (r == 0 && wal_scan_corrupt(scan))
		recovery_say(recovery,
		             "wal/%016" PRIx64 ".wal: corrupt at byte %" PRIu64
		             ": commits up to LSN %" PRIu64
		             " were durable, but the log can be read only up to LSN %" PRIu64
		             "; `quiverfs check --repair` keeps the commits up to there, loses "
		             "those after it, and moves the rest of the log to lost+found",
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

bool recovery_settle(struct recovery *recovery, uint64_t slot)
{
	size_t from = 0;
	size_t count = recovery->bad_count;

	/* They were found in the order of their slots. */
	while (from < count) {
		size_t middle = from + (count - from) / 2;
		struct bad_row *bad = &recovery->bad[middle];

		if (bad->slot == slot) {
			bool was = bad->settled;

			bad->settled = true;
			return !was;
		}
		if (bad->slot < slot)
			from = middle + 1;
		else
			count = middle;
	}
	return false;
}

int recovery_adopt(struct recovery *recovery, uint64_t id, uint64_t slot)
{
	int r = index_make_room(&recovery->catalog->index, 1);

	if (r)
		return r;
	index_insert(&recovery->catalog->index, id, slot);
	slots_load_live(&recovery->catalog->slots, slot);
	return 0;
}

/* A row that does not match its crc: torn by the crash, or damage, which the log and the count will
 * tell. */
static int judge_bad_row(struct recovery *recovery, uint64_t slot, uint64_t id, bool clean)
{
	/* At the checkpoint there was nothing, maybe not even the NONE that growing writes. */
	if (!clean && slot >= recovery->superblock->now.slots_used) {
		recovery_set_doomed(recovery, slot, true);
		return 0;
	}
	return add_bad(recovery, slot, id);
}

static int judge_row(struct recovery *recovery, uint64_t slot, bool clean)
{
	uint64_t id = columns_id(&recovery->catalog->columns, slot);
	struct meta_row row;
	int r = columns_meta(&recovery->catalog->columns, slot, id, &row);

	if (r == -EBADMSG)
		return judge_bad_row(recovery, slot, id, clean);
	if (r)
		return r;
	if (row.lsn == 0) {
		if (id != QUIVER_ID_NONE && clean)
			return add_bad(recovery, slot, id);
		/* Free it once more: after a sync that failed in an earlier life it may be free
		 * in the kernel's memory alone. */
		recovery_set_doomed(recovery, slot, !clean);
		return 0;
	}
	if (row.lsn > recovery->superblock->now.checkpoint_lsn || id > QUIVER_ID_MAX) {
		if (clean || id > QUIVER_ID_MAX)
			return add_bad(recovery, slot, id);
		recovery_set_doomed(recovery, slot, true);
		return 0;
	}
	if (index_find(&recovery->catalog->index, id) != SLOT_NONE) {
		recovery_say(recovery,
		             "ids.npy: ID %" PRIu64 " is in rows %" PRIu64 " and %" PRIu64, id,
		             index_find(&recovery->catalog->index, id), slot);
		return add_bad(recovery, slot, id);
	}
	recovery->base++;
	return recovery_adopt(recovery, id, slot);
}

int recovery_base(struct recovery *recovery, bool clean)
{
	uint64_t rows = recovery->rows;
	int r = 0;

	for (uint64_t slot = 0; r == 0 && slot < rows; slot++)
		r = judge_row(recovery, slot, clean);
	atomic_fetch_add(&recovery->catalog->health->counters.rows_scanned, rows);
	return r;
}

/* Whether the vectors of the checkpoint are all there, or were until the log freed them. */
static bool base_is_whole(const struct recovery *recovery)
{
	return recovery->base + recovery->gone == recovery->superblock->now.count;
}

void recovery_settle_torn(struct recovery *recovery)
{
	if (recovery->superblock->now.clean || !base_is_whole(recovery))
		return;
	for (size_t i = 0; i < recovery->bad_count; i++)
		if (!recovery->bad[i].settled) {
			recovery->bad[i].settled = true;
			recovery_set_doomed(recovery, recovery->bad[i].slot, true);
		}
}

void recovery_judge_rows(struct recovery *recovery)
{
	recovery_settle_torn(recovery);
	for (size_t i = 0; i < recovery->bad_count; i++)
		if (!recovery->bad[i].settled)
			recovery_say(recovery,
			             "meta.npy: row %" PRIu64 " (ID %" PRIu64
			             ") does not match its checksum",
			             recovery->bad[i].slot, recovery->bad[i].id);
}

void recovery_judge(struct recovery *recovery, bool clean)
{
	const struct superblock *sb = &recovery->superblock->now;
	struct slots_counts counts;

	recovery_judge_rows(recovery);
	slots_counts(&recovery->catalog->slots, &counts);
	if (counts.used - counts.free_below - recovery->superseded.count !=
	            atomic_load(&recovery->catalog->index.count) &&
	    recovery->damage_count == 0)
		recovery_say(recovery,
		             "wal: after its records some slots do not belong to any vector");
	if (!base_is_whole(recovery) && recovery->damage_count == 0)
		recovery_say(recovery,
		             "superblock: expected %" PRIu64 " vectors at LSN %" PRIu64
		             ", found %" PRIu64 " in ids.npy and meta.npy%s",
		             sb->count, sb->checkpoint_lsn, recovery->base + recovery->gone,
		             clean ? "" : " and the log");
}

static int free_superseded(struct recovery *recovery)
{
	static const uint64_t none = QUIVER_ID_NONE;
	struct columns *columns = &recovery->catalog->columns;
	int r = 0;

	for (size_t i = 0; r == 0 && i < recovery->superseded.count; i++)
		r = columns_write_rows(columns, recovery->superseded.items[i].slot, &none, NULL, 1);
	return r;
}

static int free_doomed(struct recovery *recovery)
{
	struct columns *columns = &recovery->catalog->columns;
	uint64_t rows = atomic_load(&columns->rows);
	uint64_t none[FREE_RUN];
	uint64_t end = recovery->rows < rows ? recovery->rows : rows;
	uint64_t slot = 0;
	int r = 0;

	memset(none, 0xff, sizeof(none)); /* QUIVER_ID_NONE */
	while (r == 0 && slot < end) {
		uint64_t n = 0;

		if (slot % 64 == 0 && recovery->doomed[slot / 64] == 0) {
			slot += 64;
			continue;
		}
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
	struct slots_counts counts;
	uint64_t rows;
	int r = 0;

	(void)slots_trim(&recovery->catalog->slots);
	slots_counts(&recovery->catalog->slots, &counts);
	rows = counts.used > recovery->superblock->now.slots_used
	               ? counts.used
	               : recovery->superblock->now.slots_used;
	if (rows < counts.rows && slots_cut(&recovery->catalog->slots, rows))
		r = columns_cut(&recovery->catalog->columns, rows);
	return r ? r : columns_write_headers(&recovery->catalog->columns);
}

/* Keep what lay behind the end of a torn log. */
static int keep_torn(struct recovery *recovery)
{
	const struct wal_scan *scan = &recovery->scan;
	char from[64];
	char to[80];
	int fd;
	int c;
	int r;

	wal_segment_name(scan->torn_segment, from);
	(void)snprintf(to, sizeof(to), "%s.broken", from);
	fd = recovery->superblock->io->open(recovery->superblock->io, recovery->dir_fd, "wal",
	                                    O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	r = recovery->superblock->io->rename(recovery->superblock->io, fd, from, to);
	if (r == 0)
		r = io_fsync(recovery->superblock->io, fd);
	c = recovery->superblock->io->close(recovery->superblock->io, fd);
	if (r == 0)
		report_add(&recovery->catalog->health->report,
		           "wal/%s: cut at byte %" PRIu64 " by a crash, after LSN %" PRIu64
		           "; the bytes after that were not durable, and are kept as wal/%s",
		           from, scan->torn_offset, scan->last_lsn, to);
	return r ? r : c;
}

int recovery_finish(struct recovery *recovery)
{
	struct superblock *sb = &recovery->superblock->now;
	struct slots_counts counts;
	/* Until its successor is on the disk a row stays, with its slot: the log may say that the bytes
	 * were there. What else is freed nobody looks for. */
	int r = recovery->superseded.count > 0
	                ? columns_sync(&recovery->catalog->columns, true, true)
	                : 0;

	keep_hold_slots(recovery->catalog);
	if (r == 0)
		r = cut_tail(recovery);
	if (r == 0)
		r = free_superseded(recovery);
	if (r == 0)
		r = free_doomed(recovery);
	if (r == 0)
		r = columns_sync(&recovery->catalog->columns, true, true);
	if (r)
		return r;
	for (size_t i = 0; i < recovery->superseded.count; i++)
		if (!versions_hold(&recovery->catalog->versions,
		                   recovery->superseded.items[i].slot))
			slots_give(&recovery->catalog->slots, recovery->superseded.items[i].slot);
	(void)slots_trim(&recovery->catalog->slots);
	slots_counts(&recovery->catalog->slots, &counts);
	sb->clean = false;
	sb->slots_used = counts.used;
	sb->count = atomic_load(&recovery->catalog->index.count);
	/* The repair of a store that was closed cleanly reads no log. */
	if (recovery->scan.last_lsn > sb->checkpoint_lsn)
		sb->checkpoint_lsn = recovery->scan.last_lsn;
	/* That of a repair may have applied the first part of a commit. */
	if (recovery->applied_lsn > sb->checkpoint_lsn)
		sb->checkpoint_lsn = recovery->applied_lsn;
	sb->lsn_ceiling += CHECKPOINT_LSN_STEP;
	if (recovery->scan.last_segment >= sb->wal_first)
		sb->wal_first = recovery->scan.last_segment + 1;
	sb->dir = recovery->dir;
	if (sb->version == 1) /* as whoever opens it next will find it */
		sb->dir.ctime_ns = sb->dir.mtime_ns;
	sb->ctime_max_ns = recovery->ctime_max_ns;
	keep_tell(recovery->catalog, sb);
	r = health_judge(recovery->catalog->health, HEALTH_INDEX_KEEP,
	                 catalog_keep_index(recovery->catalog, sb));
	if (r)
		return r;
	r = superblock_write(recovery->superblock->io, recovery->superblock->fd, sb);
	/* The next open finds it by either name. */
	(void)catalog_keep_end(recovery->catalog, r == 0 ? INDEX_NAMED : INDEX_MAYBE_NAMED);
	if (r == 0 && recovery->scan.torn)
		r = keep_torn(recovery);
	if (r == 0)
		r = wal_clear(recovery->superblock->io, recovery->dir_fd);
	return r;
}
