/*
 * test_versions_file.c - the file of the rows that only snapshots have: its bytes, what counts of it
 * after a crash or damage, and writing it anew.
 */
#include "unit.h"

#include <xxhash.h>

#include "engine/disk/versions_file.h"
#include "failing_io.h"

#define NAME "versions"
#define NEW_NAME "versions.new"
#define RECORDS_MAX 3000u

static const uint8_t uuid[16] = { 1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16 };
static const uint8_t other_uuid[16] = { 9, 8, 7 };

static struct version_record sample(uint64_t n)
{
	return (struct version_record){ .slot = n % 7,
		                        .id = 1000 + n,
		                        .until = 20 + n,
		                        .row = { .lsn = 5 + n,
		                                 .sum = n * 0x0102030405060708,
		                                 .attr = { .mtime_ns = (int64_t)n,
		                                           .ctime_ns = -(int64_t)n,
		                                           .uid = 7,
		                                           .gid = 8,
		                                           .mode = 0640 },
		                                 .attr_lsn = 9 + n },
		                        .kind = n % 3 ? VERSION_SUPERSEDED : VERSION_ATTRIBUTES };
}

static void check_same(const struct version_record *a, const struct version_record *b)
{
	assert_int_equal(a->slot, b->slot);
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->until, b->until);
	assert_int_equal(a->row.lsn, b->row.lsn);
	assert_int_equal(a->row.sum, b->row.sum);
	assert_int_equal(a->row.attr_lsn, b->row.attr_lsn);
	assert_int_equal(a->row.attr.mtime_ns, b->row.attr.mtime_ns);
	assert_int_equal(a->row.attr.ctime_ns, b->row.attr.ctime_ns);
	assert_int_equal(a->row.attr.uid, b->row.attr.uid);
	assert_int_equal(a->row.attr.gid, b->row.attr.gid);
	assert_int_equal(a->row.attr.mode, b->row.attr.mode);
	assert_int_equal(a->kind, b->kind);
}

/* What an opening has read. */
struct seen {
	uint64_t count;
	uint64_t lost;
	uint8_t there[RECORDS_MAX];
};

static int see(void *arg, uint64_t number, const struct version_record *record)
{
	struct version_record expected = sample(number);
	struct seen *seen = arg;

	assert_true(number < RECORDS_MAX);
	check_same(record, &expected);
	assert_int_equal(seen->there[number], 0);
	seen->there[number] = 1;
	seen->count++;
	return 0;
}

static void begin(struct versions_file *file, const struct quiver_io *io,
                  const struct unit_dir *dir)
{
	versions_file_init(file, io, dir->fd, uuid);
	assert_int_equal(file->fd, -1);
}

static int open_io(struct versions_file *file, const struct quiver_io *io,
                   const struct unit_dir *dir, const struct versions_extent *extent, bool read_only,
                   struct seen *seen)
{
	memset(seen, 0, sizeof(*seen));
	begin(file, io, dir);
	return versions_file_open(file, extent, read_only, see, seen, &seen->lost);
}

static int open_as(struct versions_file *file, const struct unit_dir *dir,
                   const struct versions_extent *extent, bool read_only, struct seen *seen)
{
	return open_io(file, quiver_io_posix(), dir, extent, read_only, seen);
}

/* `count` more. */
static void append(struct versions_file *file, uint64_t count)
{
	struct version_record *records = calloc(count, sizeof(*records));

	assert_non_null(records);
	for (uint64_t i = 0; i < count; i++)
		records[i] = sample(file->records + i);
	assert_int_equal(versions_file_append(file, records, count), 0);
	assert_int_equal(versions_file_sync(file), 0);
	free(records);
}

/* A file with so many, closed; what the superblock would say. */
static struct versions_extent made(const struct unit_dir *dir, uint64_t count, bool trim)
{
	struct versions_extent extent;
	struct versions_file file;

	begin(&file, quiver_io_posix(), dir);
	assert_int_equal(versions_file_create(&file), 0);
	assert_int_equal(versions_file_make_room(&file, count), 0);
	append(&file, count);
	extent = versions_file_extent(&file, 77);
	assert_int_equal(versions_file_close(&file, trim), 0);
	return extent;
}

