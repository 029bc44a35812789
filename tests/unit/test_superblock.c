#include "unit.h"

#include <xxhash.h>

#include "engine/disk/superblock_file.h"
#include "failing_io.h"

#define NAME "superblock"

static const struct superblock sample = {
	.version = QUIVER_FORMAT_VERSION,
	.geometry = { .dim = 768,
	              .dtype = QUIVER_F2,
	              .uuid = { 1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16 } },
	.clean = true,
	.slots_used = 0x01020304,
	.count = 0x01020303,
	.checkpoint_lsn = 0x1112131415161718,
	.lsn_ceiling = 0x2122232425262728,
	.wal_first = 0x3132333435363738,
	.dir = { .mtime_ns = -5,
	         .ctime_ns = 0x6162636465666768,
	         .uid = 0x41424344,
	         .gid = 0x51525354,
	         .mode = 07751 },
	.ctime_max_ns = 0x7172737475767778,
	.description = { .metric = QUIVER_IP, .label = "m\xc3\xa9" },
	.features_to_open = SUPERBLOCK_RECEIVING,
	.features_to_change = 0x0807,
	.features_to_pass = 0x0a09,
	.kept = { 0xb1, [95] = 0xb2 },
};

static int open_file(struct unit_dir *dir)
{
	const struct quiver_io *io = quiver_io_posix();
	int fd = io->open(io, dir->fd, NAME, O_RDWR | O_CREAT, 0600);

	assert_true(fd >= 0);
	return fd;
}

/* The file of a new store. */
static int open_formatted(struct unit_dir *dir, struct superblock *sb)
{
	int fd = open_file(dir);

	assert_int_equal(superblock_format(quiver_io_posix(), fd, sb), 0);
	return fd;
}

static void close_file(int fd)
{
	assert_int_equal(quiver_io_posix()->close(quiver_io_posix(), fd), 0);
}

static void check_same(const struct superblock *a, const struct superblock *b)
{
	assert_int_equal(a->geometry.dim, b->geometry.dim);
	assert_int_equal(a->geometry.dtype, b->geometry.dtype);
	assert_memory_equal(a->geometry.uuid, b->geometry.uuid, 16);
	assert_int_equal(a->clean, b->clean);
	assert_true(a->slots_used == b->slots_used && a->count == b->count);
	assert_true(a->checkpoint_lsn == b->checkpoint_lsn);
	assert_true(a->lsn_ceiling == b->lsn_ceiling);
	assert_true(a->wal_first == b->wal_first);
	assert_true(a->dir.mtime_ns == b->dir.mtime_ns);
	assert_true(a->dir.uid == b->dir.uid && a->dir.gid == b->dir.gid);
	assert_int_equal(a->dir.mode, b->dir.mode);
	assert_int_equal(a->version, b->version);
	assert_true(a->dir.ctime_ns == b->dir.ctime_ns && a->ctime_max_ns == b->ctime_max_ns);
	assert_int_equal(a->description.metric, b->description.metric);
	assert_string_equal(a->description.label, b->description.label);
	assert_true(a->features_to_open == b->features_to_open);
	assert_true(a->features_to_change == b->features_to_change);
	assert_true(a->features_to_pass == b->features_to_pass);
	assert_memory_equal(a->kept, b->kept, sizeof(a->kept));
	assert_true(a->index_generation == b->index_generation);
	assert_true(a->index_salt == b->index_salt);
}

/* 0 and what is read must be `expected`, with so many bad copies; or the error. */
static void check_read(int fd, int result, int bad, const struct superblock *expected)
{
	struct quiver_error error = { "" };
	struct superblock sb;
	int copies_bad = -1;

	assert_int_equal(superblock_read(quiver_io_posix(), fd, &sb, &copies_bad, &error), result);
	assert_int_equal(superblock_read(quiver_io_posix(), fd, &sb, NULL, NULL), result);
	if (result < 0) {
		assert_non_null(strstr(error.text, NAME));
		return;
	}
	assert_string_equal(error.text, "");
	assert_int_equal(copies_bad, bad);
	check_same(&sb, expected);
	assert_true(sb.sequence == expected->sequence);
	assert_int_equal(sb.geometry.vector_bytes,
	                 sb.geometry.dim * quiver_dtype_bytes(sb.geometry.dtype));
}

