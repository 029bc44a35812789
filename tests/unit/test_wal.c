#include "unit.h"

#include <sys/mman.h>
#include <xxhash.h>

#include "engine/base/fault.h"
#include "engine/log/wal.h"
#include "engine/log/wal_read.h"
#include "engine/media/meta_row.h"
#include "store_test.h"

#define N 200u
#define RECORD_BYTES (128u + N)

struct log {
	struct unit_dir dir;
	struct wal *wal;
	struct trouble_io io;
	struct health health;
	uint64_t lsn; /* last appended */
	uint8_t uuid[16];
};

/* What a scan has handed out. */
struct heard {
	uint64_t lsns[4096];
	size_t count;
	bool wrong;
};

static int setup_with(void **state, bool mapped)
{
	struct log *log = calloc(1, sizeof(*log));

	assert_non_null(log);
	log->wal = calloc(1, sizeof(*log->wal));
	assert_non_null(log->wal);
	unit_dir_make(&log->dir);
	assert_int_equal(mkdirat(log->dir.fd, "wal", 0700), 0);
	trouble_init(&log->io);
	if (mapped)
		log->io.table.map_to_store = quiver_io_posix()->map_to_store;
	memset(log->uuid, 7, sizeof(log->uuid));
	assert_int_equal(health_init(&log->health, false, NULL, NULL), 0);
	assert_int_equal(
		wal_start(log->wal, &log->io.table, &log->health, log->dir.fd, log->uuid, 1, 0), 0);
	*state = log;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, false);
}

static int setup_mapped(void **state)
{
	return setup_with(state, true);
}

static int teardown(void **state)
{
	struct log *log = *state;

	unit_dir_remove(&log->dir);
	health_destroy(&log->health);
	free(log->wal);
	free(log);
	return 0;
}

/* A commit of `count` puts. */
static int append(struct log *log, size_t count)
{
	struct wal_record records[16];
	uint8_t bytes[16][N];
	const void *payloads[16];
	int r;

	assert_true(count <= 16);
	memset(records, 0, sizeof(records));
	for (size_t i = 0; i < count; i++) {
		uint64_t lsn = log->lsn + i + 1;

		vector_fill(bytes[i], N, lsn, lsn);
		payloads[i] = bytes[i];
		records[i] = (struct wal_record){ .type = WAL_PUT,
			                          .more = i + 1 < count,
			                          .lsn = lsn,
			                          .id = lsn,
			                          .slot = lsn,
			                          .old_slot = SLOT_NONE,
			                          .src_slot = SLOT_NONE,
			                          .payload_bytes = N };
		records[i].sum = vector_sum(lsn, lsn, XXH3_64bits(bytes[i], N));
	}
	r = wal_make_room(log->wal, count * RECORD_BYTES, false);
	if (r == 0)
		r = wal_append(log->wal, records, payloads, count, log->lsn % 5 == 4);
	if (r == 0)
		log->lsn += count;
	return r;
}

static void append_many(struct log *log, size_t commits)
{
	for (size_t i = 0; i < commits; i++)
		assert_int_equal(append(log, 1), 0);
}

static int hear(void *arg, const struct wal_record *record, const void *payload)
{
	struct heard *heard = arg;

	if (record->type == WAL_PUT && vector_version(payload, N, record->lsn) != record->lsn)
		heard->wrong = true;
	if (heard->count < 4096)
		heard->lsns[heard->count++] = record->lsn;
	return 0;
}

static struct wal_scan scan(struct log *log, uint64_t first, uint64_t checkpoint,
                            struct heard *heard)
{
	struct wal_scan scan = { .io = quiver_io_posix(),
		                 .dir_fd = log->dir.fd,
		                 .vector_bytes = N,
		                 .first_segment = first,
		                 .checkpoint_lsn = checkpoint,
		                 .each = hear,
		                 .arg = heard };

	memset(heard, 0, sizeof(*heard));
	memcpy(scan.uuid, log->uuid, sizeof(scan.uuid));
	assert_int_equal(wal_scan(&scan), 0);
	assert_false(heard->wrong);
	for (size_t i = 0; i < heard->count; i++)
		assert_int_equal(heard->lsns[i], checkpoint + i + 1);
	return scan;
}