/* How many are read, and how many bytes are lost; read-only first, which changes nothing. */
static void check_read(const struct unit_dir *dir, const struct versions_extent *extent,
                       uint64_t count, uint64_t lost, enum versions_found found)
{
	struct versions_file file;
	struct seen seen;
	struct stat before, after;

	assert_int_equal(fstatat(dir->fd, NAME, &before, 0), 0);
	assert_int_equal(open_as(&file, dir, extent, true, &seen), 0);
	assert_int_equal(seen.count, count);
	assert_int_equal(seen.lost, lost);
	assert_int_equal(file.found, found);
	assert_int_equal(versions_file_close(&file, false), 0);
	assert_int_equal(fstatat(dir->fd, NAME, &after, 0), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

static const struct versions_extent none;

static uint64_t offset_of(uint64_t number)
{
	return VERSIONS_HEADER_BYTES + number * VERSION_RECORD_BYTES;
}

/* ---- bytes ---- */

static void the_bytes_are_those_of_the_format(void **state)
{
	struct version_record record = sample(1), found;
	uint8_t to[VERSION_RECORD_BYTES], covered[88 + 16] = { 0 };
	uint8_t page[VERSIONS_HEADER_BYTES];
	struct versions_header header = { .generation = 0x0102, .born_bytes = 4096 + 96 * 3 };
	uint64_t sum;

	(void)state;
	version_record_encode(&record, 0x0304, 4096 + 96, to);
	assert_memory_equal(to, "\1\0\0\0\0\0\0\0\xe9\3\0\0\0\0\0\0\x15\0\0\0\0\0\0\0", 24);
	assert_memory_equal(to + 24, "\6\0\0\0\0\0\0\0", 8); /* the row: its LSN is first */
	assert_memory_equal(to + 80, "\1\0\0\0\0\0\0\0", 8);
	memcpy(covered, to, 88);
	covered[88] = 4;
	covered[89] = 3;
	covered[96] = (4096 + 96) & 0xff;
	covered[97] = (4096 + 96) >> 8;
	sum = XXH3_64bits(covered, sizeof(covered));
	for (int i = 0; i < 8; i++)
		assert_int_equal(to[88 + i], sum >> 8 * i & 0xff);
	assert_int_equal(version_record_decode(to, 0x0304, 4096 + 96, &found), 0);
	check_same(&found, &record);
	/* At another place, or of another generation, it is none. */
	assert_int_equal(version_record_decode(to, 0x0304, 4096, &found), -EBADMSG);
	assert_int_equal(version_record_decode(to, 0x0305, 4096 + 96, &found), -EBADMSG);
	for (size_t bit = 0; bit < sizeof(to) * 8; bit++) {
		to[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(version_record_decode(to, 0x0304, 4096 + 96, &found), -EBADMSG);
		to[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	memcpy(header.uuid, uuid, sizeof(uuid));
	versions_header_encode(&header, page);
	assert_memory_equal(page, "QUIVERVS\1\0\0\0", 12);
	assert_memory_equal(page + 16, uuid, 16);
	assert_memory_equal(page + 32, "\2\1\0\0\0\0\0\0\x20\x11\0\0\0\0\0\0", 16);
	sum = XXH3_64bits(page, 4088);
	for (int i = 0; i < 8; i++)
		assert_int_equal(page[4088 + i], sum >> 8 * i & 0xff);
}

static int decode_record(void (*spoil)(struct version_record *record))
{
	struct version_record record = sample(1), found;
	uint8_t to[VERSION_RECORD_BYTES];

	spoil(&record);
	version_record_encode(&record, 1, 4096, to);
	return version_record_decode(to, 1, 4096, &found);
}

static void high_slot(struct version_record *record)
{
	record->slot = SLOT_MAX + 1;
}

static void high_id(struct version_record *record)
{
	record->id = UINT64_MAX;
}

static void free_row(struct version_record *record)
{
	record->row.lsn = 0;
}

static void ends_before(struct version_record *record)
{
	record->until = record->row.attr_lsn;
}

static void no_kind(struct version_record *record)
{
	record->kind = (enum version_kind)3;
}

static void nothing(struct version_record *record)
{
	(void)record;
}

static void values_that_no_store_writes_are_damage(void **state)
{
	struct versions_header header = { .generation = 1, .born_bytes = 4096 }, found;
	uint8_t page[VERSIONS_HEADER_BYTES];
	uint64_t sum;

	(void)state;
	assert_int_equal(decode_record(nothing), 0);
	assert_int_equal(decode_record(high_slot), -EBADMSG);
	assert_int_equal(decode_record(high_id), -EBADMSG);
	assert_int_equal(decode_record(free_row), -EBADMSG);
	assert_int_equal(decode_record(ends_before), -EBADMSG);
	assert_int_equal(decode_record(no_kind), -EBADMSG);
	versions_header_encode(&header, page);
	assert_int_equal(versions_header_decode(page, &found), 0);
	header.generation = 0;
	versions_header_encode(&header, page);
	assert_int_equal(versions_header_decode(page, &found), -EUCLEAN);
	header = (struct versions_header){ .generation = 1, .born_bytes = 4097 };
	versions_header_encode(&header, page);
	assert_int_equal(versions_header_decode(page, &found), -EUCLEAN);
	header.born_bytes = 4000;
	versions_header_encode(&header, page);
	assert_int_equal(versions_header_decode(page, &found), -EUCLEAN);
	header.born_bytes = 4096;
	versions_header_encode(&header, page);
	page[8] = 2;
	sum = XXH3_64bits(page, 4088);
	for (int i = 0; i < 8; i++)
		page[4088 + i] = (uint8_t)(sum >> 8 * i);
	assert_int_equal(versions_header_decode(page, &found), -ENOTSUP);
	page[0] = 'q';
	assert_int_equal(versions_header_decode(page, &found), -EINVAL);
}

/* ---- what counts ---- */

static void what_was_appended_is_read(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent;
	struct versions_file file;
	struct version_record record, expected;
	struct stat st;
	struct seen seen;

	assert_int_equal(open_as(&file, dir, &none, false, &seen), 0);
	assert_int_equal(file.found, VERSIONS_NONE);
	assert_int_equal(seen.lost, 0);
	assert_int_equal(file.fd, -1);
	assert_int_equal(versions_file_extent(&file, 5).generation, 0);
	assert_int_equal(versions_file_sync(&file), 0);
	assert_int_equal(versions_file_close(&file, true), 0);
	extent = made(dir, 2500, true);
	assert_int_equal(extent.generation, 1);
	assert_int_equal(extent.lsn, 77);
	assert_int_equal(extent.bytes, 4096 + 2500 * 96);
	assert_int_equal(fstatat(dir->fd, NAME, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, extent.bytes);
	assert_int_equal(fstatat(dir->fd, NEW_NAME, &st, 0), -1);
	check_read(dir, &extent, 2500, 0, VERSIONS_FINE);
	/* It goes on where it ended. */
	assert_int_equal(open_as(&file, dir, &extent, false, &seen), 0);
	append(&file, 3);
	assert_int_equal(versions_file_read(&file, 2502, &record), 0);
	expected = sample(2502);
	check_same(&record, &expected);
	assert_int_equal(versions_file_read(&file, 2503, &record), -ENODATA);
	extent = versions_file_extent(&file, 78);
	assert_int_equal(versions_file_close(&file, true), 0);
	check_read(dir, &extent, 2503, 0, VERSIONS_FINE);
}

/* Room behind the records is zeros, which are no record. */
static void the_room_behind_is_no_damage(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 10, false);
	struct versions_file file;
	struct seen seen;

	assert_true(unit_size(dir, NAME) > extent.bytes);
	check_read(dir, &extent, 10, 0, VERSIONS_FINE);
	assert_int_equal(open_as(&file, dir, &extent, false, &seen), 0);
	assert_true(file.room > 10);
	assert_int_equal(offset_of(file.room), unit_size(dir, NAME));
	assert_int_equal(versions_file_make_room(&file, 11), 0);
	assert_true(file.room >= 11);
	assert_true(unit_size(dir, NAME) >= extent.bytes + 96);
	assert_int_equal(versions_file_make_room(&file, 11), 0);
	assert_int_equal(versions_file_close(&file, true), 0);
	assert_int_equal(unit_size(dir, NAME), extent.bytes);
}

/* What a checkpoint that was cut off has written behind: up to the first that is not whole. */
static void a_torn_tail_ends_at_the_first_that_is_not_whole(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 10, true);
	struct versions_extent earlier = extent;
	struct versions_file file;
	struct seen seen;

	earlier.bytes -= 96 * 4;
	check_read(dir, &earlier, 10, 0, VERSIONS_FINE);
	unit_flip(dir, NAME, 8 * (4096 + 96 * 8 + 30));
	check_read(dir, &earlier, 8, 0, VERSIONS_FINE);
	check_read(dir, &extent, 9, 96, VERSIONS_FINE);
	assert_int_equal(open_as(&file, dir, &earlier, false, &seen), 0);
	assert_int_equal(seen.count, 8);
	assert_int_equal(file.records, 8);
	assert_int_equal(file.room, 10);
	append(&file, 1);
	assert_int_equal(versions_file_close(&file, true), 0);
	check_read(dir, &earlier, 9, 0, VERSIONS_FINE);
	unit_truncate(dir, NAME, 4096 + 96 * 8 + 50);
	check_read(dir, &earlier, 8, 0, VERSIONS_FINE);
}

/* On a disk that has become full, or in a copy that has holes. */
static void the_room_of_an_earlier_life_is_kept(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 10, false);
	struct failing_io failing;
	struct versions_file file;
	struct seen seen;
	struct stat st;

	assert_int_equal(open_as(&file, dir, &extent, false, &seen), 0);
	assert_int_equal(ftruncate(file.fd, (off_t)extent.bytes), 0);
	assert_int_equal(ftruncate(file.fd, 1 << 20), 0);
	assert_int_equal(versions_file_close(&file, false), 0);
	failing_io_init(&failing);
	failing_io_arm(&failing, 4, -ENOSPC); /* behind open, header, records, size */
	assert_int_equal(open_io(&file, &failing.table, dir, &extent, false, &seen), 0);
	assert_int_equal(file.room, 10);
	failing_io_disarm(&failing);
	assert_int_equal(versions_file_close(&file, false), 0);
	assert_int_equal(open_as(&file, dir, &extent, false, &seen), 0);
	assert_int_equal(file.room, ((1 << 20) - 4096) / 96);
	assert_int_equal(fstat(file.fd, &st), 0);
	assert_true(st.st_blocks * 512 >= 1 << 20);
	assert_int_equal(versions_file_close(&file, true), 0);
}

static void what_is_lost_of_what_counts_is_told(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 2000, true);
	struct versions_file file;
	struct seen seen;

	for (uint64_t number = 0; number < 2000; number += 333) {
		unit_flip(dir, NAME, 8 * (4096 + 96 * number + 95));
		check_read(dir, &extent, 1999, 96, VERSIONS_FINE);
		unit_flip(dir, NAME, 8 * (4096 + 96 * number + 95));
	}
	/* The places of the others stay what they were. */
	unit_flip(dir, NAME, 8 * (4096 + 96 * 1999));
	assert_int_equal(open_as(&file, dir, &extent, false, &seen), 0);
	assert_int_equal(seen.lost, 96);
	assert_int_equal(file.records, 2000);
	append(&file, 1);
	extent = versions_file_extent(&file, 78);
	assert_int_equal(versions_file_close(&file, true), 0);
	check_read(dir, &extent, 2000, 96, VERSIONS_FINE);
	/* A file that is cut short has lost the rest, and can be written to. */
	unit_truncate(dir, NAME, 4096 + 96 * 100 + 1);
	check_read(dir, &extent, 100, 96 * 1901, VERSIONS_FINE);
	assert_int_equal(open_as(&file, dir, &extent, false, &seen), 0);
	append(&file, 5);
	assert_int_equal(versions_file_close(&file, true), 0);
	check_read(dir, &extent, 105, 96 * 1896, VERSIONS_FINE);
	extent.bytes = UINT64_MAX;
	check_read(dir, &extent, 105, ((UINT64_MAX - 4096) / 96 - 105) * 96, VERSIONS_FINE);
}

static void a_file_that_is_missing_is_told(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = { .generation = 3, .bytes = 4096 + 96 * 5 };
	struct versions_file file;
	struct seen seen;

	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(open_as(&file, dir, &extent, read_only, &seen), 0);
		assert_int_equal(file.found, VERSIONS_MISSING);
		assert_int_equal(file.fd, -1);
		assert_int_equal(seen.lost, extent.bytes);
	}
	/* The next is a later one than any that the superblock has told of. */
	assert_int_equal(versions_file_create(&file), 0);
	assert_int_equal(versions_file_extent(&file, 0).generation, 4);
	append(&file, 2);
	assert_int_equal(versions_file_close(&file, true), 0);
	check_read(dir, &extent, 2, 0, VERSIONS_FINE);
}

/* The superblock knows the generation, so its records are all there. */
static void a_damaged_header_costs_nothing(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 50, true);
	struct versions_file file;
	struct seen seen;

	for (uint64_t bit = 0; bit < 8 * VERSIONS_HEADER_BYTES; bit += bit < 8 * 64 ? 1 : 999) {
		unit_flip(dir, NAME, bit);
		check_read(dir, &extent, 50, 0, VERSIONS_HEADER_BAD);
		unit_flip(dir, NAME, bit);
	}
	unit_flip(dir, NAME, 8 * 40);
	assert_int_equal(open_as(&file, dir, &extent, false, &seen), 0);
	assert_int_equal(file.found, VERSIONS_HEADER_BAD);
	append(&file, 1);
	extent = versions_file_extent(&file, 78);
	assert_int_equal(versions_file_close(&file, true), 0);
	check_read(dir, &extent, 51, 0, VERSIONS_FINE);
	/* Where it tells of none there is none that could count. */
	unit_flip(dir, NAME, 8 * 40);
	check_read(dir, &none, 0, 96, VERSIONS_STRANGE);
	unit_truncate(dir, NAME, 100);
	check_read(dir, &extent, 0, 51 * 96, VERSIONS_HEADER_BAD);
	unit_truncate(dir, NAME, 0);
	check_read(dir, &extent, 0, 51 * 96, VERSIONS_HEADER_BAD);
}

