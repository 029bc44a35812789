/*
 * figures.h - numbers as people read them, and bars. Any thread.
 */
#ifndef FIGURES_H
#define FIGURES_H

#include <stddef.h>
#include <stdint.h>

/* Room for each of the texts below. */
#define FIGURE_BYTES 32u

/* 1234567 as "1,234,567". Returns `to`, as the others do. */
const char *figure_count(uint64_t number, char to[FIGURE_BYTES]);

/* The same in at most 9 characters: from ten millions on "12.3 M", "4.5 G". */
const char *figure_short(uint64_t number, char to[FIGURE_BYTES]);

/* Bytes with a unit: "12 B", "3.4 MiB". */
const char *figure_bytes(uint64_t bytes, char to[FIGURE_BYTES]);

/* Nanoseconds with a unit that suits: "850 ns", "1.2 ms", "3.50 s". */
const char *figure_time(uint64_t ns, char to[FIGURE_BYTES]);

/* What happens in a second, with the digits that matter: "0", "0.25", "3.4", "12,345". */
const char *figure_rate(double per_second, char to[FIGURE_BYTES]);

/* A part of a bar. */
struct bar_part {
	char mark; /* what its cells are drawn with */
	uint64_t amount;
};

/*
 * Draw a bar of `cells` cells, each part as long as its share of all of them and, where it
 * is not 0, at least one cell. `to` has room for cells + 1. With nothing in any part the
 * bar is blank. `cells` is not less than `count`.
 */
void bar_draw(const struct bar_part *parts, size_t count, size_t cells, char *to);

#endif
