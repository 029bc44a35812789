/*
 * inside_file.h - whatever is in a snapshot, its own folder first.
 *
 * A request is handed to the handlers of the kind that the inner node is of, with the view of the
 * snapshot for a struct fs (fs_of). What they answer is kept by the kernel as they say: for a day,
 * but for what control/ tells and for names and attributes of views. Nothing of it can become stale,
 * since nothing in a snapshot changes, and its nodes have numbers that no other snapshot gets.
 */
#ifndef INSIDE_FILE_H
#define INSIDE_FILE_H

#include "fs/base/node_ops.h"

extern const struct node_ops inside_ops;

#endif
