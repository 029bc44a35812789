/*
 * matrix_file.h - matrix.npy and ids.npy, the raw views: TREE_MATRIX and TREE_IDS.
 */
#ifndef MATRIX_FILE_H
#define MATRIX_FILE_H

#include "fs/base/node_ops.h"

extern const struct node_ops matrix_ops;

/* The mount ends: the kernel is told nothing more of changed rows. Before the last request is
 * answered, and before the workers go; what is under way ends with workers_drain. Any thread, no
 * lock held; may wait for a second. */
void matrix_quiet(struct fs *fs);

#endif
