/*
 * group.h - group commit: one leader at a time takes those who wait into the log together; while
 * they wait for the sync another gathers and logs the next (commit_flight.h).
 *
 * After the leader/follower scheme of group commit as databases have it since DeWitt et
 * al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984.
 */
#ifndef QUIVER_GROUP_H
#define QUIVER_GROUP_H

#include "engine/commit/committer.h"

/* Through the queue once, and wait until it is done; any thread, no lock held. The result is the
 * request's: 0, the errors of quiver.h, -ESTALE as in commit.h; -ECANCELED it has to be durable
 * and the mode has no log. */
void group_submit(struct committer *commits, struct commit_request *request);

/* Let nobody commit until commit_resume; those who come wait (who must not is turned away).
 * Any thread, no lock held. */
void commit_pause(struct committer *commits);
void commit_resume(struct committer *commits);

#endif
