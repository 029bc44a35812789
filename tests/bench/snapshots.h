/*
 * snapshots.h - what the two halves of the worker `snapshots` share.
 *
 * A row prints one line of JSON: numbers, lists of numbers and percentiles by name.
 */
#ifndef BENCH_SNAPSHOTS_H
#define BENCH_SNAPSHOTS_H

#include <stddef.h>
#include <stdint.h>

#include "tests/bench/store.h"

#define NAME_BYTES 24

void say(const char *name, uint64_t value);
void say_list(const char *name, const uint64_t *values, size_t count);
/* Sorts the samples. */
void say_percentiles(const char *name, uint64_t *samples, size_t count);

void make_snapshot(struct quiver *store, unsigned number);
void remove_snapshot(struct quiver *store, unsigned number);
enum quiver_durability durability_of(const struct bench_args *args);

/* Rows pause-make and pause-remove. */
void row_pause(const struct bench_args *args);

#endif