static bool corrupt(const struct wal_scan *scan)
{
	return wal_scan_corrupt(scan);
}

static void stop(struct log *log)
{
	assert_int_equal(wal_stop(log->wal, false), 0);
}

static uint64_t at_record(unsigned n)
{
	return WAL_HEADER_BYTES + n * RECORD_BYTES;
}

#define FIRST "wal/0000000000000001.wal"
#define SECOND "wal/0000000000000002.wal"

static void test_what_was_appended_is_read_in_order(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;

	for (size_t i = 1; i <= 16; i++)
		assert_int_equal(append(log, i), 0);
	stop(log);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(heard.count, 136);
	assert_int_equal(s.last_lsn, 136);
	assert_false(s.torn || corrupt(&s));
	s = scan(log, 1, 100, &heard);
	assert_int_equal(heard.count, 36);
	assert_int_equal(s.records, 36);
}

static void test_an_empty_log_is_a_clean_end(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;

	stop(log);
	s = scan(log, 1, 5, &heard);
	assert_int_equal(s.last_lsn, 5);
	assert_false(s.torn || corrupt(&s));
}

static void test_a_sync_is_shared_and_noted(void **state)
{
	struct log *log = *state;
	uint8_t page[WAL_HEADER_BYTES];

	append_many(log, 10);
	assert_int_equal(wal_sync(log->wal, 4), 0);
	assert_int_equal(atomic_load(&log->wal->durable_lsn), 10);
	assert_int_equal(wal_sync(log->wal, 10), 0);
	assert_int_equal(atomic_load(&log->wal->syncs), 1);
	unit_read(&log->dir, "durable", page, sizeof(page), 0);
	assert_int_equal(durable_decode(page, log->uuid), 10);
	stop(log);
}

static void test_failure_18_a_failed_sync_fails_every_later_one(void **state)
{
	struct log *log = *state;

	append_many(log, 3);
	trouble_arm(&log->io, 1, TROUBLE_ONCE, TROUBLE_SYNC, 0, -EIO);
	assert_int_equal(wal_sync(log->wal, 3), -EIO);
	assert_int_equal(wal_sync(log->wal, 3), -EIO); /* the disk would do it now */
	assert_int_equal(atomic_load(&log->wal->durable_lsn), 0);
	stop(log);
}

/* Else what a power cut takes would be missed as if it had been damaged. */
static void test_nothing_is_noted_before_it_is_durable(void **state)
{
	struct log *log = *state;
	struct heard heard;

	append_many(log, 3);
	assert_int_equal(wal_sync(log->wal, 3), 0);
	append_many(log, 3);
	trouble_arm(&log->io, 1, TROUBLE_ONCE, TROUBLE_SYNC, 0, -EIO);
	assert_int_equal(wal_sync(log->wal, 6), -EIO);
	stop(log);
	assert_int_equal(scan(log, 1, 0, &heard).durable_lsn, 3);
}

static void test_a_failed_append_is_wiped_and_the_log_goes_on(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;

	append_many(log, 2);
	trouble_arm(&log->io, 1, TROUBLE_ONCE, TROUBLE_WRITE, 'l', -ENOSPC);
	assert_int_equal(append(log, 3), -ENOSPC);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(heard.count, 2);
	assert_false(s.torn);
	append_many(log, 1);
	stop(log);
	assert_int_equal(scan(log, 1, 0, &heard).last_lsn, 3);
}

/* Removals that take effect together. */
#define STREAMED 1500u /* of which a part is in memory */

struct stream {
	uint64_t lsn; /* of the last */
	size_t left;
};

static size_t next_removals(void *arg, struct wal_record *records, size_t room)
{
	struct stream *stream = arg;
	size_t n = 0;

	assert_true(room < STREAMED);
	for (; n < room && stream->left > 0; n++) {
		stream->left--;
		records[n] = (struct wal_record){ .type = WAL_REMOVE,
			                          .more = stream->left > 0,
			                          .lsn = ++stream->lsn,
			                          .id = stream->lsn,
			                          .slot = SLOT_NONE,
			                          .old_slot = stream->lsn,
			                          .src_slot = SLOT_NONE };
	}
	return n;
}

