/* Pages of slots that will be written: they are in memory before. */
#include "unit.h"

#include <sys/mman.h>

#include "columns.h"
#include "store_test.h"

#define VECTORS 4000u
#define DIM 768u /* x f4: each page is shared by two vectors or three */
#define N (DIM * 4)
#define HOLE_EVERY 4u
#define PAGE 4096u
/* Holes that are ready once one slot was taken: as far as the fetcher goes at once. */
#define READY 500u
#define WAIT_MS 10000u

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

/* A closed store with a hole in every fourth slot, of which nothing is in memory; false where
 * this filesystem keeps its pages. */
static bool cold_store_with_holes(struct store_dir *s)
{
	struct quiver *store;
	struct pages pages;
	bool cold = true;

	store_create(s, DIM, QUIVER_F4);
	store = open_mode(s, QUIVER_FSYNC);
	fill(store, 1);
	for (uint64_t id = 1; id < VECTORS; id += HOLE_EVERY)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	close_store(store);
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

/* The first write asks for the pages of the next: nobody else reads any of them here. */
static void test_pages_of_the_next_holes_are_read_before_they_are_written(void **state)
{
	/* On a disk: in memory nothing is ever cold. */
	struct store_dir s = { .dir.path = "/var/tmp/quiver-unit-XXXXXX" };
	struct quiver *store;
	struct pages pages;
	uint64_t ready = 0;
	bool cold;

	(void)state;
	assert_non_null(mkdtemp(s.dir.path));
	s.dir.fd = open(s.dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s.dir.fd >= 0);
	cold = cold_store_with_holes(&s);
	store = open_mode(&s, QUIVER_FSYNC);
	pages_open(&pages, &s);
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
	close_store(store);
	unit_dir_remove(&s.dir);
	if (!cold)
		skip(); /* this filesystem keeps its pages, so nothing was shown */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_of_the_next_holes_are_read_before_they_are_written),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
