/*
 * recoveries.h - a store that was not closed, recovered in both ways: with the index that its last
 * checkpoint has kept, and from the rows. What comes of it must be the same, to the byte.
 */
#ifndef TEST_RECOVERIES_H
#define TEST_RECOVERIES_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/quiver.h"
#include "engine/store/store.h"
#include "tests/common/remove.h"

#define RECOVERIES_PATH_BYTES 512
#define RECOVERIES_HEADER_BYTES 4096
#define RECOVERIES_META_BYTES 56
#define RECOVERIES_WHY_BYTES 1024

/* One of the two. */
struct recovered {
	char path[RECOVERIES_PATH_BYTES];
	struct quiver *store; /* NULL: it was refused */
	int result;
	struct quiver_stats stats;
	uint8_t *files[3]; /* vectors, IDs, rows; slots_used of each; owned */
};

static inline void recoveries_copy_file(const char *from, const char *to)
{
	static uint8_t bytes[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t n;

	if (in < 0 || out < 0)
		abort();
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		if (write(out, bytes, (size_t)n) != n)
			abort();
	if (n < 0 || close(in) != 0 || close(out) != 0)
		abort();
}

/* With the folders in it. */
static inline void recoveries_copy(const char *from, const char *to)
{
	DIR *dir = opendir(from);
	struct dirent *entry;

	if (!dir || mkdir(to, 0700) != 0)
		abort();
	while ((entry = readdir(dir))) {
		char inner_from[RECOVERIES_PATH_BYTES + 300];
		char inner_to[RECOVERIES_PATH_BYTES + 300];
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		(void)snprintf(inner_from, sizeof(inner_from), "%s/%s", from, entry->d_name);
		(void)snprintf(inner_to, sizeof(inner_to), "%s/%s", to, entry->d_name);
		if (stat(inner_from, &st) != 0)
			abort();
		if (S_ISDIR(st.st_mode))
			recoveries_copy(inner_from, inner_to);
		else
			recoveries_copy_file(inner_from, inner_to);
	}
	if (closedir(dir) != 0)
		abort();
}

static inline void recoveries_lose(const struct recovered *of, const char *name)
{
	char path[RECOVERIES_PATH_BYTES + 32];

	(void)snprintf(path, sizeof(path), "%s/%s", of->path, name);
	if (unlink(path) != 0 && errno != ENOENT)
		abort();
}

/* The rows of a column that are in use. */
static inline uint8_t *recoveries_column(const struct recovered *of, const char *name,
                                         uint64_t row_bytes)
{
	char path[RECOVERIES_PATH_BYTES + 32];
	size_t length = of->stats.slots_used * row_bytes;
	uint8_t *bytes = malloc(length + 1);
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", of->path, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!bytes || fd < 0 ||
	    pread(fd, bytes, length, RECOVERIES_HEADER_BYTES) != (ssize_t)length || close(fd) != 0)
		abort();
	return bytes;
}

static inline void recoveries_open(struct recovered *of)
{
	struct quiver_options options = { .size = sizeof(options),
		                          .durability = QUIVER_FSYNC,
		                          .commit_interval_ms = 1000000000 };

	of->result = quiver_open(of->path, &options, &of->store, NULL);
	if (of->result)
		return;
	of->stats.size = sizeof(of->stats);
	quiver_stats(of->store, &of->stats);
	of->files[0] = recoveries_column(of, "vectors.npy", of->stats.vector_bytes);
	of->files[1] = recoveries_column(of, "ids.npy", sizeof(uint64_t));
	of->files[2] = recoveries_column(of, "meta.npy", RECOVERIES_META_BYTES);
}

static inline int recoveries_close(struct recovered *of)
{
	int r = of->store ? quiver_close(of->store) : 0;

	for (int i = 0; i < 3; i++)
		free(of->files[i]);
	return r;
}

/* 0, or 1 and *why says it. */
static inline int recoveries_differ(char *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static inline int recoveries_differ(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, RECOVERIES_WHY_BYTES, format, args);
	va_end(args);
	return 1;
}

/* Each vector that has a row is found, and there are no others. */
static inline int recoveries_look_up(const struct recovered *of, char *why)
{
	uint64_t n = of->stats.vector_bytes;
	uint8_t *bytes = malloc(n);
	uint64_t found = 0;
	int differ = 0;

	if (!bytes)
		abort();
	for (uint64_t slot = 0; !differ && slot < of->stats.slots_used; slot++) {
		uint64_t id;
		int r;

		memcpy(&id, of->files[1] + slot * sizeof(id), sizeof(id));
		id = le64toh(id);
		if (id == QUIVER_ID_NONE)
			continue;
		r = quiver_get_copy(of->store, id, bytes, NULL, NULL);
		if (r && r != -EIO)
			differ = recoveries_differ(why,
			                           "vector %" PRIu64 " in slot %" PRIu64 ": %s", id,
			                           slot, strerror(-r));
		else if (r == 0 && memcmp(bytes, of->files[0] + slot * n, n) != 0)
			differ = recoveries_differ(
				why, "vector %" PRIu64 " is not that of slot %" PRIu64, id, slot);
		found++;
	}
	free(bytes);
	if (!differ && found != of->stats.count)
		return recoveries_differ(why, "%" PRIu64 " rows, but %" PRIu64 " vectors", found,
		                         of->stats.count);
	return differ;
}

