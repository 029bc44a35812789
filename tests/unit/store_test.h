/*
 * store_test.h - what the tests of whole stores share: vectors that tell whether they are
 * whole, and stores in a private folder.
 */
#ifndef STORE_TEST_H
#define STORE_TEST_H

#include "unit.h"

#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#include "engine/media/bytes.h"
#include "engine/quiver.h"
#include "tests/common/random.h"
#include "trouble_io.h"

#define STORE_NAME "store"
#define STORE_DIM 100u /* of u1: rows and slots at odd offsets */
#define STORE_BYTES_MAX 4096u

struct store_dir {
	struct unit_dir dir;
	char path[UNIT_PATH_BYTES + 16];
	uint32_t n; /* bytes of a vector */
};

/* ---- vectors that know themselves ---- */

/* n >= 16: ID, version, and bytes that follow from both. */
static inline void vector_fill(uint8_t *to, uint32_t n, uint64_t id, uint64_t version)
{
	uint64_t state = id * 31 + version;

	put_le64(to, id);
	put_le64(to + 8, version);
	for (uint32_t i = 16; i < n; i++)
		to[i] = (uint8_t)test_random(&state);
}

/* The version in a vector, UINT64_MAX where it is not wholly a version of `id`. */
static inline uint64_t vector_version(const uint8_t *from, uint32_t n, uint64_t id)
{
	uint8_t want[STORE_BYTES_MAX];
	uint64_t version = get_le64(from + 8);

	vector_fill(want, n, id, version);
	return memcmp(want, from, n) == 0 ? version : UINT64_MAX;
}

static inline struct quiver_attr attr_of(uint64_t version)
{
	return (struct quiver_attr){ .mtime_ns = (int64_t)(version & UINT32_MAX) * 1000 + 7,
		                     .uid = (uint32_t)version + 1,
		                     .gid = (uint32_t)version + 2,
		                     .mode = (uint16_t)(version % 0777) };
}

static inline bool attr_same(const struct quiver_attr *a, const struct quiver_attr *b)
{
	return a->mtime_ns == b->mtime_ns && a->uid == b->uid && a->gid == b->gid &&
	       a->mode == b->mode;
}

/* Put a version with the attributes that go with it. */
static inline int put_version(struct quiver *store, uint64_t id, uint64_t version, unsigned flags)
{
	uint8_t bytes[STORE_BYTES_MAX];
	struct quiver_attr attr = attr_of(version);

	vector_fill(bytes, quiver_geometry(store)->vector_bytes, id, version);
	return quiver_put(store, id, bytes, &attr, QUIVER_ATTR_ALL, flags, NULL);
}

/* The version that is there; 0 where there is none, UINT64_MAX where something is wrong. */
static inline uint64_t version_of(struct quiver *store, uint64_t id)
{
	uint8_t bytes[STORE_BYTES_MAX];
	int r = quiver_get_copy(store, id, bytes, NULL, NULL);

	if (r == -ENOENT)
		return 0;
	return r ? UINT64_MAX : vector_version(bytes, quiver_geometry(store)->vector_bytes, id);
}

/* ---- stores ---- */

/* Where a test makes many stores and never looks at a disk, memory is fast enough. */
static inline void test_in_memory(void)
{
	if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		assert_int_equal(setenv("TMPDIR", "/dev/shm", 1), 0);
}

static inline void store_create(struct store_dir *s, uint32_t dim, enum quiver_dtype dtype)
{
	struct quiver_geometry geometry = { .dim = dim, .dtype = dtype };
	struct quiver_error error = { "" };

	s->n = quiver_vector_bytes(dim, dtype);
	snprintf(s->path, sizeof(s->path), "%s/" STORE_NAME, s->dir.path);
	if (quiver_create(s->path, &geometry, NULL, NULL, &error) != 0)
		fail_msg("%s", error.text);
}

/* Setup and teardown of one test: a folder with a store in it. */
static inline int setup_store(void **state)
{
	struct store_dir *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	unit_dir_make(&s->dir);
	store_create(s, STORE_DIM, QUIVER_U1);
	*state = s;
	return 0;
}

static inline int teardown_store(void **state)
{
	struct store_dir *s = *state;

	unit_dir_remove(&s->dir);
	free(s);
	return 0;
}

static inline int open_result(const struct store_dir *s, const struct quiver_options *options,
                              struct quiver **store, struct quiver_error *error)
{
	static const struct quiver_options none = { .size = sizeof(none) };

	return quiver_open(s->path, options ? options : &none, store, error);
}

static inline struct quiver *open_with(const struct store_dir *s,
                                       const struct quiver_options *options)
{
	struct quiver_error error = { "" };
	struct quiver *store;

	if (open_result(s, options, &store, &error) != 0)
		fail_msg("%s", error.text);
	return store;
}

