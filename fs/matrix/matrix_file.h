/*
 * matrix_file.h - matrix.npy and ids.npy, the raw views: TREE_MATRIX and TREE_IDS.
 */
#ifndef MATRIX_FILE_H
#define MATRIX_FILE_H

#include "fs/base/node_ops.h"

extern const struct node_ops matrix_ops;

#endif
