/*
 * none_log.h - what a checkpoint of mode none logs before it frees rows: FORMAT.md.
 */
#ifndef QUIVER_NONE_LOG_H
#define QUIVER_NONE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "engine/commit/deferred_frees.h"
#include "engine/disk/columns.h"
#include "engine/index/attr_deltas.h"
#include "engine/log/wal.h"

/* What has come since the last checkpoint; all belongs to the caller. */
struct none_log {
	const struct columns *columns; /* with the rows of the slots below */
	const struct slot_list *unlogged; /* written; ascending LSN */
	const struct deferred_free_list *deferred; /* superseded; ascending LSN */
	const struct attr_delta *rows; /* whose attributes were set; in any order */
	size_t row_count;
	struct quiver_attr dir; /* the directory's attributes with all of these */
	uint64_t lsn; /* of the last commit of all */
};

/* Bytes that it takes in the log, at most. */
uint64_t none_log_bytes(const struct none_log *what);
/* The order that none_log_append takes rows in: malloc'd, in *order; NULL for no rows. 0 or
 * -ENOMEM. Takes a while, and no lock. */
int none_log_order(const struct none_log *what, uint32_t **order);
/* Log a record for each of them, in the order of their LSNs, and the directory's attributes behind
 * them; together they take effect at once. Room must have been made. They are made while they are
 * written: in memory they are a thousand times 300 bytes, of a million and more. 0 or as
 * wal_append. Writer lock. */
int none_log_append(const struct none_log *what, const uint32_t *order, struct wal *wal);

#endif
