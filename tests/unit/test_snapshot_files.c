/*
 * test_snapshot_files.c - the files of snapshots: their bytes, their folder, and what another program
 * may leave in it.
 */
#include "unit.h"

#include <sys/file.h>
#include <xxhash.h>

#include "engine/disk/snapshot_files.h"
#include "failing_io.h"

#define FOLDER "snapshots"
#define NAME "2026-11-30"

static const uint8_t store_uuid[16] = {
	1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16
};

static struct snapshot_page sample(void)
{
	struct snapshot_page page = { .uuid = { 0xa1, [15] = 0xaf },
		                      .lsn = 0x1112131415161718,
		                      .count = 0x01020303,
		                      .slots_used = 0x01020304,
		                      .created_ns = 0x2122232425262728,
		                      .dir = { .mtime_ns = -5,
		                               .ctime_ns = 0x6162636465666768,
		                               .uid = 0x41424344,
		                               .gid = 0x51525354,
		                               .mode = 07751 },
		                      .description = { .metric = QUIVER_IP, .label = "m\xc3\xa9" },
		                      .incomplete = true };

	memcpy(page.store_uuid, store_uuid, sizeof(store_uuid));
	return page;
}

static void check_same(const struct snapshot_page *a, const struct snapshot_page *b)
{
	assert_memory_equal(a->store_uuid, b->store_uuid, 16);
	assert_memory_equal(a->uuid, b->uuid, 16);
	assert_int_equal(a->lsn, b->lsn);
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->slots_used, b->slots_used);
	assert_int_equal(a->created_ns, b->created_ns);
	assert_int_equal(a->dir.mtime_ns, b->dir.mtime_ns);
	assert_int_equal(a->dir.ctime_ns, b->dir.ctime_ns);
	assert_int_equal(a->dir.uid, b->dir.uid);
	assert_int_equal(a->dir.gid, b->dir.gid);
	assert_int_equal(a->dir.mode, b->dir.mode);
	assert_int_equal(a->description.metric, b->description.metric);
	assert_string_equal(a->description.label, b->description.label);
	assert_int_equal(a->incomplete, b->incomplete);
}

static const struct quiver_io *io(void)
{
	return quiver_io_posix();
}

static void make(struct unit_dir *dir, const char *name)
{
	struct snapshot_page page = sample();

	assert_int_equal(snapshot_files_write(io(), dir->fd, name, &page), 0);
}

static int read_one(struct unit_dir *dir, const char *name)
{
	struct snapshot_page page, expected = sample();
	int r = snapshot_files_read(io(), dir->fd, name, store_uuid, &page);

	if (r == 0)
		check_same(&page, &expected);
	return r;
}

static size_t count_of(struct unit_dir *dir)
{
	char *names;
	size_t count;

	assert_int_equal(snapshot_files_list(io(), dir->fd, false, &names, &count), 0);
	free(names);
	return count;
}

/* ---- bytes ---- */

static void the_bytes_are_those_of_the_format(void **state)
{
	uint8_t file[SNAPSHOT_FILE_BYTES];
	struct snapshot_page page = sample();
	uint64_t sum;

	(void)state;
	snapshot_page_encode(&page, file);
	assert_memory_equal(file, "QUIVERSS\1\0\0\0\1\0\0\0", 16);
	assert_memory_equal(file + 16, store_uuid, 16);
	assert_int_equal(file[32], 0xa1);
	assert_int_equal(file[47], 0xaf);
	assert_memory_equal(file + 48, "\x18\x17\x16\x15\x14\x13\x12\x11", 8);
	assert_memory_equal(file + 56, "\x03\x03\x02\x01\0\0\0\0", 8);
	assert_memory_equal(file + 64, "\x04\x03\x02\x01\0\0\0\0", 8);
	assert_memory_equal(file + 72, "\x28\x27\x26\x25\x24\x23\x22\x21", 8);
	assert_memory_equal(file + 80, "\xfb\xff\xff\xff\xff\xff\xff\xff", 8);
	assert_memory_equal(file + 88, "\x68\x67\x66\x65\x64\x63\x62\x61", 8);
	assert_memory_equal(file + 96, "\x44\x43\x42\x41\x54\x53\x52\x51\xe9\x0f\x02\0", 12);
	assert_memory_equal(file + 510, "\x03\0m\xc3\xa9\0", 6);
	sum = XXH3_64bits(file, 4088);
	for (int i = 0; i < 8; i++)
		assert_int_equal(file[4088 + i], sum >> 8 * i & 0xff);
	/* The second is the same but for its number. */
	assert_int_equal(file[108], 0);
	assert_int_equal(file[4096 + 108], 1);
	file[4096 + 108] = 0;
	assert_memory_equal(file, file + 4096, 4088);
}

