/*
 * copy_rows.h - rows into a store or a live mount, read by one thread while another writes.
 */
#ifndef COPY_ROWS_H
#define COPY_ROWS_H

#include "tools/cli/existing.h"
#include "tools/cli/outcome.h"
#include "tools/cli/rows.h"
#include "tools/cli/session.h"

/* Move all rows, until the end, an error or a signal; how far it came to *outcome. Main thread only.
 * Says errors. */
int copy_rows(struct session *session, struct rows *rows, enum existing_mode mode,
              struct outcome *outcome);

#endif
