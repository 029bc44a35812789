/*
 * control.h - the files of control/: TREE_CONTROL_FIRST up to TREE_CONTROL_END.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "fs/base/node_ops.h"

extern const struct node_ops control_ops;

#endif
