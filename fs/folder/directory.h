/*
 * directory.h - the root, vectors/ and control/.
 */
#ifndef DIRECTORY_H
#define DIRECTORY_H

#include "fs/base/node_ops.h"

extern const struct node_ops directory_ops;

#endif
