#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "engine/base/culprit.h"
#include "engine/disk/io_posix_open.h"

static int open_as(struct unit_dir *dir, const char *name, int flags)
{
	culprit_forget();
	return io_posix_open_below(dir->fd, name, flags, 0600);
}

/* It is refused with that errno and a message that has these words; nothing was waited for. */
static void is_refused(struct unit_dir *dir, const char *name, int flags, int r, const char *why)
{
	assert_int_equal(open_as(dir, name, flags), r);
	assert_string_equal(culprit_name(r), name);
	if (!strstr(culprit_why(r), why))
		fail_msg("%s: %s", name, culprit_why(r));
}

static void opens(struct unit_dir *dir, const char *name, int flags)
{
	int fd = open_as(dir, name, flags);

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(close(fd), 0);
	assert_null(culprit_name(-ENOENT));
}

static const int ways[] = { O_RDONLY, O_RDWR, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_TRUNC };
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void a_file_is_opened_and_made(void **state)
{
	struct unit_dir *dir = *state;
	char text[2];

	assert_int_equal(open_as(dir, "file", O_RDWR), -ENOENT);
	opens(dir, "file", O_RDWR | O_CREAT | O_EXCL);
	assert_int_equal(open_as(dir, "file", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
	unit_write(dir, "file", "ab", 2, 0);
	for (size_t i = 0; i + 1 < WAYS; i++)
		opens(dir, "file", ways[i]);
	unit_read(dir, "file", text, 2, 0);
	assert_memory_equal(text, "ab", 2);
	opens(dir, "file", O_RDWR | O_TRUNC);
	assert_int_equal(unit_size(dir, "file"), 0);
	opens(dir, "new", O_RDWR | O_CREAT);
	is_refused(dir, "file", O_RDONLY | O_DIRECTORY, -ENOTDIR,
	           "expected a folder, found a regular file");
}

static void a_link_is_not_followed(void **state)
{
	struct unit_dir *dir = *state;

	unit_write(dir, "victim", "precious", 8, 0);
	assert_int_equal(mkdirat(dir->fd, "folder", 0700), 0);
	assert_int_equal(symlinkat("victim", dir->fd, "link"), 0);
	assert_int_equal(symlinkat("nowhere", dir->fd, "dangling"), 0);
	assert_int_equal(symlinkat("folder", dir->fd, "to_folder"), 0);
	for (size_t i = 0; i < WAYS; i++) {
		is_refused(dir, "link", ways[i], -ELOOP, "found a symbolic link");
		is_refused(dir, "dangling", ways[i], -ELOOP, "found a symbolic link");
	}
	is_refused(dir, "to_folder", O_RDONLY | O_DIRECTORY, -ELOOP,
	           "expected a folder, found a symbolic");
	assert_int_equal(open_as(dir, "dangling", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
	assert_int_equal(unit_size(dir, "victim"), 8);
	assert_int_equal(faccessat(dir->fd, "nowhere", F_OK, 0), -1);
}

static void nothing_but_a_file_is_opened(void **state)
{
	struct unit_dir *dir = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(listener >= 0);
	assert_true(snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", dir->path) <
	            (int)sizeof(address.sun_path));
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(close(listener), 0);
	assert_int_equal(mkfifoat(dir->fd, "fifo", 0600), 0);
	assert_int_equal(mkdirat(dir->fd, "folder", 0700), 0);
	for (size_t i = 0; i < WAYS; i++) {
		is_refused(dir, "fifo", ways[i], -ENXIO, "expected a regular file, found a FIFO");
		is_refused(dir, "socket", ways[i], -ENXIO, "found a socket");
		is_refused(dir, "folder", ways[i], -EISDIR, "found a folder");
	}
	opens(dir, "folder", O_RDONLY | O_DIRECTORY);
}

/* By its owner it is read. */
static void a_file_of_two_names_is_not_written_to(void **state)
{
	struct unit_dir *dir = *state;

	unit_write(dir, "file", "of two", 6, 0);
	assert_int_equal(linkat(dir->fd, "file", dir->fd, "other", 0), 0);
	opens(dir, "file", O_RDONLY);
	for (size_t i = 1; i < WAYS; i++)
		is_refused(dir, "file", ways[i], -EMLINK, "found 2 hard links");
	assert_int_equal(unit_size(dir, "file"), 6);
	assert_int_equal(unlinkat(dir->fd, "other", 0), 0);
	opens(dir, "file", O_RDWR);
}

/* In a folder of another user. */
static void root_gives_away_what_it_makes_and_takes_only_what_is_the_owners(void **state)
{
	struct unit_dir *dir = *state;
	const uid_t owner = 4711;
	const gid_t group = 4712;
	struct stat st;

	if (geteuid() != 0)
		skip();
	assert_int_equal(fchown(dir->fd, owner, group), 0);
	opens(dir, "file", O_RDWR | O_CREAT);
	assert_int_equal(io_posix_mkdir_below(dir->fd, "folder", 0700), 0);
	assert_int_equal(io_posix_mkdir_below(dir->fd, "folder", 0700), -EEXIST);
	assert_int_equal(fstatat(dir->fd, "file", &st, 0), 0);
	assert_true(st.st_uid == owner && st.st_gid == group);
	assert_int_equal(fstatat(dir->fd, "folder", &st, 0), 0);
	assert_true(st.st_uid == owner && st.st_gid == group);
	opens(dir, "file", O_RDWR);
	unit_write(dir, "roots", "", 0, 0); /* as releases before made them */
	opens(dir, "roots", O_RDWR);
	assert_int_equal(fchownat(dir->fd, "file", owner + 1, group, 0), 0);
	is_refused(dir, "file", O_RDONLY, -EPERM,
	           "of user 4711, who owns the folder, found a file of user 4712");
	assert_int_equal(fchownat(dir->fd, "folder", owner + 1, group, 0), 0);
	is_refused(dir, "folder", O_RDONLY | O_DIRECTORY, -EPERM, "of user 4712");
	assert_int_equal(linkat(dir->fd, "roots", dir->fd, "other", 0), 0);
	is_refused(dir, "roots", O_RDONLY, -EMLINK, "found 2 hard links");
}

static void a_name_with_a_folder_before_it_is_renamed(void **state)
{
	struct unit_dir *dir = *state;

	assert_int_equal(mkdirat(dir->fd, "from", 0700), 0);
	assert_int_equal(mkdirat(dir->fd, "to", 0700), 0);
	assert_int_equal(symlinkat("to", dir->fd, "link"), 0);
	assert_int_equal(mknodat(dir->fd, "from/file", S_IFREG | 0600, 0), 0);
	culprit_forget();
	assert_int_equal(io_posix_rename_below(dir->fd, "from/file", "link/file"), -ELOOP);
	assert_string_equal(culprit_name(-ELOOP), "link");
	assert_int_equal(io_posix_rename_below(dir->fd, "from/none", "to/file"), -ENOENT);
	assert_int_equal(io_posix_rename_below(dir->fd, "from/file", "to/file"), 0);
	assert_int_equal(faccessat(dir->fd, "to/file", F_OK, 0), 0);
	assert_int_equal(io_posix_rename_below(dir->fd, "to/file", "file"), 0);
	assert_int_equal(io_posix_unlink_below(dir->fd, "file"), 0);
	assert_int_equal(io_posix_unlink_below(dir->fd, "file"), -ENOENT);
	assert_int_equal(io_posix_unlink_below(dir->fd, "to"), -EISDIR);
	assert_string_equal(culprit_name(-EISDIR), "to");
}

#define SWAPS 4000

struct swapper {
	struct unit_dir *dir;
	_Atomic bool done;
};

/* Puts in turn a file, a link and a FIFO in the place of "file". */
static void *swap(void *arg)
{
	struct swapper *swapper = arg;
	int fd = swapper->dir->fd;

	while (!atomic_load(&swapper->done)) {
		(void)unlinkat(fd, "file", 0);
		(void)symlinkat("victim", fd, "file");
		(void)unlinkat(fd, "file", 0);
		(void)mkfifoat(fd, "file", 0600);
		(void)renameat(fd, "file", fd, "aside");
		(void)linkat(fd, "victim", fd, "file", 0);
		(void)unlinkat(fd, "file", 0);
		unit_write(swapper->dir, "new", "", 0, 0);
		(void)renameat(fd, "new", fd, "file");
	}
	return NULL;
}

/* Whatever gets its name between two calls. */
static void one_that_changes_meanwhile_is_not_taken_for_another(void **state)
{
	struct swapper swapper = { .dir = *state };
	struct stat victim, st;
	pthread_t thread;

	unit_write(swapper.dir, "victim", "precious", 8, 0);
	assert_int_equal(fstatat(swapper.dir->fd, "victim", &victim, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, swap, &swapper), 0);
	for (int i = 0; i < SWAPS; i++) {
		int fd = open_as(swapper.dir, "file", ways[i % (int)WAYS]);

		if (fd < 0)
			continue;
		assert_int_equal(fstat(fd, &st), 0);
		assert_true(S_ISREG(st.st_mode));
		if (ways[i % (int)WAYS] != O_RDONLY)
			assert_true(st.st_ino != victim.st_ino);
		assert_int_equal(close(fd), 0);
	}
	atomic_store(&swapper.done, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(unit_size(swapper.dir, "victim"), 8);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup_dir, unit_teardown_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_is_opened_and_made),
		TEST(a_link_is_not_followed),
		TEST(nothing_but_a_file_is_opened),
		TEST(a_file_of_two_names_is_not_written_to),
		TEST(root_gives_away_what_it_makes_and_takes_only_what_is_the_owners),
		TEST(a_name_with_a_folder_before_it_is_renamed),
		TEST(one_that_changes_meanwhile_is_not_taken_for_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