static void what_was_written_is_read(void **state)
{
	struct superblock sb = sample;
	int fd = open_formatted(*state, &sb);

	assert_int_equal(unit_size(*state, NAME), SUPERBLOCK_FILE_BYTES);
	check_read(fd, 0, 0, &sb);
	check_same(&sb, &sample);
	for (uint64_t i = 0; i < 5; i++) {
		uint64_t before = sb.sequence;

		sb.clean = !sb.clean;
		sb.checkpoint_lsn += i;
		assert_int_equal(superblock_write(quiver_io_posix(), fd, &sb), 0);
		assert_true(sb.sequence == before + 1);
		check_read(fd, 0, 0, &sb);
	}
	close_file(fd);
}

static void the_bytes_are_those_of_the_format(void **state)
{
	static const uint8_t expected[] = {
		'Q',  'U',  'I',  'V',  'E',  'R',  'S',  'B', /* magic */
		2,    0,    0,    0,    1,    0,    0,    0, /* version, flags */
		1,    2,    3,    4,    5,    6,    0x47, 8, /* uuid */
		0x89, 10,   11,   12,   13,   14,   15,   16, /* */
		1,    0,    0,    0,    0,    0,    0,    0, /* sequence */
		0,    3,    0,    0,    1,    0,    0,    0, /* dim, dtype */
		4,    3,    2,    1,    0,    0,    0,    0, /* slots used */
		3,    3,    2,    1,    0,    0,    0,    0, /* count */
		0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, /* checkpoint LSN */
		0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21, /* ceiling */
		0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31, /* segment */
		0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* mtime */
		0x44, 0x43, 0x42, 0x41, 0x54, 0x53, 0x52, 0x51, /* uid, gid */
		0xe9, 0x0f, 2,    0,    0,    0,    0,    0, /* mode, metric */
		0x68, 0x67, 0x66, 0x65, 0x64, 0x63, 0x62, 0x61, /* ctime */
		0x78, 0x77, 0x76, 0x75, 0x74, 0x73, 0x72, 0x71, /* highest ctime */
		1,    0,    0,    0,    0,    0,    0,    0, /* features to open */
		7,    8,    0,    0,    0,    0,    0,    0, /* to change */
		9,    10,   0,    0,    0,    0,    0,    0, /* to pass */
		0,    0,    0,    0,    0,    0,    0,    0, /* */
		0xb1, /* kept */
	};
	static const uint8_t label[] = { 3, 0, 'm', 0xc3, 0xa9 };
	uint8_t page[SUPERBLOCK_COPY_BYTES];
	struct superblock sb = sample;
	XXH64_hash_t sum;
	int fd = open_formatted(*state, &sb);

	unit_read(*state, NAME, page, sizeof(page), SUPERBLOCK_COPY_BYTES);
	assert_memory_equal(page, expected, sizeof(expected));
	assert_int_equal(page[255], 0xb2);
	assert_memory_equal(page + 510, label, sizeof(label));
	memset(page + 255, 0, 1);
	memset(page + 510, 0, sizeof(label));
	for (size_t i = sizeof(expected); i < 4088; i++)
		assert_int_equal(page[i], 0);
	unit_read(*state, NAME, page, sizeof(page), SUPERBLOCK_COPY_BYTES);
	sum = XXH3_64bits(page, 4088);
	for (int i = 0; i < 8; i++)
		assert_int_equal(page[4088 + i], (sum >> (8 * i)) & 0xff);
	close_file(fd);
}

static void the_copies_are_written_in_turn(void **state)
{
	uint8_t before[2][SUPERBLOCK_COPY_BYTES], after[2][SUPERBLOCK_COPY_BYTES];
	struct superblock sb = sample;
	int fd = open_formatted(*state, &sb);

	for (int i = 0; i < 4; i++) {
		unsigned turn = (unsigned)((sb.sequence + 1) % 2);

		unit_read(*state, NAME, before, sizeof(before), 0);
		sb.wal_first++;
		assert_int_equal(superblock_write(quiver_io_posix(), fd, &sb), 0);
		unit_read(*state, NAME, after, sizeof(after), 0);
		assert_memory_equal(before[!turn], after[!turn], SUPERBLOCK_COPY_BYTES);
		assert_memory_not_equal(before[turn], after[turn], SUPERBLOCK_COPY_BYTES);
	}
	close_file(fd);
}