static inline int recoveries_compare_rows(const struct recovered *a, const struct recovered *b,
                                          char *why)
{
	uint64_t n = a->stats.vector_bytes;

	for (uint64_t slot = 0; slot < a->stats.slots_used; slot++) {
		uint64_t id;

		if (memcmp(a->files[1] + slot * 8, b->files[1] + slot * 8, 8) != 0)
			return recoveries_differ(why, "slot %" PRIu64 ": another ID", slot);
		if (memcmp(a->files[2] + slot * RECOVERIES_META_BYTES,
		           b->files[2] + slot * RECOVERIES_META_BYTES, RECOVERIES_META_BYTES) != 0)
			return recoveries_differ(why, "slot %" PRIu64 ": another row", slot);
		memcpy(&id, a->files[1] + slot * 8, 8);
		if (id != UINT64_MAX &&
		    memcmp(a->files[0] + slot * n, b->files[0] + slot * n, n) != 0)
			return recoveries_differ(why, "slot %" PRIu64 ": other bytes", slot);
	}
	return 0;
}

static inline int recoveries_compare_open(const struct recovered *a, const struct recovered *b,
                                          char *why)
{
	const struct quiver_stats *x = &a->stats;
	const struct quiver_stats *y = &b->stats;
	int r;

	if (a->result != b->result)
		return recoveries_differ(why, "opening with the index: %s; from the rows: %s",
		                         strerror(-a->result), strerror(-b->result));
	if (a->result)
		return 0;
	if (x->count != y->count || x->slots_used != y->slots_used ||
	    x->slots_free != y->slots_free || x->slots_held != y->slots_held || x->lsn != y->lsn)
		return recoveries_differ(
			why,
			"with the index %" PRIu64 " vectors, %" PRIu64 " slots, %" PRIu64
			" free, %" PRIu64 " held, LSN %" PRIu64 "; from the rows %" PRIu64
			", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64,
			x->count, x->slots_used, x->slots_free, x->slots_held, x->lsn, y->count,
			y->slots_used, y->slots_free, y->slots_held, y->lsn);
	r = recoveries_compare_rows(a, b, why);
	return r ? r : recoveries_look_up(a, why);
}

/* No fault is left in what came of it. */
static inline int recoveries_check(const struct recovered *of, char *why)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	int r = quiver_check(of->path, false, NULL, NULL, &result, &error);

	if (r || result.damage)
		return recoveries_differ(why, "recovered and closed: %s: %" PRIu64 " faults %s",
		                         of->path, result.damage, error.text);
	return 0;
}

/* The store in folder `path` stays as it is. `room`: a path with nothing there, for folders beside it.
 * 0 and *took: whether there was an index and it was taken; or 1, and `why` says what differs. */
static inline int recoveries_compare(const char *path, const char *room, bool *took, char *why)
{
	struct recovered a = { 0 }, b = { 0 };
	int differ;
	int r;

	(void)snprintf(a.path, sizeof(a.path), "%.500s-i", room);
	(void)snprintf(b.path, sizeof(b.path), "%.500s-r", room);
	recoveries_copy(path, a.path);
	recoveries_copy(path, b.path);
	recoveries_lose(&b, "index");
	recoveries_lose(&b, "index.new");
	recoveries_lose(&b, "regions");
	recoveries_open(&a);
	recoveries_open(&b);
	*took = a.store && atomic_load(&a.store->health.counters.index_taken) > 0;
	differ = recoveries_compare_open(&a, &b, why);
	if (!differ && b.store && atomic_load(&b.store->health.counters.index_taken) > 0)
		differ = recoveries_differ(why, "an index that was removed was taken");
	r = recoveries_close(&a);
	if (!differ && r)
		differ = recoveries_differ(why, "closing: %s", strerror(-r));
	r = recoveries_close(&b);
	if (!differ && r)
		differ = recoveries_differ(why, "closing: %s", strerror(-r));
	if (!differ && a.store)
		differ = recoveries_check(&a, why);
	if (test_remove(a.path) != 0 || test_remove(b.path) != 0)
		abort();
	return differ;
}

#endif