static inline struct quiver *open_mode(const struct store_dir *s, enum quiver_durability mode)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = mode };

	return open_with(s, &options);
}

static inline struct quiver *open_io(const struct store_dir *s, enum quiver_durability mode,
                                     const struct trouble_io *io)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = mode,
		                          .io = &io->table };

	return open_with(s, &options);
}

/* On an I/O table that can make trouble, and makes none yet. */
static inline struct quiver *open_troubled(const struct store_dir *s, enum quiver_durability mode,
                                           struct trouble_io *io)
{
	trouble_init(io);
	return open_io(s, mode, io);
}

static inline void close_store(struct quiver *store)
{
	assert_int_equal(quiver_close(store), 0);
}

static inline struct quiver_stats stats_of(struct quiver *store)
{
	struct quiver_stats stats = { .size = sizeof(stats) };

	quiver_stats(store, &stats);
	return stats;
}

/* Slots that are neither free nor hold a vector nor wait for a checkpoint, and that no snapshot
 * has: leaked, while nothing is under way. */
static inline uint64_t leaked_slots(struct quiver *store)
{
	struct quiver_stats stats = stats_of(store);

	return stats.slots_used - stats.slots_free - stats.slots_retired - stats.slots_held -
	       stats.count;
}

/* Run a job to its end. */
static inline struct quiver_job_status run_job(struct quiver *store, enum quiver_job job)
{
	struct quiver_job_status status;

	assert_int_equal(quiver_job_start(store, job), 0);
	do {
		usleep(500);
		quiver_job_status(store, job, &status);
	} while (status.running);
	return status;
}

static inline void store_file(const char *name, char *to, size_t length)
{
	snprintf(to, length, STORE_NAME "/%s", name);
}

/* Flip a bit of a file of the store. */
static inline void store_flip(struct store_dir *s, const char *name, uint64_t bit)
{
	char path[128];

	store_file(name, path, sizeof(path));
	unit_flip(&s->dir, path, bit);
}

/* Where a page of the file `index` lies that counts; FORMAT.md. */
static inline uint64_t store_index_at(struct store_dir *s, uint64_t page)
{
	uint64_t at = 8192 + page / 16 * 131072 + page % 16 * 4096;
	uint64_t generations[2] = { 0 };
	char path[UNIT_PATH_BYTES + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/index", s->path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (int i = 0; i < 2; i++)
		assert_true(pread(fd, &generations[i], 8, (off_t)at + i * 65536) >= 0);
	assert_int_equal(close(fd), 0);
	return generations[1] > generations[0] ? at + 65536 : at;
}

/* Flip a bit of that page. */
static inline void store_flip_index(struct store_dir *s, uint64_t page, uint64_t bit)
{
	store_flip(s, "index", store_index_at(s, page) * 8 + bit);
}

/* Pages of its table. */
static inline uint64_t store_index_pages(struct store_dir *s)
{
	char path[UNIT_PATH_BYTES + 32];
	uint64_t pages[2] = { 0 };
	int fd;

	snprintf(path, sizeof(path), "%s/index", s->path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pread(fd, &pages[i], 8, i * 4096 + 56), 8);
	assert_int_equal(close(fd), 0);
	return pages[0] ? pages[0] : pages[1];
}

static inline uint64_t store_size(struct store_dir *s, const char *name)
{
	char path[128];

	store_file(name, path, sizeof(path));
	return unit_size(&s->dir, path);
}

/* Name of the n-th segment of the log, from 0; false where there are fewer. */
static inline bool store_segment(struct store_dir *s, unsigned n, char *name, size_t length)
{
	char path[UNIT_PATH_BYTES + 32];
	const struct quiver_io *io = quiver_io_posix();
	char *names = NULL;
	const char *sorted[256];
	const char *one;
	size_t count;
	size_t kept = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/wal", s->path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(io->list(io, fd, &names, &count), 0);
	assert_int_equal(close(fd), 0);
	one = names;
	for (size_t i = 0; i < count && kept < 256; i++, one += strlen(one) + 1) {
		size_t at = kept;

		if (strlen(one) != 20) /* not XXXXXXXXXXXXXXXX.wal */
			continue;
		for (; at > 0 && strcmp(sorted[at - 1], one) > 0; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = one;
		kept++;
	}
	if (n < kept)
		snprintf(name, length, "wal/%s", sorted[n]);
	free(names);
	return n < kept;
}

/* Run `body` in a process of its own that ends without closing anything. */
static inline void die_in_child(int (*body)(void *arg), void *arg)
{
	assert_int_equal(unit_in_child(body, arg), 0);
}

/* Whether `text` occurs in the store's messages. */
static inline bool store_said(struct quiver *store, const char *text)
{
	char *lines = NULL;
	size_t length;
	bool said;

	assert_int_equal(quiver_errors(store, &lines, &length), 0);
	said = strstr(lines, text) != NULL;
	free(lines);
	return said;
}

#endif
