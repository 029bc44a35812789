/* Names and node numbers. */
#include "unit.h"

#include "fs/base/tree.h"

static void canonical_ids_are_vectors(void **state)
{
	static const struct {
		const char *name;
		uint64_t id;
	} all[] = { { "0", 0 },
		    { "7", 7 },
		    { "42", 42 },
		    { "10", 10 },
		    { "18446744069414584319", QUIVER_ID_MAX } };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char text[TREE_ID_TEXT_BYTES];
		uint64_t id = 99;

		assert_true(tree_parse_id(all[i].name, &id));
		assert_true(id == all[i].id);
		assert_int_equal(tree_format_id(id, text), strlen(all[i].name));
		assert_string_equal(text, all[i].name);
		assert_int_equal(tree_class(tree_node_of_id(id)), TREE_IS_VECTOR);
		assert_true(tree_id_of_node(tree_node_of_id(id)) == id);
	}
}

static void anything_else_is_not(void **state)
{
	static const char *const bad[] = { "",
		                           "00",
		                           "042",
		                           "-1",
		                           "+1",
		                           " 1",
		                           "1 ",
		                           "1.0",
		                           "0x1",
		                           "a",
		                           ".1",
		                           "\xd9\xa1",
		                           "18446744069414584320",
		                           "18446744073709551615",
		                           "18446744073709551616",
		                           "99999999999999999999",
		                           "184467440694145843190" };
	uint64_t id;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(tree_parse_id(bad[i], &id));
}

static void names_of_neighbours_say_of_what_and_how_many(void **state)
{
	static const struct {
		const char *name;
		uint64_t id;
		uint32_t k;
	} good[] = { { "42", 42, 10 },
		     { "42.10", 42, 10 },
		     { "0.1", 0, 1 },
		     { "18446744069414584319.1048576", QUIVER_ID_MAX, 1048576 },
		     { "query", QUIVER_ID_NONE, 10 },
		     { "query.3", QUIVER_ID_NONE, 3 } };
	static const char *const bad[] = { "",
		                           ".",
		                           ".5",
		                           "5.",
		                           "5.0",
		                           "5.01",
		                           "05.1",
		                           "5.1.1",
		                           "5.1048577",
		                           "5.18446744073709551626",
		                           "18446744069414584320",
		                           "query.",
		                           "query.0",
		                           "Query",
		                           "queryx",
		                           "5.npy",
		                           "99999999999999999999999999999999999999999.1" };
	uint64_t id;
	uint32_t k;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(tree_parse_neighbours(good[i].name, &id, &k));
		assert_true(id == good[i].id && k == good[i].k);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(tree_parse_neighbours(bad[i], &id, &k));
	assert_true(tree_neighbours_inode(5, 10) != tree_neighbours_inode(5, 11));
	assert_true(tree_neighbours_inode(5, 10) != tree_neighbours_inode(4, 11));
}

static void node_numbers_do_not_overlap(void **state)
{
	(void)state;
	assert_int_equal(tree_class(0), TREE_IS_NOTHING);
	assert_int_equal(tree_class(TREE_ROOT), TREE_IS_DIR);
	assert_int_equal(tree_class(TREE_IDS), TREE_IS_MATRIX);
	assert_int_equal(tree_class(TREE_SNAPSHOTS), TREE_IS_SNAPSHOTS);
	assert_int_equal(tree_class(TREE_NEAREST), TREE_IS_DIR);
	assert_int_equal(tree_class(TREE_QUERY), TREE_IS_NEIGHBOURS);
	assert_int_equal(tree_class(TREE_QUERY + 1), TREE_IS_NOTHING);
	assert_int_equal(tree_class(TREE_CONTROL_END - 1), TREE_IS_CONTROL);
	assert_int_equal(tree_class(TREE_CONTROL_END), TREE_IS_NOTHING);
	assert_int_equal(tree_class(TREE_VECTOR_BASE - 1), TREE_IS_NOTHING);
	assert_int_equal(tree_class(TREE_VECTOR_BASE), TREE_IS_VECTOR);
	assert_int_equal(tree_class(TREE_SCRATCH_BASE - 1), TREE_IS_VECTOR);
	assert_int_equal(tree_class(TREE_SCRATCH_BASE), TREE_IS_SCRATCH);
	assert_int_equal(tree_class(TREE_NEIGHBOURS_BASE - 1), TREE_IS_SCRATCH);
	assert_int_equal(tree_class(TREE_NEIGHBOURS_BASE), TREE_IS_NEIGHBOURS);
	assert_int_equal(tree_class(TREE_FOLDER_BASE - 1), TREE_IS_NEIGHBOURS);
	assert_int_equal(tree_class(TREE_FOLDER_BASE), TREE_IS_FOLDER);
	assert_int_equal(tree_class(TREE_VIEW_BASE - 1), TREE_IS_FOLDER);
	assert_int_equal(tree_class(TREE_VIEW_BASE), TREE_IS_VIEW);
	assert_int_equal(tree_class(TREE_INSIDE_BASE - 1), TREE_IS_VIEW);
	assert_int_equal(tree_class(TREE_INSIDE_BASE), TREE_IS_INSIDE);
	assert_int_equal(tree_class(UINT64_MAX - 1), TREE_IS_INSIDE);
	assert_int_equal(tree_class(UINT64_MAX), TREE_IS_NOTHING);
	assert_true(tree_id_of_node(TREE_SCRATCH_BASE - 1) == QUIVER_ID_MAX);
}