/* Any bit: the other copy counts. The same bit of both: damage, and never another value. */
static void a_flipped_bit_anywhere_is_told(void **state)
{
	uint8_t file[SNAPSHOT_FILE_BYTES];
	struct snapshot_page page = sample(), found;
	unsigned copies_bad;

	(void)state;
	snapshot_page_encode(&page, file);
	for (size_t bit = 0; bit < SNAPSHOT_COPY_BYTES * 8; bit++) {
		uint8_t *first = &file[bit / 8], *second = &file[SNAPSHOT_COPY_BYTES + bit / 8];
		uint8_t mask = (uint8_t)(1u << bit % 8);

		*first ^= mask;
		assert_int_equal(snapshot_page_decode(file, store_uuid, &found, &copies_bad), 0);
		assert_int_equal(copies_bad, 1);
		check_same(&found, &page);
		*second ^= mask;
		assert_int_equal(snapshot_page_decode(file, store_uuid, &found, &copies_bad),
		                 -EUCLEAN);
		*first ^= mask;
		assert_int_equal(snapshot_page_decode(file, store_uuid, &found, &copies_bad), 0);
		check_same(&found, &page);
		*second ^= mask;
	}
}

static void seal(uint8_t copy[SNAPSHOT_COPY_BYTES])
{
	uint64_t sum = XXH3_64bits(copy, 4088);

	for (int i = 0; i < 8; i++)
		copy[4088 + i] = (uint8_t)(sum >> 8 * i);
}

static int decode_with(size_t at, uint8_t value)
{
	uint8_t file[SNAPSHOT_FILE_BYTES];
	struct snapshot_page page = sample(), found;
	unsigned copies_bad;

	snapshot_page_encode(&page, file);
	for (size_t copy = 0; copy < 2; copy++) {
		file[copy * SNAPSHOT_COPY_BYTES + at] = value;
		seal(file + copy * SNAPSHOT_COPY_BYTES);
	}
	return snapshot_page_decode(file, store_uuid, &found, &copies_bad);
}

static void values_that_no_snapshot_has_are_damage(void **state)
{
	(void)state;
	assert_int_equal(decode_with(8, 2), -ENOTSUP); /* a newer version */
	assert_int_equal(decode_with(16, 2), -EUCLEAN); /* another store */
	assert_int_equal(decode_with(59, 2), -EUCLEAN); /* more vectors than slots */
	assert_int_equal(decode_with(68, 1), -EUCLEAN); /* more slots than there can be */
	assert_int_equal(decode_with(105, 0x10), -EUCLEAN); /* more than a mode */
	assert_int_equal(decode_with(106, 4), -EUCLEAN); /* a metric */
	assert_int_equal(decode_with(108, 2), -EUCLEAN); /* number of the copy */
	assert_int_equal(decode_with(511, 5), -EUCLEAN); /* length of the label */
	assert_int_equal(decode_with(512, '\n'), -EUCLEAN); /* no label */
	assert_int_equal(decode_with(48, 1), 0);
}

static void names_are_those_of_the_format(void **state)
{
	char name[QUIVER_SNAPSHOT_NAME_MAX + 2];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[QUIVER_SNAPSHOT_NAME_MAX] = '\0';
	assert_true(quiver_snapshot_name_is_valid(name));
	name[QUIVER_SNAPSHOT_NAME_MAX] = 'a';
	name[QUIVER_SNAPSHOT_NAME_MAX + 1] = '\0';
	assert_false(quiver_snapshot_name_is_valid(name));
	for (const char *const *good = (const char *[]){ "a", "0", "2026-11-30T12:00:00Z", "v1.2_x",
	                                                 "-", ":", "a.", NULL };
	     *good; good++)
		assert_true(quiver_snapshot_name_is_valid(*good));
	for (const char *const *bad = (const char *[]){ "", ".", "..", ".a", "a/b", "a b", "a@b",
	                                                "\xc3\xa9", "a\n", "a~", NULL };
	     *bad; bad++)
		assert_false(quiver_snapshot_name_is_valid(*bad));
}