static void another_store_s_file_counts_for_nothing(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 50, true);
	struct versions_file file;
	struct seen seen;
	uint64_t lost;

	for (int read_only = 1; read_only >= 0; read_only--) {
		memset(&seen, 0, sizeof(seen));
		versions_file_init(&file, quiver_io_posix(), dir->fd, other_uuid);
		assert_int_equal(versions_file_open(&file, &extent, read_only, see, &seen, &lost),
		                 0);
		assert_int_equal(file.found, VERSIONS_STRANGE);
		assert_int_equal(seen.count, 0);
		assert_int_equal(lost, extent.bytes);
		assert_int_equal(file.fd, -1);
	}
	/* It is still whole. */
	check_read(dir, &extent, 50, 0, VERSIONS_FINE);
}

static void a_newer_version_is_refused(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 1, true);
	uint8_t page[VERSIONS_HEADER_BYTES];
	struct versions_file file;
	struct seen seen;
	uint64_t sum;

	unit_read(dir, NAME, page, sizeof(page), 0);
	page[8] = 2;
	sum = XXH3_64bits(page, 4088);
	for (int i = 0; i < 8; i++)
		page[4088 + i] = (uint8_t)(sum >> 8 * i);
	unit_write(dir, NAME, page, sizeof(page), 0);
	assert_int_equal(open_as(&file, dir, &extent, true, &seen), -ENOTSUP);
	assert_int_equal(open_as(&file, dir, &extent, false, &seen), -ENOTSUP);
	assert_int_equal(file.fd, -1);
}

