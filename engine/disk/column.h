/*
 * column.h - what is known of the three columns while they are open: of columns.h, and of what
 * maps and stores in them below it.
 */
#ifndef QUIVER_COLUMN_H
#define QUIVER_COLUMN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/io.h"
#include "engine/disk/map_store.h"
#include "engine/quiver.h"

#define WRITE_WINDOWS 4u /* of write_window.h: one that is filled while three are made ready */

struct write_window;

struct column {
	int fd;
	uint32_t row_bytes;
	const uint8_t *map; /* reserved once; valid for the life of the store */
	uint64_t reserved_bytes;
	_Atomic uint64_t mapped_bytes; /* grow lock of the store */
	uint64_t file_bytes; /* grow lock of the store */
	struct map_store store; /* rows lock; the file again, to store rows in */
};

struct columns {
	const struct quiver_io *io;
	struct quiver_geometry geometry;
	uint32_t version; /* of the store's format */
	int dir_fd; /* not owned */
	struct column vectors, ids, meta;
	_Atomic uint64_t rows; /* that all three have room for, backed by blocks and
	                          mapped; changed under the grow lock of the store */
	pthread_mutex_t rows_lock; /* held while rows are stored; below all other locks */
	pthread_mutex_t sync_lock; /* held during a sync; above the rows lock */
	int sync_error; /* sync lock; of the first that failed: there is none after it */
	_Atomic uint64_t vector_syncs; /* of vectors.npy, begun */
	uint64_t rows_max; /* that fit the reserved address space */
	_Atomic bool grown; /* since the last columns_sync_slots */
	/* Where part n of vectors.npy is stored in: n % WRITE_WINDOWS; NULL: by calls. Replaced by one
	 * thread at a time, read inside an epoch (write_window.h). */
	struct write_window *_Atomic windows[WRITE_WINDOWS];
};

#endif