static void a_flipped_bit_anywhere_gives_the_other_copy(void **state)
{
	struct superblock older = sample, newer;
	int fd = open_file(*state);

	assert_int_equal(superblock_format(quiver_io_posix(), fd, &older), 0);
	newer = older;
	newer.checkpoint_lsn++;
	assert_int_equal(superblock_write(quiver_io_posix(), fd, &newer), 0);
	for (uint64_t bit = 0; bit < SUPERBLOCK_FILE_BYTES * 8; bit += bit % 4096 < 1024 ? 1 : 61) {
		bool newer_copy = bit / (SUPERBLOCK_COPY_BYTES * 8) == newer.sequence % 2;

		unit_flip(*state, NAME, bit);
		check_read(fd, 0, 1, newer_copy ? &older : &newer);
		unit_flip(*state, NAME, bit);
	}
	check_read(fd, 0, 0, &newer);
	close_file(fd);
}

static void a_torn_write_leaves_the_older_copy(void **state)
{
	uint8_t old_file[SUPERBLOCK_FILE_BYTES], new_file[SUPERBLOCK_FILE_BYTES];
	struct superblock older = sample, newer;
	int fd = open_file(*state);

	assert_int_equal(superblock_format(quiver_io_posix(), fd, &older), 0);
	unit_read(*state, NAME, old_file, sizeof(old_file), 0);
	newer = older;
	newer.lsn_ceiling++;
	assert_int_equal(superblock_write(quiver_io_posix(), fd, &newer), 0);
	unit_read(*state, NAME, new_file, sizeof(new_file), 0);
	for (unsigned sectors = 1; sectors < 256; sectors++) { /* any set of the 8 */
		uint8_t torn[SUPERBLOCK_FILE_BYTES];

		memcpy(torn, old_file, sizeof(torn));
		for (unsigned i = 0; i < 8; i++) {
			size_t at = newer.sequence % 2 * SUPERBLOCK_COPY_BYTES + i * 512;

			if (sectors >> i & 1)
				memcpy(torn + at, new_file + at, 512);
		}
		unit_write(*state, NAME, torn, sizeof(torn), 0);
		/* The first sector and the last are all that differs. */
		if ((sectors & 0x81) == 0x81)
			check_read(fd, 0, 0, &newer);
		else
			check_read(fd, 0, (sectors & 0x81) != 0, &older);
	}
	close_file(fd);
}

static void damage_of_both_is_told_from_another_file(void **state)
{
	uint8_t zeros[SUPERBLOCK_FILE_BYTES] = { 0 };
	struct superblock sb = sample;
	int fd = open_file(*state);

	check_read(fd, -EINVAL, 0, NULL); /* empty */
	assert_int_equal(superblock_format(quiver_io_posix(), fd, &sb), 0);
	unit_flip(*state, NAME, 70 * 8);
	unit_flip(*state, NAME, (SUPERBLOCK_COPY_BYTES + 4090) * 8);
	check_read(fd, -EUCLEAN, 0, NULL);
	unit_write(*state, NAME, zeros, SUPERBLOCK_COPY_BYTES, 0);
	check_read(fd, -EUCLEAN, 0, NULL); /* one magic is left */
	unit_write(*state, NAME, zeros, sizeof(zeros), 0);
	check_read(fd, -EINVAL, 0, NULL);
	close_file(fd);
}

static void a_short_file_still_has_its_first_copy(void **state)
{
	struct superblock sb = sample;
	int fd = open_formatted(*state, &sb);

	unit_truncate(*state, NAME, SUPERBLOCK_FILE_BYTES - 1);
	sb.sequence = 0;
	check_read(fd, 0, 1, &sb);
	unit_truncate(*state, NAME, SUPERBLOCK_COPY_BYTES - 1);
	check_read(fd, -EINVAL, 0, NULL);
	close_file(fd);
}

/* Change bytes of one copy and make its sum right again. */
static void forge(struct unit_dir *dir, unsigned copy, size_t at, const void *bytes, size_t length)
{
	uint8_t page[SUPERBLOCK_COPY_BYTES];
	XXH64_hash_t sum;

	unit_read(dir, NAME, page, sizeof(page), copy * SUPERBLOCK_COPY_BYTES);
	memcpy(page + at, bytes, length);
	sum = XXH3_64bits(page, 4088);
	for (int i = 0; i < 8; i++)
		page[4088 + i] = (uint8_t)(sum >> (8 * i));
	unit_write(dir, NAME, page, sizeof(page), copy * SUPERBLOCK_COPY_BYTES);
}