static void what_is_no_file_is_refused(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_file file;
	struct seen seen;

	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(mkfifoat(dir->fd, NAME, 0600), 0);
		assert_int_equal(open_as(&file, dir, &none, read_only, &seen), -ENXIO);
		assert_int_equal(unlinkat(dir->fd, NAME, 0), 0);
		unit_write(dir, "elsewhere", "x", 1, 0);
		assert_int_equal(symlinkat("elsewhere", dir->fd, NAME), 0);
		assert_int_equal(open_as(&file, dir, &none, read_only, &seen), -ELOOP);
		assert_int_equal(unlinkat(dir->fd, NAME, 0), 0);
		assert_int_equal(mkdirat(dir->fd, NAME, 0700), 0);
		assert_int_equal(open_as(&file, dir, &none, read_only, &seen), -EISDIR);
		assert_int_equal(unlinkat(dir->fd, NAME, AT_REMOVEDIR), 0);
	}
	assert_int_equal(unit_size(dir, "elsewhere"), 1);
}

/* ---- written anew ---- */

static void the_next_generation_takes_its_place(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 50, true), after;
	struct versions_file file, anew;
	struct version_record record;
	struct seen seen;
	struct stat st;

	assert_int_equal(fchmodat(dir->fd, NAME, 0640, 0), 0);
	assert_int_equal(open_as(&file, dir, &extent, false, &seen), 0);
	assert_int_equal(versions_file_begin_anew(&file, &anew), 0);
	append(&anew, 5);
	versions_file_give_up(&anew);
	assert_int_equal(fstatat(dir->fd, NEW_NAME, &st, 0), -1);
	assert_int_equal(file.records, 50);
	assert_int_equal(versions_file_begin_anew(&file, &anew), 0);
	append(&anew, 20);
	assert_int_equal(versions_file_replace(&file, &anew), 0);
	assert_int_equal(file.records, 20);
	append(&file, 3);
	assert_int_equal(versions_file_read(&file, 22, &record), 0);
	after = versions_file_extent(&file, 80);
	assert_int_equal(after.generation, 2);
	assert_int_equal(after.bytes, 4096 + 96 * 23);
	assert_int_equal(versions_file_close(&file, true), 0);
	assert_int_equal(fstatat(dir->fd, NAME, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	check_read(dir, &after, 23, 0, VERSIONS_FINE);
	/* After a crash the superblock tells of the one before: what it was written with counts. */
	check_read(dir, &extent, 23, 0, VERSIONS_FINE);
	check_read(dir, &none, 23, 0, VERSIONS_FINE);
	unit_flip(dir, NAME, 8 * (4096 + 96 * 21));
	check_read(dir, &extent, 21, 0, VERSIONS_FINE);
	unit_flip(dir, NAME, 8 * (4096 + 96 * 19));
	check_read(dir, &extent, 20, 96, VERSIONS_FINE);
}

/* Put back from a backup: what it has is true, and some is missing. */
static void an_earlier_generation_is_told(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 5, true);
	struct versions_file file, anew;
	struct seen seen;

	extent.generation = 6;
	check_read(dir, &extent, 5, extent.bytes, VERSIONS_EARLIER);
	assert_int_equal(open_as(&file, dir, &extent, false, &seen), 0);
	assert_int_equal(versions_file_begin_anew(&file, &anew), 0);
	assert_int_equal(anew.generation, 7);
	versions_file_give_up(&anew);
	assert_int_equal(versions_file_close(&file, true), 0);
}

