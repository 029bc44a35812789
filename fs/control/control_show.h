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

void show_flush(struct fs *fs, FILE *out);
void show_checkpoint(struct fs *fs, FILE *out);
/*
 * "idle", or "idle; last run" and what became of it, or "running 43%":
 *   idle; last run: 120 of 120 slots moved, 368640 bytes given back, 0.532 s
 *   idle; last run: 1000 of 1000 slots checked, 0 mismatches, 0.120 s
 *   idle; last run stopped: ...
 *   idle; last run failed (Input/output error): ...
 */
void show_compact(struct fs *fs, FILE *out);
void show_verify(struct fs *fs, FILE *out);
void show_durability(struct fs *fs, FILE *out);
void show_reserve(struct fs *fs, FILE *out);
void show_autocompact_percent(struct fs *fs, FILE *out);
void show_errors(struct fs *fs, FILE *out);
void show_dim(struct fs *fs, FILE *out);
void show_dtype(struct fs *fs, FILE *out);
void show_count(struct fs *fs, FILE *out);
void show_slots(struct fs *fs, FILE *out);
void show_uuid(struct fs *fs, FILE *out);
void show_version(struct fs *fs, FILE *out);
void show_format_version(struct fs *fs, FILE *out);

/* metrics.c */
void show_stats(struct fs *fs, FILE *out);
void show_metrics(struct fs *fs, FILE *out);

/* 36 characters and the NUL. */
#define UUID_TEXT_BYTES 37
void uuid_text(const uint8_t uuid[static 16], char text[static UUID_TEXT_BYTES]);

#endif
