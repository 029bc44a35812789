/*
 * residency.h - whether rows of ids.npy and meta.npy are in memory, for who must not wait for
 * the disk. Looking is a system call of half a microsecond, many times what a row costs, so what
 * was seen of some neighbouring rows counts for a moment.
 *
 * It is a best effort: the kernel may take pages back at any time.
 */
#ifndef QUIVER_RESIDENCY_H
#define QUIVER_RESIDENCY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct columns;

/* Rows that are looked at together. */
#define RESIDENCY_CHUNK_ROWS 128u
/* Chunks that are remembered: those of eight million rows, in 512 KiB. */
#define RESIDENCY_CHUNKS 65536u
/* Most that residency_has_rows is asked for. */
#define RESIDENCY_ROWS_MAX 65536u

struct residency {
	/* By the chunk's number, modulo: which one it is of, and the second in which all of it
	 * was in memory. Hints, each by itself. */
	_Atomic uint64_t *seen;
};

/* 0 or -ENOMEM. */
int residency_init(struct residency *residency);
void residency_destroy(struct residency *residency);
/* The second of now, as the next one wants it. */
uint32_t residency_second(void);
/* Whether the rows of `slot` can be read without waiting. slot < rows. Any thread; takes no
 * lock. */
bool residency_has_row(struct residency *residency, const struct columns *columns, uint64_t slot,
                       uint32_t second);
/* The same for all rows below `end`: rows at most, and RESIDENCY_ROWS_MAX. */
bool residency_has_rows(const struct columns *columns, uint64_t end);

#endif