static void what_an_interrupted_writing_left_goes(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 5, true);
	struct versions_file file, anew;
	struct seen seen;
	struct stat st;

	unit_write(dir, NEW_NAME, "half", 4, 0);
	check_read(dir, &extent, 5, 0, VERSIONS_FINE);
	assert_int_equal(fstatat(dir->fd, NEW_NAME, &st, 0), 0);
	assert_int_equal(open_as(&file, dir, &extent, false, &seen), 0);
	assert_int_equal(fstatat(dir->fd, NEW_NAME, &st, 0), -1);
	/* Nor does a link of that name lead anywhere. */
	unit_write(dir, "elsewhere", "x", 1, 0);
	assert_int_equal(symlinkat("elsewhere", dir->fd, NEW_NAME), 0);
	assert_int_equal(versions_file_begin_anew(&file, &anew), 0);
	append(&anew, 1);
	assert_int_equal(versions_file_replace(&file, &anew), 0);
	assert_int_equal(unit_size(dir, "elsewhere"), 1);
	assert_int_equal(versions_file_remove(&file), 0);
	assert_int_equal(fstatat(dir->fd, NAME, &st, 0), -1);
	assert_int_equal(versions_file_extent(&file, 1).generation, 0);
	assert_int_equal(versions_file_remove(&file), 0);
}

