/* What the kernel knows of snapshots: node numbers that are given, forgotten and kept. */
#include "unit.h"

#include "fs/base/inside.h"
#include "fs/base/tree.h"

/* Enough for the table to grow by many buckets and chunks. */
#define MANY 20000u

static struct guest *last_unused;
static unsigned unused_calls;

static void unused(void *arg, struct guest *guest)
{
	assert_ptr_equal(arg, &unused_calls);
	last_unused = guest;
	unused_calls++;
}

static struct inside *new_table(void)
{
	struct inside *inside;

	last_unused = NULL;
	unused_calls = 0;
	assert_int_equal(inside_new(unused, &unused_calls, &inside), 0);
	return inside;
}

static uint64_t give(struct inside *inside, struct guest *guest, uint64_t inner)
{
	uint64_t outer = 0, generation;

	assert_int_equal(inside_give(inside, guest, inner, &outer, &generation), 0);
	assert_int_equal(tree_class(outer), TREE_IS_INSIDE);
	return outer;
}

static bool is(struct inside *inside, uint64_t outer, const struct guest *guest, uint64_t inner)
{
	struct guest *found_guest;
	uint64_t found;
	bool is_known;

	inside_lock(inside);
	is_known = inside_find(inside, outer, &found_guest, &found);
	inside_unlock(inside);
	return is_known && found_guest == guest && found == inner;
}

static bool is_known(struct inside *inside, uint64_t outer)
{
	struct guest *guest;
	uint64_t inner;
	bool known;

	inside_lock(inside);
	known = inside_find(inside, outer, &guest, &inner);
	inside_unlock(inside);
	return known;
}

static void each_node_of_each_snapshot_has_one_number(void **state)
{
	struct guest guests[3] = { { .serial = 1 }, { .serial = 2 }, { .serial = 3 } };
	struct inside *inside = new_table();
	uint64_t *outer = test_malloc(3 * MANY * sizeof(*outer));

	(void)state;
	for (uint64_t i = 0; i < 3 * MANY; i++)
		outer[i] = give(inside, &guests[i % 3], TREE_VECTOR_BASE + i / 3);
	for (uint64_t i = 0; i < 3 * MANY; i++) {
		assert_true(is(inside, outer[i], &guests[i % 3], TREE_VECTOR_BASE + i / 3));
		assert_true(give(inside, &guests[i % 3], TREE_VECTOR_BASE + i / 3) == outer[i]);
	}
	for (int i = 0; i < 3; i++)
		assert_true(guests[i].known == MANY);
	assert_false(is_known(inside, TREE_INSIDE_BASE + 3 * MANY));
	assert_false(is_known(inside, UINT64_MAX - 1));
	test_free(outer);
	inside_free(inside);
}

static void what_the_kernel_forgets_is_kept_a_while(void **state)
{
	struct guest guest = { .serial = 1 };
	struct inside *inside = new_table();
	uint64_t outer = give(inside, &guest, TREE_VECTORS), again;
	uint64_t generation, generation_again;

	(void)state;
	(void)give(inside, &guest, TREE_VECTORS);
	inside_forget(inside, outer, 1);
	assert_true(is(inside, outer, &guest, TREE_VECTORS));
	inside_forget(inside, outer, 1);
	assert_true(is(inside, outer, &guest, TREE_VECTORS)); /* for file handles */
	assert_int_equal(inside_give(inside, &guest, TREE_VECTORS, &again, &generation), 0);
	assert_true(again == outer);
	inside_forget(inside, outer, 1);

	for (uint64_t i = 0; i < INSIDE_KEPT_MAX; i++)
		inside_forget(inside, give(inside, &guest, TREE_VECTOR_BASE + i), 1);
	assert_false(is_known(inside, outer));
	assert_true(guest.known == INSIDE_KEPT_MAX);
	/* Its number goes to another, which is not the same file. */
	assert_int_equal(inside_give(inside, &guest, TREE_IDS, &again, &generation_again), 0);
	assert_true(again == outer);
	assert_true((uint32_t)generation != (uint32_t)generation_again);
	inside_free(inside);
}

static void a_forget_too_much_is_no_harm(void **state)
{
	struct guest guest = { .serial = 1 };
	struct inside *inside = new_table();
	uint64_t outer = give(inside, &guest, TREE_VECTORS);

	(void)state;
	inside_forget(inside, outer, 5);
	inside_forget(inside, outer, 1);
	inside_forget(inside, outer + 1, 1);
	inside_forget(inside, UINT64_MAX - 1, 1);
	assert_true(is(inside, outer, &guest, TREE_VECTORS));
	assert_true(give(inside, &guest, TREE_VECTORS) == outer);
	inside_free(inside);
}

/* A view has a number of one opening of its store, and goes with its last lookup. */
static void views_are_of_one_opening(void **state)
{
	struct guest guest = { .serial = 1, .openings = 1 };
	struct inside *inside = new_table();
	uint64_t first = give(inside, &guest, TREE_VIEW_BASE), second;

	(void)state;
	assert_true(is(inside, first, &guest, TREE_VIEW_BASE));
	guest.openings = 2;
	assert_false(is_known(inside, first));
	second = give(inside, &guest, TREE_VIEW_BASE);
	assert_true(guest.views == 2);
	assert_true(second != first);
	assert_true(is(inside, second, &guest, TREE_VIEW_BASE));
	inside_forget(inside, first, 1);
	assert_true(is(inside, second, &guest, TREE_VIEW_BASE));
	assert_true(last_unused == NULL);
	inside_forget(inside, second, 1);
	assert_false(is_known(inside, second));
	assert_ptr_equal(last_unused, &guest);
	assert_true(guest.known == 0 && guest.views == 0);
	inside_free(inside);
}

static void the_last_user_is_told_of(void **state)
{
	struct guest guest = { .serial = 1 };
	struct inside *inside = new_table();
	struct fs fs = { .inside = inside, .guest = &guest };
	struct fs mount = { .inside = inside };

	(void)state;
	inside_hold(&mount);
	inside_let_go(&mount);
	inside_hold(&fs);
	inside_hold(&fs);
	inside_let_go(&fs);
	assert_int_equal(unused_calls, 0);
	inside_let_go(&fs);
	assert_int_equal(unused_calls, 1);
	assert_ptr_equal(last_unused, &guest);
	inside_free(inside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_node_of_each_snapshot_has_one_number),
		cmocka_unit_test(what_the_kernel_forgets_is_kept_a_while),
		cmocka_unit_test(a_forget_too_much_is_no_harm),
		cmocka_unit_test(views_are_of_one_opening),
		cmocka_unit_test(the_last_user_is_told_of),
	};

	return cmocka_run_group_tests_name("inside", tests, NULL, NULL);
}