static int append_removals(struct log *log)
{
	struct stream stream = { .lsn = log->lsn, .left = STREAMED };
	int r = wal_make_room(log->wal, STREAMED * wal_record_bytes(0), false);

	if (r == 0)
		r = wal_append_stream(log->wal, next_removals, &stream);
	if (r == 0)
		log->lsn += STREAMED;
	return r;
}

static void test_a_stream_is_one_append(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;

	append_many(log, 3);
	assert_int_equal(append_removals(log), 0);
	append_many(log, 3);
	stop(log);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(heard.count, STREAMED + 6);
	assert_int_equal(s.last_lsn, STREAMED + 6);
	assert_false(s.torn || corrupt(&s));
}

static void test_a_stream_that_fails_amid_is_wiped_whole(void **state)
{
	static uint8_t bytes[STREAMED * 128];
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;

	append_many(log, 3);
	trouble_arm(&log->io, 3, TROUBLE_ONCE, TROUBLE_WRITE, 0, -EIO);
	assert_int_equal(append_removals(log), -EIO);
	unit_read(&log->dir, FIRST, bytes, sizeof(bytes), at_record(3));
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0);
	append_many(log, 3);
	assert_int_equal(append_removals(log), 0);
	stop(log);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(heard.count, STREAMED + 6);
	assert_false(s.torn || corrupt(&s));
}

static void test_failure_1_a_torn_record_is_cut_and_the_rest_read(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;
	uint8_t zeros[64] = { 0 };

	append_many(log, 50);
	assert_int_equal(wal_sync(log->wal, 50), 0);
	append_many(log, 1);
	stop(log);
	/* The last record's payload did not reach the disk. */
	unit_write(&log->dir, FIRST, zeros, sizeof(zeros), (off_t)at_record(50) + 140);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(s.last_lsn, 50);
	assert_true(s.torn && !corrupt(&s));
	assert_int_equal(s.torn_segment, 1);
	assert_int_equal(s.torn_offset, at_record(50));
}

/* Nobody knows what it holds, so it is no segment that was never used. What lies behind the end
 * that a header tells is not of the segment. */
static void test_a_segment_that_is_too_large_to_be_one_is_corruption(void **state)
{
	struct log *log = *state;
	struct wal_segment_header header;
	uint8_t page[WAL_HEADER_BYTES];
	struct heard heard;
	struct wal_scan s;

	append_many(log, 3);
	stop(log);
	unit_read(&log->dir, FIRST, page, sizeof(page), 0);
	assert_true(wal_segment_decode(&header, page));
	unit_truncate(&log->dir, FIRST, (off_t)WAL_FILE_BYTES_MAX + 4096);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(s.last_lsn, 3);
	assert_false(s.torn || corrupt(&s));
	header.size_bytes = WAL_FILE_BYTES_MAX + 4096;
	wal_segment_encode(&header, page);
	unit_write(&log->dir, FIRST, page, sizeof(page), 0);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(heard.count, 0);
	assert_int_equal(s.durable_lsn, 0);
	assert_true(corrupt(&s));
	assert_int_equal(s.torn_segment, 1);
}

static void test_what_no_segment_can_hold_is_refused(void **state)
{
	struct log *log = *state;

	assert_int_equal(wal_make_room(log->wal, WAL_FILE_BYTES_MAX - WAL_HEADER_BYTES + 8, false),
	                 -E2BIG);
	append_many(log, 1);
	stop(log);
}

/* Any bit of the header of a record behind which a synced one lies. */
static void test_failure_2_a_flipped_bit_in_mid_log_is_corruption_not_a_tail(void **state)
{
	struct log *log = *state;
	struct heard heard;

	append_many(log, 30);
	assert_int_equal(wal_sync(log->wal, 30), 0);
	append_many(log, 1); /* its header tells, even without the page */
	stop(log);
	assert_int_equal(unlinkat(log->dir.fd, "durable", 0), 0);
	for (unsigned bit = 0; bit < 128 * 8; bit += 5) {
		struct wal_scan s;

		unit_flip(&log->dir, FIRST, at_record(10) * 8 + bit);
		s = scan(log, 1, 0, &heard);
		assert_int_equal(s.last_lsn, 10);
		assert_true(corrupt(&s));
		assert_int_equal(s.torn_offset, at_record(10));
		unit_flip(&log->dir, FIRST, at_record(10) * 8 + bit);
	}
	assert_int_equal(scan(log, 1, 0, &heard).last_lsn, 31);
}