/* ---- failures ---- */

static void a_full_disk_leaves_it_as_it_was(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 5, true);
	struct version_record record = sample(5);
	struct failing_io failing;
	struct versions_file file;
	struct seen seen;

	failing_io_init(&failing);
	assert_int_equal(open_io(&file, &failing.table, dir, &extent, false, &seen), 0);
	failing_io_arm(&failing, 0, -ENOSPC);
	assert_int_equal(versions_file_make_room(&file, 6), -ENOSPC);
	assert_int_equal(file.room, 5);
	failing_io_arm(&failing, 0, -ENOSPC);
	assert_int_equal(versions_file_append(&file, &record, 1), -ENOSPC);
	assert_int_equal(file.records, 5);
	failing_io_arm(&failing, 0, -EIO);
	assert_int_equal(versions_file_sync(&file), -EIO);
	failing_io_disarm(&failing);
	check_read(dir, &extent, 5, 0, VERSIONS_FINE);
	assert_int_equal(versions_file_make_room(&file, 6), 0);
	append(&file, 1);
	check_read(dir, &extent, 6, 0, VERSIONS_FINE);
	assert_int_equal(versions_file_close(&file, true), 0);
}

/* Each call of writing anew fails in turn: there is the old one, or the new, and never less. */
static void a_failed_writing_anew_loses_nothing(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent;
	struct failing_io failing;
	struct versions_file file, anew;
	struct version_record records[3] = { sample(0), sample(1), sample(2) };
	struct seen seen;
	struct stat st;
	int r = -EIO;

	failing_io_init(&failing);
	for (long skip = 0; r; skip++) {
		assert_true(skip < 50);
		extent = made(dir, 8, true);
		assert_int_equal(open_io(&file, &failing.table, dir, &extent, false, &seen), 0);
		failing_io_arm(&failing, skip, -EIO);
		r = versions_file_begin_anew(&file, &anew);
		if (r == 0) {
			r = versions_file_append(&anew, records, 3);
			if (r)
				versions_file_give_up(&anew);
			else
				r = versions_file_replace(&file, &anew);
		}
		failing_io_disarm(&failing);
		assert_true(r == 0 || r == -EIO);
		assert_true(file.records == 8 || file.records == 3);
		assert_int_equal(fstatat(dir->fd, NEW_NAME, &st, 0), -1);
		/* What is in memory is what is there. */
		append(&file, 1);
		extent = versions_file_extent(&file, 80);
		check_read(dir, &extent, file.records, 0, VERSIONS_FINE);
		assert_int_equal(versions_file_close(&file, true), 0);
	}
}

