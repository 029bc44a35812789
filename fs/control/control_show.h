/*
 * control_show.h - what the files of control/ read. Internal to control.
 *
 * Each function writes one whole file to `out`; errors of the stream are the
 * caller's to look at. They ask the store for numbers and wait for nothing.
 */
#ifndef CONTROL_SHOW_H
#define CONTROL_SHOW_H

#include <stdio.h>

#include "fs/base/fs.h"

typedef void control_show_fn(struct fs *fs, FILE *out);
/* `space` is NULL where it could not be learnt. */
typedef void control_show_space_fn(struct fs *fs, FILE *out, const struct quiver_space *space);

control_show_fn show_flush, show_checkpoint, show_durability, show_autocompact_percent, show_errors,
	show_dim, show_dtype, show_count, show_slots, show_uuid, show_version, show_format_version,
	show_label, show_metric;
/* Of each snapshot a line, oldest first: name, UUID, LSN, vectors, rows, when it was made in
 * nanoseconds, vectors and bytes that it alone has, and 1 where it is damaged. */
control_show_fn show_snapshots;
control_show_fn show_lsn, show_created, show_own_bytes, show_snapshot_uuid; /* of a snapshot */
/*
 * "idle", or "idle; last run" and what became of it, or "running 43%":
 *   idle; last run: 120 of 120 slots moved, 368640 bytes given back, 0.532 s
 *   idle; last run: 1000 of 1000 slots checked, 0 mismatches, 0.120 s
 *   idle; last run stopped: ...
 *   idle; last run failed (Input/output error): ...
 */
control_show_fn show_compact, show_verify;
/* Lines of a name and a value; nearest_index.c. */
control_show_fn show_nearest_index;
/* "none", "building", "ready", "no_help"; static. */
const char *nearest_state_name(enum quiver_nearest_state state);
control_show_space_fn show_reserve;
control_show_space_fn show_stats, show_metrics; /* metrics.c */

/* 36 characters and the NUL. */
#define UUID_TEXT_BYTES 37
void uuid_text(const uint8_t uuid[static 16], char text[static UUID_TEXT_BYTES]);

#endif