static void test_the_page_durable_alone_tells_of_a_lost_end(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;

	append_many(log, 30);
	assert_int_equal(wal_sync(log->wal, 30), 0);
	stop(log);
	unit_truncate(&log->dir, FIRST, (off_t)at_record(20));
	s = scan(log, 1, 0, &heard);
	assert_int_equal(s.last_lsn, 20);
	assert_true(corrupt(&s));
	assert_int_equal(unlinkat(log->dir.fd, FIRST, 0), 0);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(s.last_lsn, 0);
	assert_true(corrupt(&s));
	/* A damaged page says nothing. */
	unit_flip(&log->dir, "durable", 32 * 8);
	s = scan(log, 1, 0, &heard);
	assert_false(corrupt(&s));
}

/* Through the map there is no call for it; what was noted before the last is there as well, should
 * that be torn. */
static void test_notes_in_durable_tell_of_a_lost_end(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;
	long writes;

	trouble_arm(&log->io, 0, TROUBLE_ONCE, TROUBLE_WRITE, 'd', 0);
	for (uint64_t lsn = 10; lsn <= 60; lsn += 10) {
		append_many(log, 10);
		assert_int_equal(wal_sync(log->wal, lsn), 0);
	}
	writes = atomic_load(&log->io.calls);
	assert_int_equal(writes, 0);
	stop(log);
	unit_truncate(&log->dir, FIRST, (off_t)at_record(20));
	s = scan(log, 1, 0, &heard);
	assert_int_equal(s.durable_lsn, 60);
	assert_true(corrupt(&s));
	/* The six were notes 0 1 2 3 0 1: one after the other is damaged, from the last on. */
	unit_flip(&log->dir, "durable", durable_note_at(1) * 8 + 5);
	assert_int_equal(scan(log, 1, 0, &heard).durable_lsn, 50);
	unit_flip(&log->dir, "durable", durable_note_at(0) * 8 + 100);
	assert_int_equal(scan(log, 1, 0, &heard).durable_lsn, 40);
	unit_flip(&log->dir, "durable", durable_note_at(3) * 8);
	assert_int_equal(scan(log, 1, 0, &heard).durable_lsn, 30);
	/* A page as programs have it that know no notes. */
	unit_truncate(&log->dir, "durable", WAL_HEADER_BYTES);
	s = scan(log, 1, 0, &heard);
	assert_true(s.durable_lsn < 30 && !corrupt(&s));
}

