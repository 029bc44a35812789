/*
 * job.h - starting long work and waiting for it, with a progress bar.
 */
#ifndef JOB_H
#define JOB_H

#include "engine/quiver.h"
#include "tools/cli/session.h"

/*
 * Run a job on a store that is opened directly, or on a live mount, until it has
 * ended; SIGINT asks it to stop. Prints the result on stdout.
 * 0, or a negative errno after having said what is wrong: the job failed, was
 * stopped, or (verify) found mismatches.
 */
int job_run_store(struct session *session, enum quiver_job job);
int job_run_live(struct session *session, enum quiver_job job);

#endif
