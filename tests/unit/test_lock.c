#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/base/latency.h"
#include "engine/store/lock.h"
#include "engine/store/lock_pid.h"
#include "failing_io.h"

#define NS_PER_MS 1000000u

/* By the descriptor of LOCK: that of the folder, each holder's own. */
static int folders[64];

static int folder_open(struct unit_dir *dir)
{
	int fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int take(struct unit_dir *dir, const char *mount_point, uint32_t wait_ms,
                struct quiver_error *error)
{
	int folder = folder_open(dir);
	int fd = lock_take(quiver_io_posix(), folder, dir->path, mount_point, wait_ms, error);

	if (fd < 0) {
		assert_int_equal(close(folder), 0);
	} else {
		assert_true(fd < 64);
		folders[fd] = folder;
	}
	return fd;
}

static void drop(int fd)
{
	assert_int_equal(lock_drop(quiver_io_posix(), fd), 0);
	assert_int_equal(close(folders[fd]), 0);
}

/* A reader, as its two descriptors. */
struct reader {
	int folder, fd;
};

static int share(struct unit_dir *dir, struct reader *reader, struct quiver_error *error)
{
	int r;

	reader->folder = folder_open(dir);
	r = lock_share(quiver_io_posix(), reader->folder, dir->path, 0, &reader->fd, error);
	if (r)
		assert_int_equal(close(reader->folder), 0);
	return r;
}

static void unshare_lock(struct reader *reader)
{
	if (reader->fd >= 0)
		assert_int_equal(close(reader->fd), 0);
	assert_int_equal(close(reader->folder), 0);
}

static void make_store(struct unit_dir *dir)
{
	unit_write(dir, "superblock", "", 0, 0);
}

static void check_holder(struct unit_dir *dir, int64_t pid, const char *mount_point)
{
	struct quiver_holder holder;

	memset(&holder, 0x55, sizeof(holder));
	assert_int_equal(quiver_holder(dir->path, &holder), 0);
	assert_true(holder.pid == pid);
	assert_string_equal(holder.mount_point, mount_point);
}

static void two_cannot_hold_it_and_the_second_learns_who_does(void **state)
{
	struct unit_dir *dir = *state;
	struct quiver_error error = { "" };
	char expected[512];
	int fd = take(dir, "/mnt/a b", 0, &error);

	assert_true(fd >= 0);
	assert_string_equal(error.text, "");
	assert_int_equal(take(dir, NULL, 0, &error), -EBUSY);
	snprintf(expected, sizeof(expected), "%s: in use by process %d (%s), mounted at /mnt/a b",
	         dir->path, getpid(), program_invocation_short_name);
	assert_string_equal(error.text, expected);
	assert_int_equal(take(dir, NULL, 0, NULL), -EBUSY);
	drop(fd);
	fd = take(dir, NULL, 0, &error);
	assert_true(fd >= 0);
	assert_int_equal(take(dir, NULL, 0, &error), -EBUSY);
	snprintf(expected, sizeof(expected), "%s: in use by process %d (%s)", dir->path, getpid(),
	         program_invocation_short_name);
	assert_string_equal(error.text, expected);
	drop(fd);
}

static void the_text_names_process_and_mount(void **state)
{
	struct unit_dir *dir = *state;
	char text[256] = { 0 }, expected[256];
	int fd;

	/* The longer text of one that was killed must not show through. */
	unit_write(dir, "LOCK", "pid 123456789\nmount /a/very/long/path\n", 38, 0);
	fd = take(dir, "/m", 0, NULL);
	assert_true(fd >= 0);
	snprintf(expected, sizeof(expected), "pid %d\nmount /m\n", getpid());
	assert_int_equal(unit_size(dir, "LOCK"), strlen(expected));
	unit_read(dir, "LOCK", text, strlen(expected), 0);
	assert_string_equal(text, expected);
	drop(fd);
	/* Nobody is named, but the file keeps its block. */
	assert_int_equal(unit_size(dir, "LOCK"), 1);
	unit_read(dir, "LOCK", text, 1, 0);
	assert_int_equal(text[0], '\n');
}

static void the_holder_is_found_only_while_it_holds(void **state)
{
	struct unit_dir *dir = *state;
	char longest[4096];
	int fd;

	make_store(dir);
	check_holder(dir, 0, ""); /* no LOCK yet */
	unit_write(dir, "LOCK", "pid 1\nmount /stale\n", 19, 0);
	check_holder(dir, 0, ""); /* one that was killed */
	fd = take(dir, NULL, 0, NULL);
	assert_true(fd >= 0);
	check_holder(dir, getpid(), "");
	drop(fd);
	check_holder(dir, 0, "");
	fd = take(dir, "/with\na newline", 0, NULL);
	assert_true(fd >= 0);
	check_holder(dir, getpid(), "/with\na newline");
	drop(fd);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	fd = take(dir, longest, 0, NULL);
	assert_true(fd >= 0);
	check_holder(dir, getpid(), longest);
	drop(fd);
}

static void a_holder_without_a_name_is_not_nobody(void **state)
{
	static const char *const texts[] = { "",         "pid \n", "pid 0\n",
		                             "pid -4\n", "pid 12", "pid 99999999999999999999\n",
		                             "rubbish" };
	struct unit_dir *dir = *state;
	struct quiver_holder holder;
	struct quiver_error error;
	char expected[64] = "in use by another process, which";
	int64_t pid;
	int fd;

	make_store(dir);
	unit_write(dir, "LOCK", "", 0, 0);
	fd = openat(dir->fd, "LOCK", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(lock_pids(fd, &pid, 0, 1), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	if (lock_pids(fd, &pid, 0, 1) == 0)
		pid = 0;
	assert_true(pid == 0 || pid == getpid());
	if (pid > 0)
		snprintf(expected, sizeof(expected), "in use by process %d", getpid());
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		unit_write(dir, "LOCK", texts[i], strlen(texts[i]), 0);
		/* The kernel knows the process, on most filesystems. */
		assert_int_equal(quiver_holder(dir->path, &holder), pid > 0 ? 0 : -EBUSY);
		assert_true(holder.pid == pid && holder.mount_point[0] == '\0');
		assert_int_equal(take(dir, NULL, 0, &error), -EBUSY);
		assert_non_null(strstr(error.text, expected));
	}
	assert_int_equal(close(fd), 0);
}

struct brief {
	int fd; /* locked, and closed after */
	unsigned held_us;
};

static void *let_go_later(void *arg)
{
	const struct brief *brief = arg;

	usleep(brief->held_us);
	assert_int_equal(close(brief->fd), 0);
	return NULL;
}

/* One that ends has wiped its name, and lets go while it is looked for. */
static void a_holder_that_lets_go_meanwhile_is_nobody(void **state)
{
	struct unit_dir *dir = *state;
	struct brief brief = { 0 };
	struct quiver_holder holder;
	pthread_t thread;
	int64_t pid;

	make_store(dir);
	unit_write(dir, "LOCK", "\n", 1, 0);
	for (unsigned round = 0; round < 60; round++) {
		brief.fd = openat(dir->fd, "LOCK", O_RDWR | O_CLOEXEC);
		assert_true(brief.fd >= 0);
		assert_int_equal(flock(brief.fd, LOCK_EX | LOCK_NB), 0);
		if (lock_pids(brief.fd, &pid, 0, 1) == 0) { /* such a kernel names nobody */
			assert_int_equal(close(brief.fd), 0);
			skip();
		}
		brief.held_us = 50000 + round * 30;
		assert_int_equal(pthread_create(&thread, NULL, let_go_later, &brief), 0);
		assert_int_equal(quiver_holder(dir->path, &holder), 0);
		assert_true(holder.pid == 0 || holder.pid == getpid());
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
}

static void only_a_store_has_a_holder(void **state)
{
	struct unit_dir *dir = *state;
	char path[UNIT_PATH_BYTES + 32];
	struct quiver_holder holder;

	assert_int_equal(quiver_holder(dir->path, &holder), -EINVAL);
	snprintf(path, sizeof(path), "%s/none", dir->path);
	assert_int_equal(quiver_holder(path, &holder), -ENOENT);
	unit_write(dir, "file", "x", 1, 0);
	snprintf(path, sizeof(path), "%s/file", dir->path);
	assert_int_equal(quiver_holder(path, &holder), -EINVAL);
}

static void *drop_later(void *arg)
{
	usleep(200 * 1000);
	drop(*(int *)arg);
	return NULL;
}

static void one_that_stops_is_waited_for(void **state)
{
	uint64_t begin;
	pthread_t thread;
	int first, second;

	first = take(*state, NULL, 0, NULL);
	assert_true(first >= 0);
	begin = clock_monotonic_ns();
	assert_int_equal(take(*state, NULL, 120, NULL), -EBUSY);
	assert_true(clock_monotonic_ns() - begin >= 120 * NS_PER_MS);
	assert_int_equal(pthread_create(&thread, NULL, drop_later, &first), 0);
	second = take(*state, NULL, 30000, NULL);
	assert_true(second >= 0);
	assert_true(clock_monotonic_ns() - begin < 20000ull * NS_PER_MS);
	assert_int_equal(pthread_join(thread, NULL), 0);
	drop(second);
}

static int the_asker;

/* Whoever asks is gone once the lock was refused, however late the machine lets a thread run. */
static int refused_once(const struct quiver_io *io, int fd)
{
	int r = quiver_io_posix()->lock(io, fd);

	if (the_asker >= 0) {
		assert_int_equal(r, -EWOULDBLOCK);
		assert_int_equal(close(the_asker), 0);
		the_asker = -1;
	}
	return r;
}

/* As quiver_holder does, only for longer. */
static void asking_keeps_nobody_out(void **state)
{
	struct quiver_io io = *quiver_io_posix();
	struct unit_dir *dir = *state;
	int folder = folder_open(dir), fd;

	unit_write(dir, "LOCK", "", 0, 0);
	the_asker = openat(dir->fd, "LOCK", O_RDONLY | O_CLOEXEC);
	assert_true(the_asker >= 0);
	assert_int_equal(flock(the_asker, LOCK_SH | LOCK_NB), 0);
	io.lock = refused_once;
	fd = lock_take(&io, folder, dir->path, "/m", 0, NULL);
	assert_true(fd >= 0);
	assert_int_equal(the_asker, -1);
	assert_int_equal(lock_drop(quiver_io_posix(), fd), 0);
	assert_int_equal(close(folder), 0);
}

static void a_killed_process_leaves_no_lock(void **state)
{
	struct unit_dir *dir = *state;
	int ready[2], status, fd;
	char byte;
	pid_t pid;

	make_store(dir);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fd = take(dir, "/gone", 0, NULL);
		if (fd < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	check_holder(dir, pid, "/gone");
	assert_int_equal(take(dir, NULL, 0, NULL), -EBUSY);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	check_holder(dir, 0, "");
	fd = take(dir, NULL, 0, NULL);
	assert_true(fd >= 0);
	drop(fd);
	assert_int_equal(close(ready[0]), 0);
	assert_int_equal(close(ready[1]), 0);
}

static void a_failure_lets_go_of_the_lock(void **state)
{
	struct unit_dir *dir = *state;
	struct quiver_error error;
	struct failing_io io;
	int fd, folder;

	failing_io_init(&io);
	for (long skip = 0; skip < 3; skip++) { /* open, truncate, write */
		failing_io_arm(&io, skip, -EDQUOT);
		error.text[0] = '\0';
		folder = folder_open(dir);
		assert_int_equal(lock_take(&io.table, folder, dir->path, NULL, 0, &error), -EDQUOT);
		assert_non_null(strstr(error.text, "/LOCK: "));
		assert_int_equal(close(folder), 0);
	}
	failing_io_disarm(&io);
	fd = take(dir, NULL, 0, NULL);
	assert_true(fd >= 0);
	failing_io_arm(&io, 0, -EIO);
	assert_int_equal(lock_drop(&io.table, fd), -EIO); /* and closes */
	assert_int_equal(close(folders[fd]), 0);
	fd = take(dir, NULL, 0, NULL);
	assert_true(fd >= 0);
	drop(fd);
}

/* What a reader must leave as it is: every byte and time of LOCK. */
static void lock_stat(struct unit_dir *dir, struct stat *st)
{
	assert_int_equal(fstatat(dir->fd, "LOCK", st, 0), 0);
}

static void assert_unchanged(struct unit_dir *dir, const struct stat *before)
{
	struct stat now;

	lock_stat(dir, &now);
	assert_true(now.st_size == before->st_size && now.st_ino == before->st_ino);
	assert_memory_equal(&now.st_mtim, &before->st_mtim, sizeof(now.st_mtim));
	assert_memory_equal(&now.st_ctim, &before->st_ctim, sizeof(now.st_ctim));
}

static void readers_share_it_and_keep_who_writes_out(void **state)
{
	struct unit_dir *dir = *state;
	struct quiver_error error = { "" };
	struct reader first, second;
	char expected[512];
	int64_t pids[4];
	struct stat st;
	int fd;

	make_store(dir);
	unit_write(dir, "LOCK", "\n", 1, 0);
	lock_stat(dir, &st);
	assert_int_equal(share(dir, &first, &error), 0);
	assert_int_equal(share(dir, &second, &error), 0);
	check_holder(dir, 0, ""); /* nobody who may write */
	assert_int_equal(take(dir, NULL, 0, &error), -EBUSY);
	if (lock_pids(first.fd, pids, 0, 4) > 0) { /* the filesystem's /proc/locks tells */
		assert_int_equal(quiver_readers(dir->path, pids, 4), 1);
		assert_true(pids[0] == getpid());
		assert_int_equal(quiver_readers(dir->path, pids, 0), 0);
		snprintf(expected, sizeof(expected),
		         "%s: in use by process %d (%s), which only reads it; to write to it, end "
		         "that first: unmount what is mounted read-only",
		         dir->path, getpid(), program_invocation_short_name);
		assert_string_equal(error.text, expected);
	}
	unshare_lock(&first);
	assert_int_equal(take(dir, NULL, 0, &error), -EBUSY);
	unshare_lock(&second);
	assert_unchanged(dir, &st);
	assert_int_equal(quiver_readers(dir->path, pids, 4), 0);
	fd = take(dir, "/m", 0, &error);
	assert_true(fd >= 0);
	assert_int_equal(share(dir, &first, &error), -EBUSY);
	assert_int_equal(first.fd, -1);
	snprintf(expected, sizeof(expected), "%s: in use by process %d (%s), mounted at /m",
	         dir->path, getpid(), program_invocation_short_name);
	assert_string_equal(error.text, expected);
	assert_int_equal(quiver_readers(dir->path, pids, 4), 0);
	drop(fd);
}

static void without_the_file_the_folder_is_locked(void **state)
{
	struct unit_dir *dir = *state;
	struct quiver_error error = { "" };
	struct reader first, second;
	int fd;

	make_store(dir);
	assert_int_equal(share(dir, &first, &error), 0);
	assert_int_equal(first.fd, -1);
	assert_int_equal(faccessat(dir->fd, "LOCK", F_OK, 0), -1); /* none was made */
	assert_int_equal(share(dir, &second, &error), 0);
	assert_int_equal(take(dir, NULL, 0, &error), -EBUSY);
	assert_non_null(strstr(error.text, "only read"));
	unshare_lock(&second);
	assert_int_equal(take(dir, NULL, 0, &error), -EBUSY);
	unshare_lock(&first);
	fd = take(dir, NULL, 0, &error);
	assert_true(fd >= 0);
	drop(fd);
}

/* By somebody who takes it for a stale one. */
static void removing_the_file_opens_nothing(void **state)
{
	struct unit_dir *dir = *state;
	struct quiver_error error = { "" };
	struct quiver_holder holder;
	struct reader reader;
	int fd, r;

	make_store(dir);
	fd = take(dir, "/m", 0, &error);
	assert_true(fd >= 0);
	assert_int_equal(unlinkat(dir->fd, "LOCK", 0), 0);
	assert_int_equal(share(dir, &reader, &error), -EBUSY);
	assert_int_equal(take(dir, NULL, 0, &error), -EBUSY);
	assert_non_null(strstr(error.text, "in use by"));
	r = quiver_holder(dir->path, &holder);
	assert_true((r == 0 && holder.pid == getpid()) || (r == -EBUSY && holder.pid == 0));
	drop(fd);
	assert_int_equal(share(dir, &reader, &error), 0);
	assert_int_equal(unlinkat(dir->fd, "LOCK", 0), 0);
	assert_int_equal(take(dir, NULL, 0, &error), -EBUSY);
	unshare_lock(&reader);
}

static int no_folders(const struct quiver_io *self, int fd)
{
	struct stat st;

	(void)self;
	assert_int_equal(fstat(fd, &st), 0);
	return S_ISDIR(st.st_mode) ? -EBADF : quiver_io_posix()->lock(self, fd);
}

static int share_no_folders(const struct quiver_io *self, int fd)
{
	struct stat st;

	(void)self;
	assert_int_equal(fstat(fd, &st), 0);
	return S_ISDIR(st.st_mode) ? -EBADF : quiver_io_posix()->share(self, fd);
}

static void where_folders_cannot_be_locked_the_file_is(void **state)
{
	struct unit_dir *dir = *state;
	struct quiver_io io = *quiver_io_posix();
	struct quiver_error error = { "" };
	int fd, other;

	io.lock = no_folders;
	io.share = share_no_folders;
	fd = lock_take(&io, dir->fd, dir->path, NULL, 0, &error);
	assert_true(fd >= 0);
	assert_int_equal(lock_take(&io, dir->fd, dir->path, NULL, 0, &error), -EBUSY);
	assert_int_equal(lock_share(&io, dir->fd, dir->path, 0, &other, &error), -EBUSY);
	assert_int_equal(lock_drop(&io, fd), 0);
	assert_int_equal(lock_share(&io, dir->fd, dir->path, 0, &other, &error), 0);
	assert_int_equal(close(other), 0);
	/* With neither, nobody could be kept out. */
	assert_int_equal(unlinkat(dir->fd, "LOCK", 0), 0);
	assert_int_equal(lock_share(&io, dir->fd, dir->path, 0, &other, &error), -EBADF);
	assert_int_equal(other, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup_dir, unit_teardown_dir)
		TEST(two_cannot_hold_it_and_the_second_learns_who_does),
		TEST(the_text_names_process_and_mount),
		TEST(the_holder_is_found_only_while_it_holds),
		TEST(a_holder_without_a_name_is_not_nobody),
		TEST(a_holder_that_lets_go_meanwhile_is_nobody),
		TEST(only_a_store_has_a_holder),
		TEST(one_that_stops_is_waited_for),
		TEST(asking_keeps_nobody_out),
		TEST(a_killed_process_leaves_no_lock),
		TEST(a_failure_lets_go_of_the_lock),
		TEST(readers_share_it_and_keep_who_writes_out),
		TEST(without_the_file_the_folder_is_locked),
		TEST(removing_the_file_opens_nothing),
		TEST(where_folders_cannot_be_locked_the_file_is),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
