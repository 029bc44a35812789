/* Pages of slots that will be written: they are in memory before. */
#include "unit.h"

#include <sys/mman.h>

#include "engine/store/store.h"
#include "store_test.h"

#define VECTORS 4000u
#define DIM 768u /* x f4: each page is shared by two vectors or three */
#define N (DIM * 4)
#define HOLE_EVERY 4u
#define PAGE 4096u
/* Holes that are ready once one slot was taken: as far as the prefetcher goes at once. */
#define READY 500u
#define WAIT_MS 120000u

struct pages {
	uint8_t *map;
	size_t length;
	int fd;
};

static void pages_open(struct pages *pages, const struct store_dir *s)
{
	char path[UNIT_PATH_BYTES + 64];

	snprintf(path, sizeof(path), "%s/vectors.npy", s->path);
	pages->fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(pages->fd >= 0);
	pages->length = (size_t)lseek(pages->fd, 0, SEEK_END);
	pages->map = mmap(NULL, pages->length, PROT_READ, MAP_SHARED, pages->fd, 0);
	assert_true(pages->map != MAP_FAILED);
}

static void pages_close(struct pages *pages)
{
	assert_int_equal(munmap(pages->map, pages->length), 0);
	assert_int_equal(close(pages->fd), 0);
}

/* Whether the page of byte `at` of slot `slot` is in memory. */
static bool resident(const struct pages *pages, uint64_t slot, uint64_t at)
{
	uint64_t offset = (COLUMN_HEADER_BYTES + slot * N + at) / PAGE * PAGE;
	unsigned char there;

	assert_int_equal(mincore(pages->map + offset, PAGE, &there), 0);
	return there & 1;
}

static void fill(struct quiver *store, uint64_t version)
{
	struct quiver_record *records = calloc(VECTORS, sizeof(*records));
	uint8_t *bytes = malloc((size_t)VECTORS * N);
	struct quiver_attr attr = attr_of(version);

	assert_true(records && bytes);
	for (uint64_t id = 0; id < VECTORS; id++) {
		records[id] = (struct quiver_record){ .id = id, .data = bytes + id * N };
		vector_fill(bytes + id * N, N, id, version);
	}
	assert_int_equal(quiver_put_batch(store, records, VECTORS, &attr, QUIVER_ATTR_ALL, 0, NULL),
	                 0);
	free(bytes);
	free(records);
}

/* A hole in every fourth slot. */
static void make_holes(struct quiver *store)
{
	fill(store, 1);
	for (uint64_t id = 1; id < VECTORS; id += HOLE_EVERY)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
}

/* Nothing of the holes is in memory any more; false where this filesystem keeps its pages. */
static bool drop_pages(const struct store_dir *s)
{
	struct pages pages;
	bool cold = true;

	pages_open(&pages, s);
	assert_int_equal(fsync(pages.fd), 0);
	assert_int_equal(posix_fadvise(pages.fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	for (uint64_t slot = 1; slot < VECTORS; slot += HOLE_EVERY)
		cold = cold && !resident(&pages, slot, 0);
	pages_close(&pages);
	return cold;
}

static uint64_t count_ready(const struct pages *pages)
{
	uint64_t ready = 0;

	for (uint64_t slot = 1; slot < VECTORS; slot += HOLE_EVERY)
		ready += resident(pages, slot, 0) && resident(pages, slot, N - 1);
	return ready;
}

/* One write asks for the pages of the next holes: nobody else reads any of them here. */
static void check_prefetched(struct quiver *store, const struct store_dir *s, bool cold)
{
	struct pages pages;
	uint64_t ready = 0;

	pages_open(&pages, s);
	assert_true(!cold || count_ready(&pages) < READY);
	assert_int_equal(put_version(store, VECTORS, 1, 0), 0);
	for (unsigned i = 0; i < WAIT_MS && ready < READY; i++) {
		(void)usleep(1000);
		ready = count_ready(&pages);
	}
	assert_true(ready >= READY);
	/* And on they go, with every vector where it belongs. */
	for (uint64_t id = VECTORS + 1; id < VECTORS + 2 * READY; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	for (uint64_t id = 0; id < VECTORS + 2 * READY; id++)
		assert_int_equal(version_of(store, id),
		                 id < VECTORS && id % HOLE_EVERY == 1 ? 0 : 1);
	pages_close(&pages);
}

/* On a disk: in memory nothing is ever cold. */
static int setup_on_disk(void **state)
{
	struct store_dir *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	snprintf(s->dir.path, sizeof(s->dir.path), "/var/tmp/quiver-unit-XXXXXX");
	assert_non_null(mkdtemp(s->dir.path));
	s->dir.fd = open(s->dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s->dir.fd >= 0);
	store_create(s, DIM, QUIVER_F4);
	*state = s;
	return 0;
}

static void test_pages_of_the_next_holes_are_read_before_they_are_written(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_mode(s, QUIVER_FSYNC);
	bool cold;

	make_holes(store);
	close_store(store);
	cold = drop_pages(s);
	store = open_mode(s, QUIVER_FSYNC);
	check_prefetched(store, s, cold);
	close_store(store);
	if (!cold)
		skip(); /* this filesystem keeps its pages, so nothing was shown */
}

/* Where there were none when slots were asked for last. */
static void test_holes_that_come_while_the_store_is_open_are_prefetched(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_mode(s, QUIVER_FSYNC);
	bool cold;

	assert_int_equal(put_version(store, 0, 1, 0), 0);
	usleep(100000); /* the prefetcher finds no hole */
	make_holes(store);
	assert_int_equal(quiver_checkpoint(store), 0);
	cold = drop_pages(s);
	check_prefetched(store, s, cold);
	close_store(store);
	if (!cold)
		skip(); /* as above */
}

static void compact(struct quiver *store)
{
	assert_int_equal(run_job(store, QUIVER_COMPACT).result, 0);
}

/* Compaction leaves no rows behind the last vector, and holes enough that none are added. */
static void test_without_a_tail_nobody_goes_on_asking_for_it(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_mode(s, QUIVER_FSYNC);
	struct slots_counts counts;

	fill(store, 1);
	compact(store);
	for (uint64_t id = 1; id < VECTORS; id += 2)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(put_version(store, VECTORS, 1, 0), 0);
	for (unsigned i = 0; i < WAIT_MS && atomic_load(&store->space.prefetch.tail) < VECTORS; i++)
		(void)usleep(1000);
	slots_counts(&store->catalog.slots, &counts);
	assert_int_equal(counts.used, counts.rows);
	assert_int_equal(atomic_load(&store->space.prefetch.tail), counts.rows);
	close_store(store);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_on_disk, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_pages_of_the_next_holes_are_read_before_they_are_written),
		TEST(test_holes_that_come_while_the_store_is_open_are_prefetched),
		TEST(test_without_a_tail_nobody_goes_on_asking_for_it),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
