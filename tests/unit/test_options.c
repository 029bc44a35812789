/* Mount options, and what is looked at before a mount. */
#include "unit.h"

#include <limits.h>

#include "fs/base/fs.h"
#include "fs/base/transport.h"
#include "fs/daemon/options.h"
#include "fs/daemon/preflight.h"
#include "fs/daemon/ring.h"

/* Parse a list that is good. */
static struct mount_options good(const char *text)
{
	struct mount_options options;
	struct quiver_error error = { "" };

	assert_int_equal(mount_options_parse(text, &options, &error), 0);
	return options;
}

static void no_options_are_the_defaults(void **state)
{
	static const char *const lists[] = { NULL, "", ",", "defaults", "rw,defaults,,async" };

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct mount_options options = good(lists[i]);

		assert_false(options.read_only);
		assert_false(options.allow_other);
		assert_false(options.set_uid || options.set_gid || options.set_umask);
		assert_false(options.set_matrix_mode);
		assert_int_equal(options.durability, QUIVER_FSYNC);
		assert_int_equal(options.commit_interval_ms, 5000);
		assert_int_equal(options.autocompact_percent, 0);
		assert_int_equal(options.io_uring, IO_URING_AUTO);
		assert_null(options.pass);
		assert_null(options.access);
		mount_options_free(&options);
	}
}

static void each_option_sets_what_it_says(void **state)
{
	struct mount_options options =
		good("ro,allow_other,uid=1000,gid=100,umask=027,durability=none,commit=30,"
	             "autocompact=40,io_uring=off,matrix_mode=0640");

	(void)state;
	assert_true(options.read_only);
	assert_true(options.allow_other);
	assert_true(options.set_uid && options.set_gid && options.set_umask);
	assert_int_equal(options.uid, 1000);
	assert_int_equal(options.gid, 100);
	assert_int_equal(options.umask, 027);
	assert_true(options.set_matrix_mode);
	assert_int_equal(options.matrix_mode, 0640);
	assert_int_equal(options.durability, QUIVER_NONE);
	assert_int_equal(options.commit_interval_ms, 30000);
	assert_int_equal(options.autocompact_percent, 40);
	assert_int_equal(options.io_uring, IO_URING_OFF);
	mount_options_free(&options);
}

/* A snapshot is mounted without them. */
static void options_of_changes_are_known_for_that(void **state)
{
	static const char *const lists[] = { "uid=1",           "gid=1",    "umask=022",
		                             "durability=none", "commit=3", "autocompact=9" };
	struct mount_options options =
		good("ro,rw,allow_other,matrix_mode=0644,io_uring=off,noatime,sync,defaults");

	(void)state;
	assert_null(options.of_changes);
	mount_options_free(&options);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "%s,ro", lists[i]);
		options = good(text);
		assert_non_null(options.of_changes);
		assert_int_equal(strcspn(lists[i], "="), strlen(options.of_changes));
		mount_options_free(&options);
	}
}

static void the_last_of_two_counts(void **state)
{
	struct mount_options options = good("ro,durability=none,io_uring=off,rw,durability=always,"
	                                    "io_uring=on,commit=9,commit=0");

	(void)state;
	assert_false(options.read_only);
	assert_int_equal(options.durability, QUIVER_ALWAYS);
	assert_int_equal(options.io_uring, IO_URING_ON);
	assert_int_equal(options.commit_interval_ms, 5000);
	mount_options_free(&options);
}

static void sync_is_durability_always(void **state)
{
	struct mount_options options = good("sync");

	(void)state;
	assert_int_equal(options.durability, QUIVER_ALWAYS);
	assert_null(options.pass);
	mount_options_free(&options);
}

static void generic_options_are_passed_on_or_dropped(void **state)
{
	struct mount_options options =
		good("rw,nosuid,nodev,noexec,noatime,relatime,_netdev,user,users,nofail,noauto,"
	             "x-systemd.automount,x-gvfs-hide,comment=a=b,user=joe,strictatime,lazytime");

	(void)state;
	assert_string_equal(options.pass, "nosuid,nodev,noexec,noatime");
	mount_options_free(&options);
}

static void commas_can_be_escaped_or_quoted(void **state)
{
	struct mount_options options = good("context=\"u:r:t:s0:c1,c2\",ro");

	(void)state;
	assert_string_equal(options.pass, "context=\"u:r:t:s0:c1\\,c2\"");
	assert_true(options.read_only);
	mount_options_free(&options);
	options = good("context=u:s0\\,c2,ro");
	assert_string_equal(options.pass, "context=u:s0\\,c2");
	assert_true(options.read_only);
	mount_options_free(&options);
}