static void fixed_names_are_found_where_they_are(void **state)
{
	unsigned named = 0;

	(void)state;
	for (uint64_t node = 0; node < TREE_VECTOR_BASE; node++) {
		const char *name = tree_name(node);

		if (!name)
			continue;
		named++;
		assert_int_equal((tree_find(TREE_ROOT, name) == node) +
		                         (tree_find(TREE_CONTROL, name) == node) +
		                         (tree_find(TREE_NEAREST, name) == node),
		                 1);
		assert_true(tree_find(tree_parent(node), name) == node);
	}
	assert_int_equal(named, TREE_CONTROL_END - TREE_CONTROL_FIRST + 7);
	assert_true(tree_find(TREE_ROOT, "flush") == TREE_NONE);
	assert_true(tree_find(TREE_CONTROL, "vectors") == TREE_NONE);
	assert_true(tree_find(TREE_VECTORS, "flush") == TREE_NONE);
}

static void views_are_named_by_id_and_form(void **state)
{
	static const char *const bad[] = { "",
		                           ".npy",
		                           "007.npy",
		                           "42.NPY",
		                           "42.npyx",
		                           "42npy",
		                           "-1.txt",
		                           "42.txt.npy",
		                           "18446744069414584320.npy",
		                           "184467440694145843190.txt",
		                           "42.csv" };
	static const uint64_t ids[] = { 0, 1, 42, UINT64_C(1) << 32, QUIVER_ID_MAX };
	char name[TREE_VIEW_NAME_BYTES];
	enum tree_form form;
	uint64_t id;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(tree_parse_view(bad[i], &id, &form));
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		for (enum tree_form of = TREE_FORM_NPY; of <= TREE_FORM_TXT; of++) {
			tree_format_view(ids[i], of, name);
			assert_true(tree_parse_view(name, &id, &form));
			assert_true(id == ids[i] && form == of);
		}
		assert_true(tree_view_inode(ids[i], TREE_FORM_NPY) !=
		            tree_view_inode(ids[i], TREE_FORM_TXT));
	}
	assert_string_equal(name, "18446744069414584319.txt");
}

static void every_node_is_in_a_folder(void **state)
{
	(void)state;
	assert_true(tree_parent(TREE_ROOT) == TREE_ROOT);
	assert_true(tree_parent(TREE_VECTORS) == TREE_ROOT);
	assert_true(tree_parent(TREE_CONTROL) == TREE_ROOT);
	assert_true(tree_parent(TREE_MATRIX) == TREE_ROOT);
	assert_true(tree_parent(TREE_SNAPSHOTS) == TREE_ROOT);
	assert_true(tree_parent(TREE_CONTROL_END - 1) == TREE_CONTROL);
	assert_true(tree_parent(TREE_VECTOR_BASE) == TREE_VECTORS);
	assert_true(tree_parent(TREE_SCRATCH_BASE) == TREE_VECTORS);
	assert_true(tree_parent(TREE_FOLDER_BASE) == TREE_VECTORS);
	assert_true(tree_parent(TREE_VIEW_BASE) == TREE_VECTORS);
	assert_true(tree_parent(TREE_NEIGHBOURS_BASE) == TREE_NEAREST);
	assert_true(tree_parent(TREE_QUERY) == TREE_NEAREST);
	assert_true(tree_parent(TREE_NEAREST) == TREE_ROOT);
	assert_true(tree_parent(0) == TREE_NONE);
	assert_true(tree_parent(TREE_CONTROL_END) == TREE_NONE);
	assert_true(tree_parent(UINT64_MAX) == TREE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_ids_are_vectors),
		cmocka_unit_test(anything_else_is_not),
		cmocka_unit_test(names_of_neighbours_say_of_what_and_how_many),
		cmocka_unit_test(node_numbers_do_not_overlap),
		cmocka_unit_test(fixed_names_are_found_where_they_are),
		cmocka_unit_test(every_node_is_in_a_folder),
		cmocka_unit_test(views_are_named_by_id_and_form),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