/* As a program leaves it that does not know the field: it raises the ceiling to open the store, or
 * writes another checkpoint. */
static void a_kept_index_counts_until_an_older_program_has_written(void **state)
{
	struct superblock sb = sample, read;
	int fd;

	sb.index_generation = 0x9192939495969798;
	sb.index_salt = 0xa1a2a3a4a5a6a7a8;
	fd = open_formatted(*state, &sb);
	check_read(fd, 0, 0, &sb);
	for (size_t at = 192; at < 224; at += 8) {
		read = sb;
		forge(*state, 1, at, "\5", 1); /* another LSN, ceiling or salt */
		assert_int_equal(superblock_read(quiver_io_posix(), fd, &read, NULL, NULL), 0);
		if (at == 200 || at == 208)
			assert_true(read.index_generation == 0 && read.index_salt == 0);
		else
			assert_true(read.index_generation && read.index_salt);
		assert_int_equal(superblock_write(quiver_io_posix(), fd, &sb), 0);
		assert_int_equal(superblock_write(quiver_io_posix(), fd, &sb), 0);
		check_read(fd, 0, 0, &sb);
	}
	forge(*state, 1, 64, "\1", 1);
	assert_int_equal(superblock_read(quiver_io_posix(), fd, &read, NULL, NULL), 0);
	assert_true(read.index_generation == 0 && read.index_salt == 0);
	/* One that does not count is not written again, or it might count some time. */
	assert_int_equal(superblock_write(quiver_io_posix(), fd, &read), 0);
	read.checkpoint_lsn = sb.checkpoint_lsn;
	assert_int_equal(superblock_write(quiver_io_posix(), fd, &read), 0);
	check_read(fd, 0, 0, &read);
	close_file(fd);
}

static void a_newer_format_is_refused(void **state)
{
	struct superblock sb = sample;
	int fd = open_formatted(*state, &sb);

	forge(*state, 0, 8, "\3", 1);
	check_read(fd, -ENOTSUP, 0, NULL);
	forge(*state, 0, 8, "\0", 1);
	check_read(fd, 0, 1, &sb);
	forge(*state, 0, 8, "\2", 1);
	check_read(fd, 0, 0, &sb);
	forge(*state, 0, 130, "\1", 1); /* a feature */
	check_read(fd, -ENOTSUP, 0, NULL);
	close_file(fd);
}

/* As the first release wrote it: only what it knows. */
static void one_of_version_1_is_read_and_written(void **state)
{
	struct superblock sb = sample, read;
	uint8_t page[SUPERBLOCK_COPY_BYTES];
	int fd;

	sb.version = 1;
	fd = open_formatted(*state, &sb);
	unit_read(*state, NAME, page, sizeof(page), 0);
	assert_int_equal(page[8], 1);
	for (size_t i = 106; i < 4088; i++)
		assert_int_equal(page[i], 0);
	assert_int_equal(superblock_read(quiver_io_posix(), fd, &read, NULL, NULL), 0);
	assert_int_equal(read.version, 1);
	assert_true(read.dir.ctime_ns == sb.dir.mtime_ns && read.ctime_max_ns == 0);
	assert_int_equal(read.description.metric, QUIVER_L2);
	assert_string_equal(read.description.label, "");
	/* The other copy may be newer, and of the next version. */
	read.version = 2;
	assert_int_equal(superblock_write(quiver_io_posix(), fd, &read), 0);
	check_read(fd, 0, 0, &read);
	close_file(fd);
}

static void values_that_no_store_has_are_damage(void **state)
{
	static const struct {
		size_t at, length;
		const char *bytes;
	} all[] = {
		{ 12, 1, "\2" }, /* flags */
		{ 32, 1, "\4" }, /* the sequence of the other copy */
		{ 40, 4, "\0\0\0\0" }, /* dim */
		{ 40, 4, "\1\0\1\0" },   { 44, 1, "\7" }, /* dtype */
		{ 40, 5, "\7\0\0\0\6" }, /* bits that fill no byte */
		{ 106, 1, "\3" }, /* hamming of f2 */
		{ 106, 1, "\4" }, /* metric */
		{ 511, 1, "\5" }, /* length of the label */
		{ 512, 1, "\n" }, /* label */
		{ 52, 1, "\1" }, /* slots used */
		{ 60, 1, "\1" }, /* count */
		{ 79, 1, "\0" }, /* ceiling below the checkpoint */
		{ 105, 1, "\xff" }, /* mode */
	};
	struct superblock sb = sample;
	int fd = open_file(*state);

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct superblock older;

		assert_int_equal(superblock_format(quiver_io_posix(), fd, &sb), 0);
		forge(*state, 1, all[i].at, all[i].bytes, all[i].length);
		older = sb;
		older.sequence = 0;
		check_read(fd, 0, 1, &older);
	}
	close_file(fd);
}