static void a_cluster_is_reached_as_it_is_told(void **state)
{
	struct mount_options options =
		good("id=jo,_netdev,conf=/etc/ceph/ceph.conf,keyring=/a\\,b,op_timeout=30");
	char expected[PATH_MAX], here[PATH_MAX];

	(void)state;
	assert_string_equal(options.access, "id=jo,conf=/etc/ceph/ceph.conf,keyring=/a\\,b,"
	                                    "op_timeout=30");
	assert_null(options.pass);
	mount_options_free(&options);
	/* the daemon goes elsewhere */
	options = good("keyring=keys/jo");
	assert_non_null(getcwd(here, sizeof(here) - strlen("keyring=/keys/jo")));
	assert_true(snprintf(expected, sizeof(expected), "keyring=%s/keys/jo", here) > 0);
	assert_string_equal(options.access, expected);
	mount_options_free(&options);
}

static void owners_can_be_named(void **state)
{
	struct mount_options options = good("uid=root,gid=root");

	(void)state;
	assert_true(options.set_uid && options.set_gid);
	assert_int_equal(options.uid, 0);
	assert_int_equal(options.gid, 0);
	mount_options_free(&options);
}

static void what_is_unknown_or_wrong_is_refused_by_name(void **state)
{
	static const char *const bad[] = {
		"bogus",
		"ro,bogus=1",
		"nonempty",
		"rox",
		"ro=1",
		"uid",
		"uid=",
		"uid=-1",
		"uid=4294967295",
		"uid=no-such-user",
		"gid=1x",
		"umask=",
		"umask=8",
		"umask=1000",
		"matrix_mode",
		"matrix_mode=",
		"matrix_mode=666",
		"matrix_mode=0664",
		"matrix_mode=0755",
		"matrix_mode=4644",
		"matrix_mode=a+r",
		"matrix_mode=0x1a4",
		"durability=",
		"durability=Always",
		"commit=",
		"commit=-1",
		"commit=3601",
		"commit=1.5",
		"autocompact=101",
		"autocompact=x",
		"io_uring",
		"io_uring=yes",
		"remount",
		"bind",
		"allow_others",
		"id",
		"id=",
		"conf=",
		"keyring=",
		"op_timeout=",
		"op_timeout=0",
		"op_timeout=3601",
		"op_timeout=1m",
		"secret=AQ==",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mount_options options;
		struct quiver_error error = { "" };
		char list[128];

		snprintf(list, sizeof(list), "noatime,%s,rw", bad[i]);
		assert_int_equal(mount_options_parse(list, &options, &error), -EINVAL);
		assert_non_null(strstr(error.text, "option "));
		mount_options_free(&options);
	}
}

static void a_long_option_leaves_room_for_what_is_wrong(void **state)
{
	char text[MOUNT_OPTIONS_BYTES_MAX];
	struct mount_options options;
	struct quiver_error error;
	int length;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(mount_options_parse(text, &options, &error), -EINVAL);
	mount_options_free(&options);
	assert_non_null(strstr(error.text, "xxx: quiverfs does not know it"));

	length = snprintf(text, sizeof(text), "commit=");
	memset(text + length, 'x', sizeof(text) - 1 - (size_t)length);
	assert_int_equal(mount_options_parse(text, &options, &error), -EINVAL);
	mount_options_free(&options);
	assert_non_null(strstr(error.text, "xxx: expected "));
}

static void a_list_without_end_is_refused(void **state)
{
	char list[MOUNT_OPTIONS_BYTES_MAX + 1];
	struct mount_options options;
	struct quiver_error error = { "" };

	(void)state;
	memset(list, 'x', sizeof(list) - 1);
	list[sizeof(list) - 1] = '\0';
	assert_int_equal(mount_options_parse(list, &options, &error), -EINVAL);
	mount_options_free(&options);
}

/* ---- before the mount --------------------------------------------------- */

static void a_folder_is_within_itself_and_its_parents_only(void **state)
{
	(void)state;
	assert_true(preflight_is_within("/a/b", "/a/b"));
	assert_true(preflight_is_within("/a/b/c", "/a/b"));
	assert_true(preflight_is_within("/a", "/"));
	assert_false(preflight_is_within("/a/bc", "/a/b"));
	assert_false(preflight_is_within("/a", "/a/b"));
	assert_false(preflight_is_within("/", "/a"));
}

static void user_allow_other_is_a_line_of_its_own(void **state)
{
	(void)state;
	assert_true(preflight_allows_other("user_allow_other"));
	assert_true(preflight_allows_other("# x\nmount_max = 5\n  user_allow_other \n"));
	assert_true(preflight_allows_other("user_allow_other# yes\n"));
	assert_false(preflight_allows_other("#user_allow_other\n"));
	assert_false(preflight_allows_other("user_allow_others\n"));
	assert_false(preflight_allows_other("x user_allow_other\n"));
	assert_false(preflight_allows_other(""));
}

