/*
 * refuse.h - telling why something was refused: a line of control/errors, and the error.
 */
#ifndef REFUSE_H
#define REFUSE_H

#include "fs/base/fs.h"

/* Report a line and return `err`. Any thread; waits for nothing. */
int refuse(struct fs *fs, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Report "NAME: what" and answer `err`. */
void refuse_name(fuse_req_t req, const char *name, const char *what, int err);

/* A name fit for such a line: what does not print becomes '?', and what is long is cut. */
#define REFUSE_NAME_BYTES 64u
void refuse_show(const char *name, char shown[static REFUSE_NAME_BYTES]);

#endif
