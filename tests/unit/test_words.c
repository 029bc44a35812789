#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "engine/quiver.h"

static void dtypes_have_names_and_sizes(void **state)
{
	static const struct {
		const char *name;
		enum quiver_dtype dtype;
		uint32_t bytes;
	} all[] = { { "f4", QUIVER_F4, 4 }, { "f2", QUIVER_F2, 2 }, { "f8", QUIVER_F8, 8 },
		    { "i1", QUIVER_I1, 1 }, { "u1", QUIVER_U1, 1 }, { "bf2", QUIVER_BF2, 2 },
		    { "b1", QUIVER_B1, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		enum quiver_dtype dtype = (enum quiver_dtype)99;

		assert_string_equal(quiver_dtype_name(all[i].dtype), all[i].name);
		assert_int_equal(quiver_dtype_bytes(all[i].dtype), all[i].bytes);
		assert_int_equal(quiver_dtype_parse(all[i].name, &dtype), 0);
		assert_int_equal(dtype, all[i].dtype);
	}
}

static void errors_name_the_limit_of_the_process(void **state)
{
	struct rlimit before, small;

	(void)state;
	assert_string_equal(quiver_strerror(-EIO), strerror(EIO));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = RLIM_INFINITY;
	if (setrlimit(RLIMIT_FSIZE, &small) == 0)
		assert_string_equal(quiver_strerror(-ENOSPC), strerror(ENOSPC));
	small.rlim_cur = 1 << 30;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_non_null(strstr(quiver_strerror(-ENOSPC), "ulimit -f, LimitFSIZE="));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_non_null(strstr(quiver_strerror(-EMFILE), "ulimit -n"));
	assert_non_null(strstr(quiver_strerror(-EAGAIN), "ulimit -u"));
}

static void vectors_have_sizes(void **state)
{
	(void)state;
	assert_int_equal(quiver_vector_bytes(768, QUIVER_F4), 3072);
	assert_int_equal(quiver_vector_bytes(768, QUIVER_BF2), 1536);
	assert_int_equal(quiver_vector_bytes(QUIVER_DIM_MAX, QUIVER_F8), QUIVER_VECTOR_BYTES_MAX);
	assert_int_equal(quiver_vector_bytes(1024, QUIVER_B1), 128);
	assert_int_equal(quiver_vector_bytes(8, QUIVER_B1), 1);
	assert_int_equal(quiver_vector_bytes(12, QUIVER_B1), 0);
	assert_int_equal(quiver_vector_bytes(0, QUIVER_F4), 0);
	assert_int_equal(quiver_vector_bytes(QUIVER_DIM_MAX + 1, QUIVER_U1), 0);
	assert_int_equal(quiver_vector_bytes(8, (enum quiver_dtype)7), 0);
}

static void modes_have_names(void **state)
{
	static const struct {
		const char *name;
		enum quiver_durability mode;
	} all[] = { { "always", QUIVER_ALWAYS },
		    { "fsync", QUIVER_FSYNC },
		    { "flush", QUIVER_FLUSH },
		    { "none", QUIVER_NONE } };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		enum quiver_durability mode = (enum quiver_durability)99;

		assert_string_equal(quiver_durability_name(all[i].mode), all[i].name);
		assert_int_equal(quiver_durability_parse(all[i].name, &mode), 0);
		assert_int_equal(mode, all[i].mode);
	}
}

static void other_words_are_refused_and_change_nothing(void **state)
{
	static const char *const others[] = { "",     "f",       "f44",    "F4",     " f4",
		                              "f4\n", "float32", "fsync ", "Always", "nones" };
	enum quiver_durability mode = QUIVER_FLUSH;
	enum quiver_dtype dtype = QUIVER_I1;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(quiver_dtype_parse(others[i], &dtype), -EINVAL);
		assert_int_equal(quiver_durability_parse(others[i], &mode), -EINVAL);
	}
	assert_int_equal(dtype, QUIVER_I1);
	assert_int_equal(mode, QUIVER_FLUSH);
}

static void values_out_of_range_do_not_crash(void **state)
{
	(void)state;
	assert_string_equal(quiver_dtype_name((enum quiver_dtype)7), "?");
	assert_int_equal(quiver_dtype_bytes((enum quiver_dtype)7), 0);
	assert_string_equal(quiver_durability_name((enum quiver_durability)4), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dtypes_have_names_and_sizes),
		cmocka_unit_test(errors_name_the_limit_of_the_process),
		cmocka_unit_test(vectors_have_sizes),
		cmocka_unit_test(modes_have_names),
		cmocka_unit_test(other_words_are_refused_and_change_nothing),
		cmocka_unit_test(values_out_of_range_do_not_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
