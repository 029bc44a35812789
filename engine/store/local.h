/*
 * local.h - the calls of quiver.h as a store in a local folder does them; api.c chooses. Their
 * contracts are those of the functions of the same name there. Those that read are the
 * catalog's.
 */
#ifndef QUIVER_LOCAL_H
#define QUIVER_LOCAL_H

#include "engine/quiver.h"

int local_close(struct quiver *store);

int local_flush(struct quiver *store);
enum quiver_durability local_durability(struct quiver *store);
/* `mode` is one of them. */
int local_set_durability(struct quiver *store, enum quiver_durability mode);
int local_reserve(struct quiver *store, uint64_t count);
/* `percent` is at most 100. */
int local_set_autocompact(struct quiver *store, uint32_t percent);
int local_space(struct quiver *store, struct quiver_space *space);

/* `length` bytes that may be a label. */
int local_set_label(struct quiver *store, const char *text, size_t length);
/* One that goes with the dtype. */
int local_set_metric(struct quiver *store, enum quiver_metric metric);
void local_describe(struct quiver *store, struct quiver_description *description);

int local_job_start(struct quiver *store, enum quiver_job kind);
int local_job_stop(struct quiver *store, enum quiver_job kind);
void local_job_status(struct quiver *store, enum quiver_job kind, struct quiver_job_status *status);

int local_column_hold(struct quiver *store, enum quiver_column column, int *fd,
                      uint64_t *size_bytes);
void local_column_release(struct quiver *store, enum quiver_column column);
uint64_t local_column_bytes(struct quiver *store, enum quiver_column column);
int64_t local_column_read(struct quiver *store, enum quiver_column column, uint64_t offset,
                          size_t length, void *to);
int local_column_watch(struct quiver *store, const struct quiver_watcher *watcher);
void local_column_unwatch(struct quiver *store, bool wait);

/* `name` is one. */
int local_snapshot_create(struct quiver *store, const char *name, struct quiver_snapshot *made);
int local_snapshot_remove(struct quiver *store, const char *name);
int local_snapshots(struct quiver *store, struct quiver_snapshot **snapshots, size_t *count);
int local_snapshot_stat(struct quiver *store, const char *name, struct quiver_snapshot *snapshot);

void local_stats(struct quiver *store, struct quiver_stats *stats);

#endif
