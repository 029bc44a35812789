/*
 * nearest_page.h - the files of an index of nearest neighbours as bytes: where everything lies in them,
 * and their last page; FORMAT.md, nearest/.
 */
#ifndef QUIVER_NEAREST_PAGE_H
#define QUIVER_NEAREST_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/quiver.h"

#define NEAREST_PAGE_BYTES 4096u
#define NEAREST_LISTS_MAX 65536u
/* What centroids may take: numbers of 4 bytes. */
#define NEAREST_NUMBERS_MAX (UINT64_C(16) << 20)

/* Numbers of neighbours for which it is known how many lists find them. */
#define NEAREST_PROBES 5u
static const uint32_t nearest_probes_for[NEAREST_PROBES] = { 10, 30, 100, 300, 1000 };

enum nearest_array {
	NEAREST_CENTROIDS,
	NEAREST_CELLS,
};

/* Of the last page. Those behind `sums_hash` are of centroids alone. */
struct nearest_page {
	enum nearest_array array;
	bool no_help;
	uint8_t uuid[16];
	uint64_t lsn;
	uint64_t build;
	uint64_t rows; /* lists; slots */
	uint64_t sums_hash;

	uint32_t dim;
	enum quiver_dtype dtype;
	enum quiver_metric metric;
	uint32_t width;
	uint32_t probes[NEAREST_PROBES]; /* for so many neighbours: nearest_probes_for */
	double recall;
	double exact_ms, index_ms;
	uint64_t vectors;
	int64_t started_ns, duration_ns;
	double norm_max;
};

/* Where everything lies in such a file. */
struct nearest_layout {
	uint32_t row_bytes;
	uint64_t data_at, data_bytes; /* without what pads it */
	uint64_t pages; /* of the array */
	uint64_t sums_at;
	uint64_t page_at; /* the last page */
	uint64_t file_bytes;
};

/* How many numbers a point has. */
uint32_t nearest_width(enum quiver_metric metric, enum quiver_dtype dtype, uint32_t dim);
/* The layout of a file whose last page is that. */
void nearest_lay_out(struct nearest_layout *layout, const struct nearest_page *page);
/* The header that NumPy reads. */
void nearest_npy_encode(uint8_t header[NEAREST_PAGE_BYTES], const struct nearest_page *page);
/* The sum of page `number` of the array. */
uint64_t nearest_page_sum(const uint8_t page[NEAREST_PAGE_BYTES], uint64_t number);

void nearest_page_encode(const struct nearest_page *page, uint8_t to[NEAREST_PAGE_BYTES]);
/* 0, every field looked at; -EBADMSG no such page, or damage; -ENOTSUP of a newer version. */
int nearest_page_decode(const uint8_t from[NEAREST_PAGE_BYTES], enum nearest_array array,
                        struct nearest_page *page);

#endif