static void a_failed_making_leaves_none(void **state)
{
	struct unit_dir *dir = *state;
	struct failing_io failing;
	struct versions_file file;
	struct stat st;

	failing_io_init(&failing);
	begin(&file, &failing.table, dir);
	for (long skip = 0; skip < 3; skip++) { /* open, write, sync */
		failing_io_arm(&failing, skip, -ENOSPC);
		assert_int_equal(versions_file_create(&file), -ENOSPC);
		assert_int_equal(file.fd, -1);
		assert_int_equal(fstatat(dir->fd, NAME, &st, 0), -1);
		assert_int_equal(fstatat(dir->fd, NEW_NAME, &st, 0), -1);
	}
	failing_io_disarm(&failing);
	failing.syncs = 0;
	assert_int_equal(versions_file_create(&file), 0);
	assert_int_equal(failing.syncs, 2); /* file and folder */
	assert_int_equal(versions_file_close(&file, true), 0);
}

/* A tail that an earlier life may have failed to sync is on stable storage before anybody relies
 * on it. */
static void a_tail_that_was_read_is_synced(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 10, true), earlier = extent;
	struct failing_io failing;
	struct versions_file file;
	struct seen seen;

	failing_io_init(&failing);
	assert_int_equal(open_io(&file, &failing.table, dir, &extent, false, &seen), 0);
	assert_int_equal(failing.syncs, 0);
	assert_int_equal(versions_file_close(&file, true), 0);
	earlier.bytes -= 96 * 4;
	assert_int_equal(open_io(&file, &failing.table, dir, &earlier, false, &seen), 0);
	assert_int_equal(failing.syncs, 1);
	assert_int_equal(versions_file_close(&file, true), 0);
	assert_int_equal(open_io(&file, &failing.table, dir, &none, false, &seen), 0);
	assert_int_equal(failing.syncs, 3);
	assert_int_equal(versions_file_close(&file, true), 0);
	check_read(dir, &earlier, 10, 0, VERSIONS_FINE);
}

