/*
 * count_live.h - having the daemon of a mounted collection count its vectors.
 */
#ifndef COUNT_LIVE_H
#define COUNT_LIVE_H

/* So long a cluster is waited for by who only wants to show something. */
#define COUNT_LIVE_SECONDS 2

/*
 * Read control/count of the mount whose root is `mount_fd`, which asks the cluster: then control/stats
 * has the number as well. 0; -ETIMEDOUT the cluster has not answered within COUNT_LIVE_SECONDS, by this
 * question or by one before it, which goes on; errors of live_read. One thread at a time.
 */
int count_live(int mount_fd);

#endif