/* ---- files ---- */

static void one_is_made_read_and_removed(void **state)
{
	struct unit_dir *dir = *state;
	struct stat st;

	assert_int_equal(count_of(dir), 0);
	assert_int_equal(read_one(dir, NAME), -ENOENT);
	assert_int_equal(snapshot_files_remove(io(), dir->fd, NAME), -ENOENT);
	make(dir, NAME);
	make(dir, "b");
	assert_int_equal(count_of(dir), 2);
	assert_int_equal(read_one(dir, NAME), 0);
	assert_int_equal(unit_size(dir, FOLDER "/" NAME), SNAPSHOT_FILE_BYTES);
	assert_int_equal(fstatat(dir->fd, FOLDER, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fstatat(dir->fd, FOLDER "/" NAME, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(snapshot_files_remove(io(), dir->fd, NAME), 0);
	assert_int_equal(snapshot_files_remove(io(), dir->fd, NAME), -ENOENT);
	assert_int_equal(read_one(dir, NAME), -ENOENT);
	assert_int_equal(read_one(dir, "b"), 0);
	assert_int_equal(count_of(dir), 1);
}

/* As a repair does: who may read it is as before. */
static void one_takes_the_place_of_another(void **state)
{
	struct unit_dir *dir = *state;
	struct snapshot_page page = sample(), found;
	struct stat st;

	make(dir, NAME);
	assert_int_equal(fchmodat(dir->fd, FOLDER "/" NAME, 0640, 0), 0);
	page.count--;
	assert_int_equal(snapshot_files_write(io(), dir->fd, NAME, &page), 0);
	assert_int_equal(snapshot_files_read(io(), dir->fd, NAME, store_uuid, &found), 0);
	check_same(&found, &page);
	assert_int_equal(fstatat(dir->fd, FOLDER "/" NAME, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void what_an_interrupted_making_left_goes(void **state)
{
	struct unit_dir *dir = *state;
	struct stat st;
	char *names;
	size_t count;

	make(dir, NAME);
	unit_write(dir, FOLDER "/." NAME, "half", 4, 0);
	unit_write(dir, FOLDER "/no snapshot", "x", 1, 0);
	assert_int_equal(mkdirat(dir->fd, FOLDER "/.folder", 0700), 0);
	assert_int_equal(snapshot_files_list(io(), dir->fd, false, &names, &count), 0);
	assert_int_equal(count, 1);
	free(names);
	assert_int_equal(fstatat(dir->fd, FOLDER "/." NAME, &st, 0), 0);
	assert_int_equal(snapshot_files_list(io(), dir->fd, true, &names, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(names, NAME);
	free(names);
	assert_int_equal(fstatat(dir->fd, FOLDER "/." NAME, &st, 0), -1);
	/* What is nobody's making stays. */
	assert_int_equal(fstatat(dir->fd, FOLDER "/no snapshot", &st, 0), 0);
	assert_int_equal(fstatat(dir->fd, FOLDER "/.folder", &st, 0), 0);
	/* In its way it does not stand either. */
	unit_write(dir, FOLDER "/.c", "half", 4, 0);
	make(dir, "c");
	assert_int_equal(read_one(dir, "c"), 0);
}

static void a_damaged_file_is_told(void **state)
{
	struct unit_dir *dir = *state;
	const uint8_t other_uuid[16] = { 9 };
	struct snapshot_page page;

	make(dir, NAME);
	assert_int_equal(snapshot_files_read(io(), dir->fd, NAME, other_uuid, &page), -EUCLEAN);
	unit_flip(dir, FOLDER "/" NAME, 8 * 100);
	assert_int_equal(read_one(dir, NAME), 0);
	unit_flip(dir, FOLDER "/" NAME, 8 * (4096 + 100));
	assert_int_equal(read_one(dir, NAME), -EUCLEAN);
	unit_flip(dir, FOLDER "/" NAME, 8 * 100);
	assert_int_equal(read_one(dir, NAME), 0);
	unit_truncate(dir, FOLDER "/" NAME, 4096);
	assert_int_equal(read_one(dir, NAME), 0);
	unit_truncate(dir, FOLDER "/" NAME, 4095);
	assert_int_equal(read_one(dir, NAME), -EUCLEAN);
	unit_truncate(dir, FOLDER "/" NAME, 0);
	assert_int_equal(read_one(dir, NAME), -EUCLEAN);
	/* It can be removed all the same. */
	assert_int_equal(snapshot_files_remove(io(), dir->fd, NAME), 0);
}

static void what_is_no_file_is_not_opened(void **state)
{
	struct unit_dir *dir = *state;
	struct snapshot_page page = sample();

	make(dir, "a");
	assert_int_equal(symlinkat("a", dir->fd, FOLDER "/link"), 0);
	assert_int_equal(mkfifoat(dir->fd, FOLDER "/fifo", 0600), 0);
	assert_int_equal(mkdirat(dir->fd, FOLDER "/folder", 0700), 0);
	assert_int_equal(count_of(dir), 4);
	assert_int_equal(read_one(dir, "link"), -ELOOP);
	assert_int_equal(read_one(dir, "fifo"), -ENXIO);
	assert_int_equal(read_one(dir, "folder"), -EISDIR);
	assert_int_equal(snapshot_files_hold(io(), dir->fd, "link"), -ELOOP);
	assert_int_equal(snapshot_files_write(io(), dir->fd, "link", &page), -ELOOP);
	assert_int_equal(snapshot_files_write(io(), dir->fd, "fifo", &page), -ENXIO);
	assert_int_equal(snapshot_files_remove(io(), dir->fd, "link"), 0);
	assert_int_equal(snapshot_files_remove(io(), dir->fd, "fifo"), 0);
	assert_int_equal(snapshot_files_remove(io(), dir->fd, "folder"), -EISDIR);
	assert_int_equal(read_one(dir, "a"), 0);
}

static void a_folder_that_is_none_is_refused(void **state)
{
	struct unit_dir *dir = *state;
	struct snapshot_page page = sample();
	char *names;
	size_t count;

	assert_int_equal(mkdirat(dir->fd, "elsewhere", 0700), 0);
	assert_int_equal(symlinkat("elsewhere", dir->fd, FOLDER), 0);
	assert_int_equal(snapshot_files_list(io(), dir->fd, true, &names, &count), -ELOOP);
	assert_null(names);
	assert_int_equal(snapshot_files_write(io(), dir->fd, NAME, &page), -ELOOP);
	assert_int_equal(snapshot_files_remove(io(), dir->fd, NAME), -ELOOP);
	assert_int_equal(unlinkat(dir->fd, FOLDER, 0), 0);
	unit_write(dir, FOLDER, "x", 1, 0);
	assert_int_equal(snapshot_files_list(io(), dir->fd, true, &names, &count), -ENOTDIR);
	assert_int_equal(snapshot_files_write(io(), dir->fd, NAME, &page), -ENOTDIR);
}

static void one_that_is_held_stays(void **state)
{
	struct unit_dir *dir = *state;
	struct snapshot_page page = sample();
	int first, second, exclusive;

	assert_int_equal(snapshot_files_hold(io(), dir->fd, NAME), -ENOENT);
	make(dir, NAME);
	first = snapshot_files_hold(io(), dir->fd, NAME);
	second = snapshot_files_hold(io(), dir->fd, NAME);
	assert_true(first >= 0 && second >= 0);
	assert_int_equal(snapshot_files_remove(io(), dir->fd, NAME), -EBUSY);
	assert_int_equal(snapshot_files_write(io(), dir->fd, NAME, &page), -EBUSY);
	assert_int_equal(close(first), 0);
	assert_int_equal(snapshot_files_remove(io(), dir->fd, NAME), -EBUSY);
	assert_int_equal(read_one(dir, NAME), 0);
	assert_int_equal(close(second), 0);
	exclusive = openat(dir->fd, FOLDER "/" NAME, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(exclusive, LOCK_EX), 0);
	assert_int_equal(snapshot_files_hold(io(), dir->fd, NAME), -EBUSY);
	assert_int_equal(close(exclusive), 0);
	assert_int_equal(snapshot_files_remove(io(), dir->fd, NAME), 0);
	assert_int_equal(count_of(dir), 0);
}

/* Each call fails in turn, and each sync for good: there is the old one, whole, or the new. */
static void a_failed_making_leaves_what_was_there(void **state)
{
	struct unit_dir *dir = *state;
	struct snapshot_page page = sample(), found;
	struct failing_io failing;
	int r = -EIO;

	make(dir, NAME);
	page.count--;
	failing_io_init(&failing);
	for (long skip = 0; skip < 20; skip++) {
		failing_io_arm(&failing, skip, skip % 2 ? -EIO : -ENOSPC);
		r = snapshot_files_write(&failing.table, dir->fd, NAME, &page);
		failing_io_disarm(&failing);
		assert_int_equal(snapshot_files_read(io(), dir->fd, NAME, store_uuid, &found), 0);
		if (r == 0 || found.count == page.count) {
			check_same(&found, &page);
			make(dir, NAME);
		}
		assert_int_equal(count_of(dir), 1);
	}
	assert_int_equal(r, 0);
	/* Of the file, its folder and the store's. */
	failing.syncs = 0;
	assert_int_equal(snapshot_files_write(&failing.table, dir->fd, "b", &page), 0);
	assert_int_equal(failing.syncs, 3);
	assert_int_equal(snapshot_files_remove(&failing.table, dir->fd, "b"), 0);
	assert_int_equal(failing.syncs, 4);
}

/* A removal may be in the kernel's memory alone: whoever says that it is gone has synced. */
static void what_is_not_there_is_so_for_good(void **state)
{
	struct unit_dir *dir = *state;
	struct failing_io failing;
	char *names;
	size_t count;

	make(dir, NAME);
	failing_io_init(&failing);
	failing.syncs = 0;
	assert_int_equal(snapshot_files_remove(&failing.table, dir->fd, "b"), -ENOENT);
	assert_int_equal(failing.syncs, 1);
	assert_int_equal(snapshot_files_list(&failing.table, dir->fd, false, &names, &count), 0);
	free(names);
	assert_int_equal(failing.syncs, 1); /* who only reads cannot */
	assert_int_equal(snapshot_files_list(&failing.table, dir->fd, true, &names, &count), 0);
	free(names);
	assert_int_equal(failing.syncs, 2);
}

static void a_failed_reading_or_removal_is_told(void **state)
{
	struct unit_dir *dir = *state;
	struct snapshot_page page;
	struct failing_io failing;
	int r = -EIO;

	make(dir, NAME);
	failing_io_init(&failing);
	for (long skip = 0; skip < 6; skip++) {
		failing_io_arm(&failing, skip, -EIO);
		r = snapshot_files_read(&failing.table, dir->fd, NAME, store_uuid, &page);
		/* Of the two copies one is enough, and what was read is not closed in vain. */
		assert_int_equal(r, skip < 2 ? -EIO : 0);
	}
	for (long skip = 0; skip < 20; skip++) {
		struct stat st;

		make(dir, NAME);
		failing_io_arm(&failing, skip, -EIO);
		r = snapshot_files_remove(&failing.table, dir->fd, NAME);
		failing_io_disarm(&failing);
		assert_true(r == 0 || r == -EIO); /* then it may be gone */
		assert_true(r || fstatat(dir->fd, FOLDER "/" NAME, &st, 0) != 0);
	}
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup_dir, unit_teardown_dir)
		cmocka_unit_test(the_bytes_are_those_of_the_format),
		cmocka_unit_test(a_flipped_bit_anywhere_is_told),
		cmocka_unit_test(values_that_no_snapshot_has_are_damage),
		cmocka_unit_test(names_are_those_of_the_format),
		TEST(one_is_made_read_and_removed),
		TEST(one_takes_the_place_of_another),
		TEST(what_is_not_there_is_so_for_good),
		TEST(what_an_interrupted_making_left_goes),
		TEST(a_damaged_file_is_told),
		TEST(what_is_no_file_is_not_opened),
		TEST(a_folder_that_is_none_is_refused),
		TEST(one_that_is_held_stays),
		TEST(a_failed_making_leaves_what_was_there),
		TEST(a_failed_reading_or_removal_is_told),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