static void a_page_in_the_wrong_place_does_not_count(void **state)
{
	uint8_t page[SUPERBLOCK_COPY_BYTES];
	struct superblock sb = sample;
	int fd = open_formatted(*state, &sb);

	assert_int_equal(superblock_write(quiver_io_posix(), fd, &sb), 0);
	unit_read(*state, NAME, page, sizeof(page), 0); /* sequence 2 */
	unit_write(*state, NAME, page, sizeof(page), SUPERBLOCK_COPY_BYTES);
	check_read(fd, 0, 1, &sb);
	unit_flip(*state, NAME, 100);
	check_read(fd, -EUCLEAN, 0, NULL);
	close_file(fd);
}

static void copies_of_two_stores_are_damage(void **state)
{
	struct superblock sb = sample;
	int fd = open_formatted(*state, &sb);

	forge(*state, 0, 16, "\x77", 1);
	check_read(fd, -EUCLEAN, 0, NULL);
	close_file(fd);
}

static void a_failed_write_spares_the_good_copy_also_when_retried(void **state)
{
	struct superblock good = sample, sb, read;
	struct failing_io io;
	int fd = open_file(*state);

	failing_io_init(&io);
	assert_int_equal(superblock_format(&io.table, fd, &good), 0);
	for (long skip = 0; skip < 2; skip++) { /* the write, then the sync */
		sb = good;
		sb.checkpoint_lsn++;
		for (int retry = 0; retry < 3; retry++) {
			uint64_t before = sb.sequence;

			failing_io_arm(&io, skip, -EIO);
			assert_int_equal(superblock_write(&io.table, fd, &sb), -EIO);
			assert_true(sb.sequence > before);
			/* As if the write had torn its page. */
			unit_write(*state, NAME, "torn", 4,
			           (off_t)((good.sequence + 1) % 2 * SUPERBLOCK_COPY_BYTES));
			check_read(fd, 0, 1, &good);
		}
		failing_io_disarm(&io);
		assert_int_equal(superblock_write(&io.table, fd, &sb), 0);
		check_read(fd, 0, 0, &sb);
		good = sb;
	}
	failing_io_arm(&io, 0, -EIO);
	assert_int_equal(superblock_read(&io.table, fd, &read, NULL, NULL), -EIO);
	failing_io_arm(&io, 1, -EIO);
	assert_int_equal(superblock_read(&io.table, fd, &read, NULL, NULL), -EIO);
	close_file(fd);
}

static void every_write_is_synced(void **state)
{
	struct superblock sb = sample;
	struct failing_io io;
	int fd = open_file(*state);

	failing_io_init(&io);
	assert_int_equal(superblock_format(&io.table, fd, &sb), 0);
	assert_int_equal(io.syncs, 1);
	assert_int_equal(superblock_write(&io.table, fd, &sb), 0);
	assert_int_equal(io.syncs, 2);
	close_file(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup_dir, unit_teardown_dir)
		TEST(what_was_written_is_read),
		TEST(the_bytes_are_those_of_the_format),
		TEST(the_copies_are_written_in_turn),
		TEST(a_flipped_bit_anywhere_gives_the_other_copy),
		TEST(a_torn_write_leaves_the_older_copy),
		TEST(damage_of_both_is_told_from_another_file),
		TEST(a_short_file_still_has_its_first_copy),
		TEST(a_kept_index_counts_until_an_older_program_has_written),
		TEST(a_newer_format_is_refused),
		TEST(one_of_version_1_is_read_and_written),
		TEST(values_that_no_store_has_are_damage),
		TEST(a_page_in_the_wrong_place_does_not_count),
		TEST(copies_of_two_stores_are_damage),
		TEST(a_failed_write_spares_the_good_copy_also_when_retried),
		TEST(every_write_is_synced),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
