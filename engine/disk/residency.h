/*
 * residency.h - whether rows of ids.npy and meta.npy are in memory, for who must not wait for
 * the disk. Looking is a system call of a microsecond, many times what a row costs, so what was
 * seen of a chunk of rows counts for a moment.
 */
#ifndef QUIVER_RESIDENCY_H
#define QUIVER_RESIDENCY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct columns;

struct residency {
	/* For each chunk of rows the second, counted from one, in which all of it was in
	 * memory; 0 never. Hints, each by itself. */
	_Atomic uint32_t *seen;
	uint64_t chunks;
};

/* For columns that are open. 0 or -ENOMEM. */
int residency_init(struct residency *residency, const struct columns *columns);
void residency_destroy(struct residency *residency);
/* Whether the rows of `slot` can be read without waiting: a best effort, since the kernel may
 * take pages back at any time. slot < rows. Any thread; takes no lock. */
bool residency_has_row(struct residency *residency, const struct columns *columns, uint64_t slot);

#endif
