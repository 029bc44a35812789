/* Stores of each dtype by the library: sizes, what comes back, and what is no store. */
#include "store_test.h"

static const struct {
	enum quiver_dtype dtype;
	uint32_t dim, bytes;
	const char *header; /* of vectors.npy */
} all[] = {
	{ QUIVER_F4, 3, 12, "'descr': '<f4', 'fortran_order': False, 'shape': (" },
	{ QUIVER_F2, 3, 6, "'descr': '<f2'" },
	{ QUIVER_F8, 3, 24, "'descr': '<f8'" },
	{ QUIVER_I1, 3, 3, "'descr': '|i1'" },
	{ QUIVER_U1, 3, 3, "'descr': '|u1'" },
	{ QUIVER_BF2, 3, 6, "'descr': '<u2'" },
	{ QUIVER_BF2, QUIVER_DIM_MAX, 2 * QUIVER_DIM_MAX, ", 65536)" },
	{ QUIVER_B1, 8, 1, "'descr': '|u1'" },
	{ QUIVER_B1, 24, 3, ", 3)" },
	{ QUIVER_B1, QUIVER_DIM_MAX, QUIVER_DIM_MAX / 8, ", 8192)" },
};

static void make(struct store_dir *s, size_t i)
{
	unit_dir_make(&s->dir);
	store_create(s, all[i].dim, all[i].dtype);
	assert_int_equal(s->n, all[i].bytes);
}

/* Two in one commit and one by itself, in the life that wrote them and in the next. */
static void vectors_of_each_come_back(void **state)
{
	const struct quiver_attr attr = attr_of(1);

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		uint8_t *bytes = malloc(3 * (size_t)all[i].bytes), *got = malloc(all[i].bytes);
		struct quiver_record records[2];
		struct store_dir s = { 0 };
		struct quiver *store;

		assert_true(bytes != NULL && got != NULL);
		for (uint32_t at = 0; at < 3 * all[i].bytes; at++)
			bytes[at] = (uint8_t)(at * 37 + i);
		make(&s, i);
		store = open_mode(&s, QUIVER_FSYNC);
		assert_int_equal(quiver_geometry(store)->dim, all[i].dim);
		assert_int_equal(quiver_geometry(store)->dtype, all[i].dtype);
		assert_int_equal(quiver_geometry(store)->vector_bytes, all[i].bytes);
		memset(records, 0, sizeof(records));
		for (uint64_t id = 0; id < 2; id++) {
			records[id].id = id;
			records[id].data = bytes + id * all[i].bytes;
		}
		assert_int_equal(
			quiver_put_batch(store, records, 2, &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
		assert_int_equal(quiver_put(store, 2, bytes + 2 * all[i].bytes, &attr,
		                            QUIVER_ATTR_ALL, 0, NULL),
		                 0);
		for (unsigned life = 0; life < 2; life++) {
			for (uint64_t id = 0; id < 3; id++) {
				assert_int_equal(quiver_get_copy(store, id, got, NULL, NULL), 0);
				assert_memory_equal(got, bytes + id * all[i].bytes, all[i].bytes);
			}
			assert_int_equal(quiver_close(store), 0);
			store = open_mode(&s, QUIVER_FSYNC);
		}
		assert_int_equal(quiver_close(store), 0);
		unit_dir_remove(&s.dir);
		free(bytes);
		free(got);
	}
}

static void numpy_is_told_what_each_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct store_dir s = { 0 };
		char header[513] = "";

		make(&s, i);
		unit_read(&s.dir, STORE_NAME "/vectors.npy", header, sizeof(header) - 1, 0);
		if (strstr(header + 10, all[i].header) == NULL)
			fail_msg("'%s' does not hold %s", header + 10, all[i].header);
		unit_dir_remove(&s.dir);
	}
}

static void what_is_no_geometry_is_refused(void **state)
{
	static const struct {
		struct quiver_geometry geometry;
		const char *says;
	} bad[] = {
		{ { .dim = 7, .dtype = QUIVER_B1 }, "multiple of 8" },
		{ { .dim = 65535, .dtype = QUIVER_B1 }, "multiple of 8" },
		{ { .dim = 0, .dtype = QUIVER_B1 }, "expected 1 to 65536" },
		{ { .dim = 65544, .dtype = QUIVER_B1 }, "expected 1 to 65536" },
		{ { .dim = 65537, .dtype = QUIVER_BF2 }, "expected 1 to 65536" },
		{ { .dim = 8, .dtype = (enum quiver_dtype)(QUIVER_B1 + 1) }, "bf2 or b1" },
	};
	struct store_dir *s = *state;
	char path[sizeof(s->path) + 8];

	snprintf(path, sizeof(path), "%s-bad", s->path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct quiver_error error = { "" };

		assert_int_equal(quiver_create(path, &bad[i].geometry, NULL, NULL, &error),
		                 -EINVAL);
		if (strstr(error.text, bad[i].says) == NULL)
			fail_msg("'%s' does not hold '%s'", error.text, bad[i].says);
		assert_int_equal(access(path, F_OK), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_each_come_back),
		cmocka_unit_test(numpy_is_told_what_each_is),
		cmocka_unit_test_setup_teardown(what_is_no_geometry_is_refused, setup_store,
		                                teardown_store),
	};

	return cmocka_run_group_tests_name("dtypes", tests, NULL, NULL);
}