/* preflight_paths for a store and a mount point in `dir`. */
static int try_paths(const struct unit_dir *dir, const char *store, const char *mount_point,
                     struct quiver_error *error)
{
	char a[2 * UNIT_PATH_BYTES], b[2 * UNIT_PATH_BYTES];
	char *store_path, *mount_path;
	int err;

	snprintf(a, sizeof(a), "%s/%s", dir->path, store);
	snprintf(b, sizeof(b), "%s/%s", dir->path, mount_point);
	err = preflight_paths(a, b, &store_path, &mount_path, error);
	free(store_path);
	free(mount_path);
	return err;
}

static void a_mount_point_is_an_empty_folder_apart_from_the_store(void **state)
{
	static const struct {
		const char *store, *mount_point;
		int err;
	} all[] = {
		{ "store", "mnt", 0 },
		{ "store", "link", 0 },
		{ "store", "none", -ENOENT },
		{ "store", "file", -ENOTDIR },
		{ "store", "full", -ENOTEMPTY },
		{ "store", "store", -EINVAL },
		{ "store", "store/in", -EINVAL },
		{ "store", ".", -EINVAL },
		{ "none", "mnt", -ENOENT },
		{ "store", "storelink", -EINVAL },
	};
	const struct unit_dir *dir = *state;
	static const char *const folders[] = { "store", "store/in", "mnt", "full", "full/x" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		assert_int_equal(mkdirat(dir->fd, folders[i], 0700), 0);
	unit_write(dir, "file", "x", 1, 0);
	assert_int_equal(symlinkat("mnt", dir->fd, "link"), 0);
	assert_int_equal(symlinkat("store/in", dir->fd, "storelink"), 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct quiver_error error = { "" };

		assert_int_equal(try_paths(dir, all[i].store, all[i].mount_point, &error),
		                 all[i].err);
		assert_int_equal(error.text[0] != '\0', all[i].err != 0);
	}
}

static void a_store_elsewhere_is_named_as_it_is(void **state)
{
	const struct unit_dir *dir = *state;
	struct quiver_error error = { "" };
	char point[2 * UNIT_PATH_BYTES];
	char *store_path, *mount_path;

	assert_int_equal(mkdirat(dir->fd, "mnt", 0700), 0);
	snprintf(point, sizeof(point), "%s/mnt", dir->path);
	assert_int_equal(
		preflight_paths("rados:pool/words", point, &store_path, &mount_path, &error), 0);
	assert_string_equal(store_path, "rados:pool/words");
	free(store_path);
	free(mount_path);
	snprintf(point, sizeof(point), "%s/none", dir->path);
	assert_int_equal(
		preflight_paths("rados:pool/words", point, &store_path, &mount_path, &error),
		-ENOENT);
	free(store_path);
	free(mount_path);
}

/* ---- sizes -------------------------------------------------------------- */

static void one_request_holds_a_record_and_more_than_a_batch(void **state)
{
	static const uint32_t sizes[] = { 1,      56,     3072,   4088,   4089,
		                          262136, 262137, 262144, 524280, QUIVER_VECTOR_BYTES_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t put = transport_put_bytes(sizes[i]);
		uint32_t request = transport_request_bytes(sizes[i]);

		assert_true(put >= sizes[i] + 8);
		assert_true(put >= 256u << 10);
		/* A buffer that begins anywhere in a page: what the kernel then puts into
		 * the first request of a longer write is more than a batch may be. */
		assert_true(request - 4095 > put);
		assert_int_equal(request % 4096, 0);
		assert_true(request < 1u << 20);
		assert_in_range(ring_queue_depth(request), 8, 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_options_are_the_defaults),
		cmocka_unit_test(each_option_sets_what_it_says),
		cmocka_unit_test(options_of_changes_are_known_for_that),
		cmocka_unit_test(the_last_of_two_counts),
		cmocka_unit_test(sync_is_durability_always),
		cmocka_unit_test(generic_options_are_passed_on_or_dropped),
		cmocka_unit_test(commas_can_be_escaped_or_quoted),
		cmocka_unit_test(a_cluster_is_reached_as_it_is_told),
		cmocka_unit_test(owners_can_be_named),
		cmocka_unit_test(what_is_unknown_or_wrong_is_refused_by_name),
		cmocka_unit_test(a_long_option_leaves_room_for_what_is_wrong),
		cmocka_unit_test(a_list_without_end_is_refused),
		cmocka_unit_test(a_folder_is_within_itself_and_its_parents_only),
		cmocka_unit_test(user_allow_other_is_a_line_of_its_own),
		cmocka_unit_test_setup_teardown(
			a_mount_point_is_an_empty_folder_apart_from_the_store, unit_setup_dir,
			unit_teardown_dir),
		cmocka_unit_test_setup_teardown(a_store_elsewhere_is_named_as_it_is, unit_setup_dir,
		                                unit_teardown_dir),
		cmocka_unit_test(one_request_holds_a_record_and_more_than_a_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
