#include "unit.h"

#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "failing_io.h"

#define BYTES 10000

static void fill(uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
}

/* A file, on a table of which calls can fail. */
static int open_file(struct unit_dir *dir, struct failing_io *io)
{
	int fd;

	failing_io_init(io);
	fd = io->table.open(&io->table, dir->fd, "file", O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void close_file(struct failing_io *io, int fd)
{
	assert_int_equal(io->table.close(&io->table, fd), 0);
}

static void short_and_interrupted_transfers_are_completed(void **state)
{
	static const size_t steps[] = { 0, 1, 7, 4096 };
	uint8_t out[BYTES], in[BYTES];
	struct failing_io io;
	int fd = open_file(*state, &io);

	fill(out, sizeof(out));
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		io.transfer_max = steps[i];
		io.interrupts = 2;
		memset(in, 0, sizeof(in));
		assert_int_equal(io.table.truncate(&io.table, fd, 0), 0);
		assert_int_equal(io_write_all(&io.table, fd, out, BYTES, 33), 0);
		assert_int_equal(unit_size(*state, "file"), BYTES + 33);
		assert_int_equal(io_read_all(&io.table, fd, in, BYTES, 33), 0);
		assert_memory_equal(in, out, BYTES);
	}
	close_file(&io, fd);
}

static void parts_are_written_in_order_whatever_their_sizes(void **state)
{
	uint8_t out[BYTES], in[BYTES];
	struct iovec parts[6];
	struct failing_io io;
	int fd = open_file(*state, &io);

	fill(out, sizeof(out));
	for (size_t step = 0; step < 600; step += 97) {
		parts[0] = (struct iovec){ out, 0 };
		parts[1] = (struct iovec){ out, 1 };
		parts[2] = (struct iovec){ out + 1, 499 };
		parts[3] = (struct iovec){ out + 500, 0 };
		parts[4] = (struct iovec){ out + 500, BYTES - 500 };
		parts[5] = (struct iovec){ out, 0 };
		io.transfer_max = step;
		assert_int_equal(io.table.truncate(&io.table, fd, 0), 0);
		assert_int_equal(io_writev_all(&io.table, fd, parts, 6, 0), 0);
		unit_read(*state, "file", in, BYTES, 0);
		assert_memory_equal(in, out, BYTES);
	}
	close_file(&io, fd);
}

static void more_parts_than_the_kernel_takes_are_split(void **state)
{
	enum { COUNT = IOV_MAX * 2 + 3 };
	struct iovec *parts = calloc(COUNT, sizeof(*parts));
	uint8_t *out = malloc(COUNT), *in = malloc(COUNT);
	struct failing_io io;
	int fd;

	assert_true(parts && out && in);
	failing_io_init(&io);
	fd = open_file(*state, &io);
	fill(out, COUNT);
	for (int i = 0; i < COUNT; i++)
		parts[i] = (struct iovec){ out + i, 1 };
	assert_int_equal(io_writev_all(&io.table, fd, parts, COUNT, 0), 0);
	unit_read(*state, "file", in, COUNT, 0);
	assert_memory_equal(in, out, COUNT);
	close_file(&io, fd);
	free(parts);
	free(out);
	free(in);
}

static void a_read_past_the_end_says_so(void **state)
{
	uint8_t bytes[100] = { 0 };
	struct failing_io io;
	int fd = open_file(*state, &io);

	assert_int_equal(io_write_all(&io.table, fd, bytes, 100, 0), 0);
	assert_int_equal(io_read_all(&io.table, fd, bytes, 100, 1), -ENODATA);
	assert_int_equal(io_read_all(&io.table, fd, bytes, 100, 200), -ENODATA);
	assert_int_equal(io_read_all(&io.table, fd, bytes, 100, 0), 0);
	close_file(&io, fd);
}

static void errors_are_passed_on(void **state)
{
	uint8_t bytes[100] = { 0 };
	struct failing_io io;
	int fd = open_file(*state, &io);

	io.transfer_max = 60;
	failing_io_arm(&io, 1, -ENOSPC);
	assert_int_equal(io_write_all(&io.table, fd, bytes, 100, 0), -ENOSPC);
	failing_io_disarm(&io);
	assert_int_equal(io_write_all(&io.table, fd, bytes, 100, 0), 0);
	failing_io_arm(&io, 1, -EIO);
	assert_int_equal(io_read_all(&io.table, fd, bytes, 100, 0), -EIO);
	failing_io_arm(&io, 0, -EDQUOT);
	assert_int_equal(io_fdatasync(&io.table, fd), -EDQUOT);
	failing_io_arm(&io, 0, -EDQUOT);
	assert_int_equal(io_fsync(&io.table, fd), -EDQUOT);
	failing_io_disarm(&io);
	close_file(&io, fd);
}

static void syncs_outlast_signals(void **state)
{
	struct failing_io io;
	int fd = open_file(*state, &io);

	io.interrupts = 3;
	assert_int_equal(io_fdatasync(&io.table, fd), 0);
	assert_int_equal(io_fsync(&io.table, fd), 0);
	assert_int_equal(io_write_out(&io.table, fd, 0, 4096), 0);
	assert_int_equal(io.syncs, 2);
	close_file(&io, fd);
}

static void a_file_that_never_moves_is_an_error_and_not_a_loop(void **state)
{
	uint8_t bytes[100] = { 0 };
	struct failing_io io;
	int fd = open_file(*state, &io);

	io.interrupts = INT_MAX;
	assert_int_equal(io_write_all(&io.table, fd, bytes, 100, 0), -EIO);
	assert_int_equal(io_read_all(&io.table, fd, bytes, 100, 0), -EIO);
	assert_int_equal(io_fdatasync(&io.table, fd), -EIO);
	assert_int_equal(io_fsync(&io.table, fd), -EIO);
	assert_int_equal(io_write_out(&io.table, fd, 0, 4096), -EIO);
	close_file(&io, fd);
}

/* Nothing is written, and it is not called an error. */
static ssize_t write_nothing(const struct quiver_io *self, int fd, const struct iovec *parts,
                             int count, uint64_t offset)
{
	(void)self;
	(void)fd;
	(void)parts;
	(void)count;
	(void)offset;
	return 0;
}

static void a_write_of_nothing_is_not_repeated_for_ever(void **state)
{
	struct quiver_io io = *quiver_io_posix();

	(void)state;
	io.pwritev = write_nothing;
	io.map_to_store = io_map_nothing;
	assert_int_equal(io_write_all(&io, -1, "x", 1, 0), -EIO);
	assert_int_equal(io_write_all(&io, -1, "x", 0, 0), 0);
}

static void allocation_backs_the_range_and_punching_gives_it_back(void **state)
{
	const struct quiver_io *io = quiver_io_posix();
	int fd = io->open(io, ((struct unit_dir *)*state)->fd, "file", O_RDWR | O_CREAT, 0600);
	struct stat st;
	int r;

	assert_true(fd >= 0);
	assert_int_equal(io->allocate(io, fd, 4096, 1 << 20), 0);
	assert_int_equal(io->stat(io, fd, &st), 0);
	assert_int_equal(st.st_size, (1 << 20) + 4096);
	assert_true(st.st_blocks * 512 >= 1 << 20);
	assert_int_equal(io->allocate(io, -1, 0, 1), -EBADF);
	r = io->punch(io, fd, 4096, 1 << 20);
	if (r != -EOPNOTSUPP) {
		assert_int_equal(r, 0);
		assert_int_equal(io->stat(io, fd, &st), 0);
		assert_int_equal(st.st_size, (1 << 20) + 4096);
		assert_true(st.st_blocks * 512 < 1 << 20);
	}
	assert_int_equal(io->close(io, fd), 0);
	assert_int_equal(io->close(io, fd), -EBADF);
}

/* From now on fallocate(2) fails so in this process. False where calls cannot be filtered: under
 * an emulator. */
static bool without_fallocate(unsigned error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#define NO_FILTER 77

struct poor_disk {
	struct unit_dir *dir;
	unsigned error;
};

static int allocate_on_poor_disk(void *arg)
{
	const struct poor_disk *disk = arg;
	const struct quiver_io *io = quiver_io_posix();
	int fd = io->open(io, disk->dir->fd, "poor", O_RDWR | O_CREAT | O_TRUNC, 0600);
	static uint8_t back[BYTES];
	struct stat st;

	assert_true(fd >= 0);
	if (!without_fallocate(disk->error))
		return NO_FILTER;
	/* At its end, and not at a block: zeros, up to the last byte of it. */
	assert_int_equal(io_write_all(io, fd, "abc", 3, 0), 0);
	assert_int_equal(io->allocate(io, fd, 3, 200000), 0);
	assert_int_equal(io->stat(io, fd, &st), 0);
	assert_int_equal(st.st_size, 200003);
	assert_true(st.st_blocks * 512 >= 200003);
	assert_int_equal(io_read_all(io, fd, back, sizeof(back), 0), 0);
	assert_memory_equal(back, "abc\0\0", 5);
	/* Inside nothing is written, neither to holes nor to zeros. */
	assert_int_equal(io->truncate(io, fd, 0), 0);
	assert_int_equal(io->truncate(io, fd, 1 << 20), 0);
	assert_int_equal(io->allocate(io, fd, 4096, 1 << 19), 0);
	assert_int_equal(io->allocate(io, fd, 1 << 19, 1 << 20), 0);
	assert_int_equal(io->stat(io, fd, &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
	assert_int_equal(st.st_blocks, 0);
	return io->close(io, fd);
}

static void allocation_without_fallocate_writes_nowhere_but_behind_the_end(void **state)
{
	static const unsigned errors[] = { EOPNOTSUPP, ENOSYS };

	for (size_t i = 0; i < 2; i++) {
		struct poor_disk disk = { *state, errors[i] };
		int r = unit_in_child(allocate_on_poor_disk, &disk);

		if (r == NO_FILTER)
			skip();
		assert_int_equal(r, 0);
	}
}

static void what_is_forgotten_was_written_first(void **state)
{
	const struct quiver_io *io = quiver_io_posix();
	int fd = io->open(io, ((struct unit_dir *)*state)->fd, "file", O_RDWR | O_CREAT, 0600);
	char back[4];

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(io, fd, "kept", 4, 100000), 0);
	assert_int_equal(io->forget(io, fd, 0, 0), 0);
	assert_int_equal(io_read_all(io, fd, back, 4, 100000), 0);
	assert_memory_equal(back, "kept", 4);
	assert_int_equal(io->close(io, fd), 0);
	assert_int_equal(io->forget(io, fd, 0, 0), -EBADF);
}

static void folders_are_listed_made_and_changed(void **state)
{
	const struct quiver_io *io = quiver_io_posix();
	struct unit_dir *dir = *state;
	char name[220];
	char *names;
	size_t count;

	assert_int_equal(io->list(io, dir->fd, &names, &count), 0);
	assert_int_equal(count, 0);
	free(names);
	assert_int_equal(io->mkdir(io, dir->fd, "folder", 0700), 0);
	assert_int_equal(io->mkdir(io, dir->fd, "folder", 0700), -EEXIST);
	for (int i = 0; i < 40; i++) { /* more than one step of the buffer */
		snprintf(name, sizeof(name), "%0200d", i);
		unit_write(dir, name, "x", 1, 0);
	}
	for (int round = 0; round < 2; round++) { /* the second from the start again */
		uint64_t seen = 0;
		const char *at;

		assert_int_equal(io->list(io, dir->fd, &names, &count), 0);
		assert_int_equal(count, 41);
		at = names;
		for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
			seen |= strcmp(at, "folder") == 0 ? UINT64_C(1) << 40
			                                  : UINT64_C(1) << atoi(at);
		assert_true(seen == (UINT64_C(1) << 41) - 1);
		free(names);
	}
	snprintf(name, sizeof(name), "%0200d", 7);
	assert_int_equal(io->rename(io, dir->fd, name, "seven"), 0);
	assert_int_equal(io->rename(io, dir->fd, name, "seven"), -ENOENT);
	assert_int_equal(io->unlink(io, dir->fd, "seven"), 0);
	assert_int_equal(io->unlink(io, dir->fd, "seven"), -ENOENT);
	assert_int_equal(io->fsync(io, dir->fd), 0);
}

static void a_lock_excludes_and_can_be_asked_for(void **state)
{
	const struct quiver_io *io = quiver_io_posix();
	struct unit_dir *dir = *state;
	int a = io->open(io, dir->fd, "lock", O_RDWR | O_CREAT, 0600);
	int b = io->open(io, dir->fd, "lock", O_RDONLY, 0);

	assert_true(a >= 0 && b >= 0);
	assert_int_equal(io->locked(io, b), 0);
	assert_int_equal(io->lock(io, a), 0);
	assert_int_equal(io->locked(io, b), 1);
	assert_int_equal(io->lock(io, b), -EWOULDBLOCK);
	assert_int_equal(io->close(io, a), 0);
	assert_int_equal(io->locked(io, b), 0);
	assert_int_equal(flock(b, LOCK_SH | LOCK_NB), 0);
	a = io->open(io, dir->fd, "lock", O_RDWR, 0);
	assert_int_equal(io->locked(io, a), 0); /* one who asks is no holder */
	assert_int_equal(io->close(io, a), 0);
	assert_int_equal(io->close(io, b), 0);
}

static void a_map_shows_the_file_and_descriptors_are_not_inherited(void **state)
{
	const struct quiver_io *io = quiver_io_posix();
	uint64_t total = 0, free_bytes = 0, available = 0;
	struct unit_dir *dir = *state;
	int fd = io->open(io, dir->fd, "file", O_RDWR | O_CREAT, 0600);
	void *at = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(fd >= 0 && at != MAP_FAILED);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(io_write_all(io, fd, "hello", 5, 4096), 0);
	assert_int_equal(io->map_at(io, fd, (char *)at + 4096, 4096, 4096), 0);
	assert_memory_equal((char *)at + 4096, "hello", 5);
	assert_int_equal(io_write_all(io, fd, "HELLO", 5, 4096), 0);
	assert_memory_equal((char *)at + 4096, "HELLO", 5);
	assert_int_equal(io->map_at(io, -1, (char *)at + 4096, 4096, 4096), -EBADF);
	assert_int_equal(munmap(at, 8192), 0);
	assert_int_equal(io->space(io, fd, &total, &free_bytes, &available), 0);
	assert_true(total > 0 && total >= free_bytes && free_bytes >= available);
	assert_int_equal(io->close(io, fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup_dir, unit_teardown_dir)
		TEST(short_and_interrupted_transfers_are_completed),
		TEST(parts_are_written_in_order_whatever_their_sizes),
		TEST(more_parts_than_the_kernel_takes_are_split),
		TEST(a_read_past_the_end_says_so),
		TEST(errors_are_passed_on),
		TEST(syncs_outlast_signals),
		TEST(a_file_that_never_moves_is_an_error_and_not_a_loop),
		TEST(a_write_of_nothing_is_not_repeated_for_ever),
		TEST(allocation_backs_the_range_and_punching_gives_it_back),
		TEST(allocation_without_fallocate_writes_nowhere_but_behind_the_end),
		TEST(what_is_forgotten_was_written_first),
		TEST(folders_are_listed_made_and_changed),
		TEST(a_lock_excludes_and_can_be_asked_for),
		TEST(a_map_shows_the_file_and_descriptors_are_not_inherited),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
