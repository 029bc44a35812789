/*
 * serve_ops.h - the table that libfuse calls: fs_ops() with a step in front of it.
 */
#ifndef SERVE_OPS_H
#define SERVE_OPS_H

#include "fs/base/fs.h"

/* The table, static; NULL where a thread key cannot be had. Call it once, before
 * the session is made. */
const struct fuse_lowlevel_ops *serve_ops_init(void);

/* serve.c: the init member of the table. */
void serve_init(void *userdata, struct fuse_conn_info *conn);

#endif
