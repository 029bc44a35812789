/*
 * status.h - showing what is known of a store.
 */
#ifndef STATUS_H
#define STATUS_H

#include "facts.h"
#include "session.h"

/* A screen for people on stdout: what is wrong comes first. */
void status_show(const struct session *session, const struct facts *facts);

/* One flat JSON object on stdout. -ENOMEM, -EIO. */
int status_print_json(const struct session *session, const struct facts *facts);

#endif
