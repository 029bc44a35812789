#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "engine/base/latency.h"
#include "engine/store/lock.h"
#include "engine/store/lock_pid.h"
#include "failing_io.h"

#define NS_PER_MS 1000000u

static int take(struct unit_dir *dir, const char *mount_point, uint32_t wait_ms,
                struct quiver_error *error)
{
	return lock_take(quiver_io_posix(), dir->fd, dir->path, mount_point, wait_ms, error);
}

static void drop(int fd)
{
	assert_int_equal(lock_drop(quiver_io_posix(), fd), 0);
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
	snprintf(expected, sizeof(expected), "%s: in use by process %d, mounted at /mnt/a b",
	         dir->path, getpid());
	assert_string_equal(error.text, expected);
	assert_int_equal(take(dir, NULL, 0, NULL), -EBUSY);
	drop(fd);
	fd = take(dir, NULL, 0, &error);
	assert_true(fd >= 0);
	assert_int_equal(take(dir, NULL, 0, &error), -EBUSY);
	snprintf(expected, sizeof(expected), "%s: in use by process %d", dir->path, getpid());
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
	char expected[64] = "in use by another process";
	int64_t pid;
	int fd;

	make_store(dir);
	unit_write(dir, "LOCK", "", 0, 0);
	fd = openat(dir->fd, "LOCK", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(lock_pid(fd), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	pid = lock_pid(fd);
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

/* Far less than the least time that is waited (WAIT_MIN_NS): threads start late on a busy machine. */
static void *ask_for_a_while(void *arg)
{
	usleep(5 * 1000);
	assert_int_equal(close(*(int *)arg), 0);
	return NULL;
}

/* As quiver_holder does, only for longer. */
static void asking_keeps_nobody_out(void **state)
{
	struct unit_dir *dir = *state;
	pthread_t thread;
	int asker, fd;

	unit_write(dir, "LOCK", "", 0, 0);
	asker = openat(dir->fd, "LOCK", O_RDONLY | O_CLOEXEC);
	assert_true(asker >= 0);
	assert_int_equal(flock(asker, LOCK_SH | LOCK_NB), 0);
	assert_int_equal(pthread_create(&thread, NULL, ask_for_a_while, &asker), 0);
	fd = take(dir, "/m", 0, NULL);
	assert_true(fd >= 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	drop(fd);
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
		fd = lock_take(quiver_io_posix(), dir->fd, dir->path, "/gone", 0, NULL);
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
	int fd;

	failing_io_init(&io);
	for (long skip = 0; skip < 3; skip++) { /* open, truncate, write */
		failing_io_arm(&io, skip, -EDQUOT);
		error.text[0] = '\0';
		assert_int_equal(lock_take(&io.table, dir->fd, dir->path, NULL, 0, &error),
		                 -EDQUOT);
		assert_non_null(strstr(error.text, "/LOCK: "));
	}
	failing_io_disarm(&io);
	fd = take(dir, NULL, 0, NULL);
	assert_true(fd >= 0);
	failing_io_arm(&io, 0, -EIO);
	assert_int_equal(lock_drop(&io.table, fd), -EIO); /* and closes */
	fd = take(dir, NULL, 0, NULL);
	assert_true(fd >= 0);
	drop(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup_dir, unit_teardown_dir)
		TEST(two_cannot_hold_it_and_the_second_learns_who_does),
		TEST(the_text_names_process_and_mount),
		TEST(the_holder_is_found_only_while_it_holds),
		TEST(a_holder_without_a_name_is_not_nobody),
		TEST(only_a_store_has_a_holder),
		TEST(one_that_stops_is_waited_for),
		TEST(asking_keeps_nobody_out),
		TEST(a_killed_process_leaves_no_lock),
		TEST(a_failure_lets_go_of_the_lock),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
