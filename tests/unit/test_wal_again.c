/* What a scan of the log keeps, hands over once more and makes durable, on a disk that lacks what the
 * kernel shows. */
#include "direct_io.h"

#include <xxhash.h>

#include "engine/log/wal.h"
#include "engine/log/wal_payload.h"
#include "engine/media/meta_row.h"
#include "store_test.h"

#define N 1000u
#define RECORD_BYTES (WAL_RECORD_HEADER_BYTES + N)
#define COMMITS \
	9000u /* 10 MB, in several segments of which one is larger than what is read at once */

/* What the disk has, and what is written to it. */
static struct {
	bool broken; /* nothing can be read from it */
	char lacks_name[32]; /* a segment whose bytes from lacks_from on are in the cache alone */
	uint64_t lacks_from;
	uint64_t written_bytes, written_from;
	unsigned syncs;
	bool lacks[DIRECT_FDS];
} disk;

static int disk_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                     mode_t mode)
{
	int fd = direct_open(self, dir_fd, name, flags, mode);

	if (fd >= 0)
		disk.lacks[fd] = strcmp(name, disk.lacks_name) == 0;
	return fd;
}

static ssize_t disk_pread(const struct quiver_io *self, int fd, void *to, size_t length,
                          uint64_t offset)
{
	const bool direct = direct_io.is_direct[fd];
	ssize_t n;

	if (direct && disk.broken)
		return -EIO;
	n = direct_pread(self, fd, to, length, offset);
	for (ssize_t i = 0; direct && disk.lacks[fd] && i < n; i++)
		if (offset + (uint64_t)i >= disk.lacks_from)
			((uint8_t *)to)[i] = 0;
	return n;
}

static ssize_t disk_pwritev(const struct quiver_io *self, int fd, const struct iovec *parts,
                            int count, uint64_t offset)
{
	ssize_t n = quiver_io_posix()->pwritev(quiver_io_posix(), fd, parts, count, offset);

	(void)self;
	assert_true(n > 0);
	if (disk.written_bytes == 0)
		disk.written_from = offset;
	disk.written_bytes += (uint64_t)n;
	return n;
}

static int disk_fdatasync(const struct quiver_io *self, int fd)
{
	(void)self;
	disk.syncs++;
	return quiver_io_posix()->fdatasync(quiver_io_posix(), fd);
}

static const struct quiver_io *table(void)
{
	static struct quiver_io io;

	memset(&disk, 0, sizeof(disk));
	io = direct_table();
	io.open = disk_open;
	io.pread = disk_pread;
	io.pwritev = disk_pwritev;
	io.fdatasync = disk_fdatasync;
	return &io;
}

static const uint8_t uuid[16] = { 5 };

/* Every third commit is a PUT, one of them has three records. */
static void make(struct unit_dir *dir)
{
	struct health health;
	struct wal *wal = calloc(1, sizeof(*wal));
	uint8_t bytes[N];
	const void *payloads[3] = { bytes, bytes, bytes };

	assert_non_null(wal);
	assert_int_equal(mkdirat(dir->fd, "wal", 0700), 0);
	assert_int_equal(health_init(&health, false, NULL, NULL), 0);
	assert_int_equal(wal_start(wal, quiver_io_posix(), &health, dir->fd, uuid, 1, 0), 0);
	for (uint64_t lsn = 1; lsn <= COMMITS; lsn += 3) {
		struct wal_record records[3];

		vector_fill(bytes, N, lsn, lsn);
		for (unsigned i = 0; i < 3; i++)
			records[i] = (struct wal_record){
				.type = WAL_PUT,
				.more = lsn % 2 && i < 2,
				.lsn = lsn + i,
				.id = lsn * 7 + i,
				.slot = lsn + i,
				.old_slot = SLOT_NONE,
				.src_slot = SLOT_NONE,
				.attr = { .mode = (uint16_t)(lsn % 512), .uid = 9 },
				.payload_bytes = N,
				.sum = vector_sum(lsn * 7 + i, lsn + i, XXH3_64bits(bytes, N))
			};
		assert_int_equal(wal_make_room(wal, 3 * RECORD_BYTES, false), 0);
		assert_int_equal(wal_append(wal, records, payloads, 3, false), 0);
	}
	assert_int_equal(wal_stop(wal, false), 0);
	health_destroy(&health);
	free(wal);
}

struct heard {
	struct wal_scan scan;
	struct wal_kept kept;
	struct wal_payloads payloads;
	bool again;
	uint64_t count;
	uint64_t announced;
};

