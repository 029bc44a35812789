/*
 * verify.h - the job QUIVER_VERIFY: calls of the kind; kind.h.
 */
#ifndef QUIVER_RADOS_VERIFY_H
#define QUIVER_RADOS_VERIFY_H

#include "engine/rados/collection.h"

void verify_init(struct collection *collection);
/* Ends the job; before the collection is closed. */
void verify_end(struct collection *collection);
void verify_destroy(struct collection *collection);

int verify_start(struct quiver *store, enum quiver_job kind);
int verify_stop(struct quiver *store, enum quiver_job kind);
void verify_status(struct quiver *store, enum quiver_job kind, struct quiver_job_status *status);

#endif