/* Of another store, or another place, a note says nothing. */
static void test_a_note_is_of_one_store_and_one_place(void **state)
{
	static const uint8_t uuid[16] = { 1 };
	static const uint8_t other[16] = { 2 };
	uint8_t bytes[DURABLE_NOTE_BYTES] = { 0 };

	(void)state;
	assert_int_equal(durable_note_decode(bytes, 0, uuid), 0);
	durable_note_encode(77, 1, uuid, bytes);
	assert_int_equal(durable_note_decode(bytes, 1, uuid), 77);
	assert_int_equal(durable_note_decode(bytes, 0, uuid), 0);
	assert_int_equal(durable_note_decode(bytes, 1, other), 0);
	for (unsigned bit = 0; bit < DURABLE_NOTE_BYTES * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(durable_note_decode(bytes, 1, uuid), 0);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_a_group_without_its_last_record_is_not_there(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;

	append_many(log, 5);
	assert_int_equal(append(log, 8), 0);
	stop(log);
	unit_flip(&log->dir, FIRST, at_record(12) * 8 + 20 * 8);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(heard.count, 5);
	assert_int_equal(s.last_lsn, 5);
	assert_true(s.torn);
	assert_int_equal(s.torn_offset, at_record(5));
}

static void test_a_record_copied_elsewhere_is_none(void **state)
{
	struct log *log = *state;
	struct heard heard;
	uint8_t record[RECORD_BYTES];

	append_many(log, 5);
	stop(log);
	unit_read(&log->dir, FIRST, record, sizeof(record), (off_t)at_record(4));
	unit_write(&log->dir, FIRST, record, sizeof(record), (off_t)at_record(5));
	assert_int_equal(scan(log, 1, 0, &heard).last_lsn, 5);
}

static void test_the_log_goes_on_in_the_next_segment(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;

	append_many(log, 4000); /* 1.3 MB: more than the first */
	assert_true(log->wal->count == 2);
	assert_int_equal(wal_sync(log->wal, 4000), 0);
	stop(log);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(heard.count, 4000);
	assert_int_equal(s.last_segment, 2);
	/* The end of the first is gone: what follows in the second does not count. */
	unit_flip(&log->dir, FIRST, at_record(3000) * 8 + 3);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(s.last_lsn, 3000);
	assert_true(corrupt(&s));
}

/* Without its beginning a log must not be replayed from the middle. */
static void test_a_log_that_begins_behind_the_checkpoint_is_not_read(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;

	append_many(log, 4000);
	assert_int_equal(wal_sync(log->wal, 4000), 0);
	stop(log);
	unit_flip(&log->dir, FIRST, 33 * 8); /* its number */
	s = scan(log, 1, 0, &heard);
	assert_int_equal(heard.count, 0);
	assert_int_equal(s.last_lsn, 0);
	assert_true(corrupt(&s));
	/* With a checkpoint up to there it is not needed. */
	s = scan(log, 1, 3500, &heard);
	assert_int_equal(s.last_lsn, 4000);
	assert_false(corrupt(&s));
}

static void test_cut_segments_are_recycled_and_their_records_are_stale(void **state)
{
	struct log *log = *state;
	struct heard heard;
	uint64_t segments;
	uint64_t bytes;
	struct wal_scan s;
	uint64_t first;

	while (log->wal->count < 5) /* 1 + 2 + 4 + 8 MiB and one more */
		assert_int_equal(append(log, 16), 0);
	assert_int_equal(wal_sync(log->wal, log->lsn), 0);
	assert_int_equal(wal_cut(log->wal, log->lsn), 0);
	wal_usage(log->wal, &segments, &bytes);
	assert_int_equal(segments, 1);
	first = wal_first_above(log->wal, log->lsn);
	assert_int_equal(first, 5);
	assert_int_equal(log->wal->spare.size_bytes, 8u << 20);
	/* The next one asked for is larger, so make it small enough to serve. */
	log->wal->next_bytes = 4u << 20;
	assert_int_equal(wal_prepare(log->wal), 0);
	assert_true(log->wal->spare.fd < 0);
	assert_int_equal(log->wal->ready.size_bytes, 8u << 20);
	assert_true(!log->wal->ready.map.map == !log->wal->segments[0].map.map);
	while (log->wal->count < 2)
		assert_int_equal(append(log, 16), 0);
	append_many(log, 3);
	stop(log);
	s = scan(log, first, log->lsn - 3, &heard);
	assert_int_equal(heard.count, 3);
	assert_int_equal(s.last_lsn, log->lsn);
	assert_false(s.torn || corrupt(&s));
}

/* Until the log goes on in another segment, of 8 MiB. */
static void fill_segment(struct log *log)
{
	uint64_t number = log->wal->segments[log->wal->count - 1].number;

	while (log->wal->segments[log->wal->count - 1].number == number) {
		log->wal->next_bytes = 8u << 20;
		assert_int_equal(append(log, 16), 0);
	}
}

/* Whatever the file is called then and whatever its header says, also where it cannot be removed:
 * what is appended before and after is read, and none of its stale records. */
static void test_what_fails_at_recycling_is_not_read(void **state)
{
	static const struct {
		long at;
		enum trouble_how how;
		int kinds, files;
	} steps[] = {
		{ 1, TROUBLE_FROM, TROUBLE_NAME, 0 }, /* the rename, and then the removal */
		{ 1, TROUBLE_ONCE, TROUBLE_WRITE, 'l' }, /* the header */
		{ 1, TROUBLE_ONCE, TROUBLE_SYNC, 'l' },
		{ 2, TROUBLE_FROM, TROUBLE_SYNC | TROUBLE_NAME, 0 }, /* its sync, and the removal */
	};
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;
	uint64_t first = 0;

	fill_segment(log);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		fill_segment(log);
		assert_int_equal(wal_sync(log->wal, log->lsn), 0);
		first = wal_first_above(log->wal, log->lsn);
		assert_int_equal(wal_cut(log->wal, log->lsn), 0);
		assert_true(log->wal->spare.fd >= 0);
		log->wal->next_bytes = 4u << 20;
		trouble_arm(&log->io, steps[i].at, steps[i].how, steps[i].kinds, steps[i].files,
		            -EIO);
		assert_int_equal(wal_prepare(log->wal), 0); /* a line tells of it */
		trouble_disarm(&log->io);
		assert_true(log->wal->spare.fd < 0 && log->wal->ready.fd < 0);
		assert_true(report_total(&log->health.report) > i);
		assert_false(health_failed(&log->health));
	}
	fill_segment(log);
	append_many(log, 3);
	stop(log);
	s = scan(log, first, log->lsn - 3, &heard);
	assert_int_equal(heard.count, 3);
	assert_int_equal(s.last_lsn, log->lsn);
	assert_false(s.torn || corrupt(&s));
}

static void test_nowait_makes_no_segment(void **state)
{
	struct log *log = *state;

	while (wal_make_room(log->wal, RECORD_BYTES, true) == 0)
		append_many(log, 1);
	assert_int_equal(wal_make_room(log->wal, RECORD_BYTES, true), -EAGAIN);
	assert_int_equal(log->wal->count, 1);
	assert_true(wal_wants_prepare(log->wal));
	assert_int_equal(wal_prepare(log->wal), 0);
	assert_false(wal_wants_prepare(log->wal));
	assert_int_equal(wal_make_room(log->wal, RECORD_BYTES, true), 0);
	append_many(log, 1);
	stop(log);
}

static void test_on_a_full_disk_the_log_starts_over_only_behind_a_cut(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;
	uint64_t first;

	trouble_arm(&log->io, 1, TROUBLE_FROM, TROUBLE_ALLOCATE, 'l', -ENOSPC);
	while (wal_make_room(log->wal, RECORD_BYTES, true) == 0)
		append_many(log, 1);
	assert_int_equal(append(log, 1), -ENOSPC);
	assert_int_equal(wal_cut(log->wal, log->lsn - 1), 0);
	assert_int_equal(append(log, 1), -ENOSPC); /* one record is still needed */
	assert_int_equal(wal_cut(log->wal, log->lsn), 0);
	first = log->lsn;
	append_many(log, 5);
	assert_int_equal(wal_sync(log->wal, log->lsn), 0);
	stop(log);
	s = scan(log, 1, first, &heard);
	assert_int_equal(heard.count, 5);
	assert_false(s.torn || corrupt(&s));
}

/* Random damage of the whole file never makes up a record nor crashes. */
static void test_failure_20_no_damage_makes_up_a_record(void **state)
{
	struct log *log = *state;
	uint64_t random = test_seed();
	struct heard heard;

	append_many(log, 40);
	stop(log);
	for (int i = 0; i < 300; i++) {
		uint64_t bit = test_below(&random, at_record(41) * 8);

		unit_flip(&log->dir, FIRST, bit);
		(void)scan(log, 1, 0, &heard); /* checks every byte that it hands out */
		assert_true(heard.count <= 40);
		unit_flip(&log->dir, FIRST, bit);
	}
	assert_int_equal(scan(log, 1, 0, &heard).last_lsn, 40);
}

/* The map is of a file that has become shorter: the record is written, and makes it longer. */
static int append_past_the_end(void *arg)
{
	struct log *log = arg;
	uint8_t bytes[RECORD_BYTES] = { 0 };
	int fd = log->wal->segments[0].fd;

	if (fault_init() != 0 || !log->wal->segments[0].map.map)
		return 1;
	append_many(log, 3);
	unit_truncate(&log->dir, FIRST, WAL_HEADER_BYTES);
	append_many(log, 1);
	if (pread(fd, bytes, sizeof(bytes), (off_t)at_record(3)) != sizeof(bytes) ||
	    vector_version(bytes + RECORD_BYTES - N, N, log->lsn) != log->lsn)
		return 2;
	return wal_stop(log->wal, false) == 0 ? 0 : 3;
}

static void test_what_cannot_be_stored_in_the_map_is_written(void **state)
{
	assert_int_equal(unit_in_child(append_past_the_end, *state), 0);
	stop(*state);
}

/* Half of the payload is there when the process ends. */
static int die_in_an_append(void *arg)
{
	struct log *log = arg;
	long page = sysconf(_SC_PAGESIZE);
	uint8_t *bytes =
		mmap(NULL, (size_t)page * 2, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const void *payload = bytes + page - N / 2;
	struct wal_record record = { .type = WAL_PUT, .lsn = log->lsn + 1, .payload_bytes = N };

	if (bytes == MAP_FAILED || munmap(bytes + page, (size_t)page) != 0 ||
	    wal_make_room(log->wal, RECORD_BYTES, false) != 0)
		return 1;
	return wal_append(log->wal, &record, &payload, 1, false);
}

static void test_a_process_killed_amid_its_stores_leaves_no_torn_record(void **state)
{
	struct log *log = *state;
	struct heard heard;
	struct wal_scan s;

	append_many(log, 10);
	assert_int_equal(unit_in_child(die_in_an_append, log), -SIGSEGV);
	s = scan(log, 1, 0, &heard);
	assert_int_equal(heard.count, 10);
	assert_false(s.torn || corrupt(&s));
	append_many(log, 5); /* over what is left of it */
	s = scan(log, 1, 0, &heard);
	assert_int_equal(heard.count, 15);
	stop(log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define MAPPED(test) cmocka_unit_test_setup_teardown(test, setup_mapped, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_what_was_appended_is_read_in_order),
		TEST(test_an_empty_log_is_a_clean_end),
		TEST(test_a_sync_is_shared_and_noted),
		TEST(test_failure_18_a_failed_sync_fails_every_later_one),
		TEST(test_nothing_is_noted_before_it_is_durable),
		MAPPED(test_nothing_is_noted_before_it_is_durable),
		TEST(test_a_failed_append_is_wiped_and_the_log_goes_on),
		TEST(test_a_stream_is_one_append),
		TEST(test_a_stream_that_fails_amid_is_wiped_whole),
		TEST(test_failure_1_a_torn_record_is_cut_and_the_rest_read),
		TEST(test_a_segment_that_is_too_large_to_be_one_is_corruption),
		TEST(test_what_no_segment_can_hold_is_refused),
		TEST(test_failure_2_a_flipped_bit_in_mid_log_is_corruption_not_a_tail),
		TEST(test_the_page_durable_alone_tells_of_a_lost_end),
		MAPPED(test_notes_in_durable_tell_of_a_lost_end),
		TEST(test_a_note_is_of_one_store_and_one_place),
		TEST(test_a_group_without_its_last_record_is_not_there),
		TEST(test_a_record_copied_elsewhere_is_none),
		TEST(test_the_log_goes_on_in_the_next_segment),
		TEST(test_a_log_that_begins_behind_the_checkpoint_is_not_read),
		TEST(test_cut_segments_are_recycled_and_their_records_are_stale),
		TEST(test_what_fails_at_recycling_is_not_read),
		TEST(test_nowait_makes_no_segment),
		TEST(test_on_a_full_disk_the_log_starts_over_only_behind_a_cut),
		TEST(test_failure_20_no_damage_makes_up_a_record),
		MAPPED(test_a_stream_is_one_append),
		MAPPED(test_what_was_appended_is_read_in_order),
		MAPPED(test_failure_1_a_torn_record_is_cut_and_the_rest_read),
		MAPPED(test_the_log_goes_on_in_the_next_segment),
		MAPPED(test_cut_segments_are_recycled_and_their_records_are_stale),
		MAPPED(test_what_cannot_be_stored_in_the_map_is_written),
		MAPPED(test_a_process_killed_amid_its_stores_leaves_no_torn_record),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
