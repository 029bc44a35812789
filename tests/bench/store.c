/*
 * store.c - a store and what is in it, for the workers that use libquiver.
 */
#include "tests/bench/store.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMAPS_LINE_BYTES 256

const struct quiver_attr bench_attr = { .mtime_ns = 1700000000000000000, .mode = 0644 };

void bench_check(const char *what, int err)
{
	if (err != 0)
		bench_die("%s: %s", what, strerror(-err));
}

struct quiver *bench_open(const char *path, enum quiver_durability durability)
{
	const struct quiver_options options = { .size = sizeof(struct quiver_options),
		                                .durability = durability,
		                                .lock_wait_ms = 5000 };
	struct quiver_error error = { "" };
	struct quiver *store;

	if (quiver_open(path, &options, &store, &error) != 0)
		bench_die("%s", error.text);
	return store;
}

struct quiver *bench_new_store(const char *path, uint32_t bytes, enum quiver_durability durability)
{
	const struct quiver_geometry geometry = { .dim = bytes / 4, .dtype = QUIVER_F4 };
	struct quiver_error error = { "" };

	if (quiver_create(path, &geometry, NULL, NULL, &error) != 0)
		bench_die("%s", error.text);
	return bench_open(path, durability);
}

void bench_put_batch(struct quiver *store, uint64_t first, uint64_t count, const char *data)
{
	uint32_t bytes = quiver_geometry(store)->vector_bytes;
	struct quiver_record records[BENCH_BATCH];

	for (uint64_t i = 0; i < count; i++)
		records[i] = (struct quiver_record){ .id = first + i, .data = data + i * bytes };
	bench_check("batch",
	            quiver_put_batch(store, records, count, &bench_attr, QUIVER_ATTR_ALL, 0, NULL));
}

void bench_load(struct quiver *store, uint64_t first, uint64_t count)
{
	size_t bytes = (size_t)BENCH_BATCH * quiver_geometry(store)->vector_bytes;
	char *data = bench_alloc(bytes);

	bench_fill(data, bytes, first);
	for (uint64_t done = 0; done < count; done += BENCH_BATCH) {
		uint64_t left = count - done;

		bench_put_batch(store, first + done, left < BENCH_BATCH ? left : BENCH_BATCH, data);
	}
	free(data);
}

void bench_overwrite(struct quiver *store, const uint64_t *ids, uint64_t count)
{
	struct quiver_record records[BENCH_BATCH];
	uint32_t bytes = quiver_geometry(store)->vector_bytes;
	char *data = bench_alloc(bytes);
	size_t n;

	bench_fill(data, bytes, count);
	for (uint64_t done = 0; done < count; done += n) {
		for (n = 0; n < BENCH_BATCH && done + n < count; n++)
			records[n] = (struct quiver_record){ .id = ids[done + n], .data = data };
		bench_check("batch", quiver_put_batch(store, records, n, &bench_attr,
		                                      QUIVER_ATTR_ALL, 0, NULL));
	}
	free(data);
}

uint64_t bench_anonymous_bytes(void)
{
	FILE *file;
	char line[SMAPS_LINE_BYTES];
	uint64_t kib = 0;

	(void)malloc_trim(0); /* what was freed, our own buffers above all, is not the store's */
	file = fopen("/proc/self/smaps_rollup", "re");
	if (!file)
		bench_die("/proc/self/smaps_rollup: %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "Anonymous:", 10) == 0)
			kib = strtoull(line + 10, NULL, 10);
	}
	if (fclose(file) != 0)
		bench_die("/proc/self/smaps_rollup: %s", strerror(errno));
	return kib << 10;
}