/* Where the disk does not give a part, the rest is read all the same. */
static void what_cannot_be_read_is_lost_and_no_more(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 30, true);
	struct failing_io failing;
	struct versions_file file;
	struct seen seen;

	failing_io_init(&failing);
	for (long skip = 1; skip < 3; skip++) { /* behind the opening: the header; the chunk */
		failing_io_arm(&failing, skip, -EIO);
		assert_int_equal(open_io(&file, &failing.table, dir, &extent, true, &seen), 0);
		assert_int_equal(seen.count, 30);
		assert_int_equal(seen.lost, 0);
		assert_int_equal(file.found, skip == 1 ? VERSIONS_HEADER_BAD : VERSIONS_FINE);
		failing_io_disarm(&failing);
		assert_int_equal(versions_file_close(&file, false), 0);
	}
}

/* Another process that has it open follows who writes. */
static void a_reader_reads_on(void **state)
{
	struct unit_dir *dir = *state;
	struct versions_extent extent = made(dir, 10, false);
	struct versions_file writer, reader;
	struct seen seen, unused;

	assert_int_equal(open_as(&writer, dir, &extent, false, &unused), 0);
	assert_int_equal(open_as(&reader, dir, &extent, true, &seen), 0);
	assert_int_equal(versions_file_read_on(&reader, see, &seen), 0);
	assert_int_equal(seen.count, 10);
	assert_int_equal(versions_file_make_room(&writer, 2000), 0);
	append(&writer, 1500);
	assert_int_equal(versions_file_read_on(&reader, see, &seen), 0);
	assert_int_equal(seen.count, 1510);
	append(&writer, 1);
	assert_int_equal(versions_file_read_on(&reader, see, &seen), 0);
	assert_int_equal(seen.count, 1511);
	assert_int_equal(versions_file_close(&reader, false), 0);
	assert_int_equal(versions_file_read_on(&reader, see, &seen), 0);
	assert_int_equal(versions_file_close(&writer, true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup_dir, unit_teardown_dir)
		cmocka_unit_test(the_bytes_are_those_of_the_format),
		cmocka_unit_test(values_that_no_store_writes_are_damage),
		TEST(what_was_appended_is_read),
		TEST(the_room_behind_is_no_damage),
		TEST(the_room_of_an_earlier_life_is_kept),
		TEST(a_torn_tail_ends_at_the_first_that_is_not_whole),
		TEST(what_is_lost_of_what_counts_is_told),
		TEST(a_file_that_is_missing_is_told),
		TEST(a_damaged_header_costs_nothing),
		TEST(another_store_s_file_counts_for_nothing),
		TEST(a_newer_version_is_refused),
		TEST(what_is_no_file_is_refused),
		TEST(the_next_generation_takes_its_place),
		TEST(an_earlier_generation_is_told),
		TEST(what_an_interrupted_writing_left_goes),
		TEST(a_full_disk_leaves_it_as_it_was),
		TEST(a_failed_writing_anew_loses_nothing),
		TEST(a_failed_making_leaves_none),
		TEST(a_tail_that_was_read_is_synced),
		TEST(what_cannot_be_read_is_lost_and_no_more),
		TEST(a_reader_reads_on),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
