#include "unit.h"

#include "../crash/nearest.h"
#include "store_test.h"

/*
 * A process is killed while it builds, keeps, removes or saves an index of nearest neighbours, and writes
 * beside that: at any moment, most of them amid a build. What is there afterwards is asked; an index that
 * was in use before is there again, or has been removed.
 */
#define DIM 16u /* of u1 */
#define COUNT 10500u /* more than the least that an index is for */
#define MOVING 200u /* of them change */
#define LIVES 15
#define LIVES_LONG 300
#define LIFE_US_MAX 250000u
#define WHY_BYTES 256

struct life {
	struct store_dir *dir;
	uint64_t seed;
};

static void put(struct quiver *store, uint64_t id, uint64_t version)
{
	struct quiver_attr attr = { .mode = 0600 };
	uint8_t bytes[DIM];

	vector_fill(bytes, DIM, id * 77 % 300, version); /* some are the same */
	assert_int_equal(quiver_put(store, id, bytes, &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
}

static void *write_on(void *arg)
{
	struct quiver *store = arg;
	uint64_t random = (uint64_t)getpid();

	for (;;) {
		uint64_t id = test_below(&random, MOVING);
		int r = 0;

		if (test_below(&random, 3) == 0)
			r = quiver_remove(store, id, 0, NULL);
		else
			put(store, id, test_random(&random));
		assert_true(r == 0 || r == -ENOENT);
	}
	return NULL;
}

/* Until it ends itself as kill -9 would end it. */
static int live(void *arg)
{
	const struct life *life = arg;
	uint64_t random = life->seed;
	struct quiver *store = open_mode(life->dir, QUIVER_FLUSH);
	pthread_t writer;
	int r = 0;

	assert_int_equal(pthread_create(&writer, NULL, write_on, store), 0);
	switch (test_below(&random, 8)) {
	case 0:
		r = quiver_nearest_index_off(store);
		break;
	case 1:
		break; /* what there is, is kept */
	default:
		r = quiver_nearest_index_start(store);
	}
	assert_int_equal(r, 0);
	usleep((useconds_t)test_below(&random, LIFE_US_MAX));
	if (test_below(&random, 4) == 0)
		assert_int_equal(quiver_nearest_index_stop(store), 0);
	_exit(0);
}

static void look(struct quiver *store, uint64_t seed)
{
	static uint64_t ids[COUNT];
	char why[WHY_BYTES];

	for (uint64_t id = 0; id < COUNT; id++)
		ids[id] = id;
	if (nearest_look(store, ids, COUNT, seed, why, sizeof(why)) != 0)
		fail_msg("%s", why);
}

/* A build that is not killed. */
static void build(struct quiver *store)
{
	struct quiver_nearest_status status = { .size = sizeof(status) };

	assert_int_equal(quiver_nearest_index_start(store), 0);
	do {
		usleep(1000);
		quiver_nearest_status(store, &status);
	} while (status.building);
	assert_int_equal(status.result, 0);
}

static void check_store(const struct store_dir *s)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };

	assert_int_equal(quiver_check(s->path, false, NULL, NULL, &result, &error), 0);
	assert_false(result.damage);
}

static void whatever_a_kill_leaves_is_asked(void **state)
{
	struct store_dir *s = *state;
	struct life life = { .dir = s, .seed = test_seed() };
	const char *text = getenv("QUIVERFS_TEST_LONG");
	int lives = text && text[0] == '1' ? LIVES_LONG : LIVES;
	struct quiver *store = open_mode(s, QUIVER_FLUSH);

	for (uint64_t id = 0; id < COUNT; id++)
		put(store, id, id);
	close_store(store);
	for (int n = 0; n < lives; n++) {
		life.seed++;
		die_in_child(live, &life);
		check_store(s);
		store = open_mode(s, QUIVER_FLUSH);
		look(store, life.seed);
		if (n % 5 == 4) {
			build(store);
			look(store, life.seed + 1);
		}
		close_store(store);
	}
}

static int setup(void **state)
{
	struct store_dir *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	unit_dir_make(&s->dir);
	store_create(s, DIM, QUIVER_U1);
	*state = s;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whatever_a_kill_leaves_is_asked, setup,
		                                teardown_store),
	};

	test_in_memory();
	return cmocka_run_group_tests_name("nearest_kills", tests, NULL, NULL);
}