static int hear(void *arg, const struct wal_record *record, const void *payload)
{
	struct heard *heard = arg;
	const uint64_t lsn = ++heard->count;
	const uint64_t first = (lsn - 1) / 3 * 3 + 1;

	assert_int_equal(record->lsn, lsn);
	assert_int_equal(record->id, first * 7 + (lsn - 1) % 3);
	assert_int_equal(record->slot, lsn);
	assert_int_equal(record->old_slot, SLOT_NONE);
	assert_int_equal(record->attr.mode, first % 512);
	assert_int_equal(record->attr.uid, 9);
	assert_true(heard->again == !payload);
	if (!payload && lsn % 5 == 0)
		assert_int_equal(wal_payload(&heard->payloads, &heard->scan, record, &payload), 0);
	if (payload)
		assert_int_equal(vector_version(payload, N, first), first);
	return 0;
}

static void announce(void *arg, const struct wal_record *record)
{
	struct heard *heard = arg;

	assert_true(record->lsn > heard->count);
	heard->announced++;
}

/* Read it all, hand it over once more, and make what is above LSN `above` durable. */
static void scan_and_settle(struct unit_dir *dir, const struct quiver_io *io, uint64_t above)
{
	struct heard heard = { .scan = { .io = io,
		                         .dir_fd = dir->fd,
		                         .vector_bytes = N,
		                         .first_segment = 1,
		                         .each = hear,
		                         .soon = announce } };

	memcpy(heard.scan.uuid, uuid, sizeof(uuid));
	heard.scan.kept = &heard.kept;
	heard.scan.arg = &heard;
	assert_int_equal(wal_scan(&heard.scan), 0);
	assert_int_equal(heard.count, COMMITS);
	assert_int_equal(heard.scan.last_lsn, COMMITS);
	assert_false(heard.scan.torn || wal_scan_corrupt(&heard.scan));
	heard.count = 0;
	heard.again = true;
	assert_int_equal(wal_scan_again(&heard.scan), 0);
	assert_int_equal(heard.count, COMMITS);
	assert_true(heard.announced > COMMITS / 2);
	assert_int_equal(wal_payloads_end(&heard.payloads), 0);
	assert_int_equal(disk.written_bytes, 0);
	disk.syncs = 0;
	assert_int_equal(wal_settle(&heard.scan, above), 0);
	wal_kept_clear(&heard.kept);
}

static void test_what_the_disk_has_is_synced_and_not_written(void **state)
{
	make(*state);
	for (int i = 0; i < 2; i++) {
		const struct quiver_io *io = table();

		direct_io.short_reads = i == 1;
		scan_and_settle(*state, io, 0);
		assert_int_equal(disk.written_bytes, 0);
		assert_true(disk.syncs >= 3);
		/* Only what is not known durable. */
		scan_and_settle(*state, io, COMMITS - 1);
		assert_int_equal(disk.syncs, 1);
		scan_and_settle(*state, io, COMMITS);
		assert_int_equal(disk.syncs, 0);
	}
}

static void test_what_the_kernel_alone_has_is_written(void **state)
{
	const struct quiver_io *io = table();

	make(*state);
	/* Amid a record of the second segment, which is 2 MiB long, and the first byte of another. */
	for (int i = 0; i < 2; i++) {
		wal_segment_name(2, disk.lacks_name);
		disk.lacks_from = i == 0 ? 1000000 : WAL_HEADER_BYTES;
		disk.written_bytes = 0;
		scan_and_settle(*state, io, 0);
		assert_true(disk.written_from <= disk.lacks_from);
		assert_true(disk.written_from + 3 * RECORD_BYTES > disk.lacks_from);
		assert_true(disk.written_bytes > (2u << 20) - disk.lacks_from - 3 * RECORD_BYTES);
		assert_true(disk.written_bytes <= 2u << 20);
	}
}

static void test_without_a_way_past_the_cache_all_of_it_is_written(void **state)
{
	make(*state);
	for (int i = 0; i < 3; i++) {
		const struct quiver_io *io = table();

		direct_io.no_open = i == 0;
		direct_io.no_read = i == 1;
		disk.broken = i == 2;
		scan_and_settle(*state, io, 0);
		assert_int_equal(disk.written_bytes, COMMITS * RECORD_BYTES);
	}
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct unit_dir));
	assert_non_null(*state);
	unit_dir_make(*state);
	return 0;
}

static int teardown(void **state)
{
	unit_dir_remove(*state);
	free(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_the_disk_has_is_synced_and_not_written),
		TEST(test_what_the_kernel_alone_has_is_written),
		TEST(test_without_a_way_past_the_cache_all_of_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
