/*
 * upkeep_files.h - lists from their files, and to them.
 */
#ifndef QUIVER_LISTS_UPKEEP_FILES_H
#define QUIVER_LISTS_UPKEEP_FILES_H

#include "engine/lists/upkeep_state.h"

/*
 * What the files tell of: lists that are watched, with each vector that they do not tell of pending; or
 * *lists is NULL, with page->no_help where it is so, and page->rows 0 where there is nothing. What is
 * damaged, or does not fit the store, is reported once and counts as missing. 0 or -ENOMEM, -EINTR.
 */
int upkeep_load(struct upkeep *upkeep, enum quiver_metric metric, struct nearest_page *page,
                struct lists **lists);
/* What the file of centroids says of itself: false where it does not fit the store, or cannot be read,
 * which is told when it is loaded. */
bool upkeep_read_page(struct upkeep *upkeep, enum quiver_metric metric, struct nearest_page *page);
/* Write a file. A failure is reported the first time. 0 or -errno. */
int upkeep_write_centroids(struct upkeep *upkeep, const struct nearest_page *page,
                           const float *centroids);
int upkeep_write_cells(struct upkeep *upkeep, const struct lists *lists);

#endif
