#include "engine/commit/committer.h"

#include <stdlib.h>

void committer_init(struct committer *commits, struct catalog *catalog, struct wal *wal,
                    struct wishes *wishes, struct row_watch *row_watch,
                    enum quiver_durability durability)
{
	commits->catalog = catalog;
	commits->wal = wal;
	commits->wishes = wishes;
	commits->row_watch = row_watch;
	commit_queue_init(&commits->queue);
	commit_flights_init(&commits->flights);
	pthread_mutex_init(&commits->dir_lock, NULL);
	atomic_init(&commits->durability, (int)durability);
}

void committer_destroy(struct committer *commits)
{
	commit_queue_destroy(&commits->queue);
	commit_flights_destroy(&commits->flights);
	pthread_mutex_destroy(&commits->dir_lock);
	free(commits->deferred.items);
	free(commits->unlogged.items);
}

void committer_lock_settled(struct committer *commits)
{
	struct commit_flights *flights = &commits->flights;

	pthread_mutex_lock(&commits->catalog->writer_lock);
	flights->settling++;
	while (flights->first)
		pthread_cond_wait(&flights->landed, &commits->catalog->writer_lock);
	if (--flights->settling == 0)
		pthread_cond_broadcast(&flights->landed); /* for who was not planned meanwhile */
}

enum quiver_durability committer_mode(const struct committer *commits)
{
	if (atomic_load(&commits->logs_anyway))
		return QUIVER_ALWAYS;
	return (enum quiver_durability)atomic_load(&commits->durability);
}

void committer_dir(struct committer *commits, struct quiver_attr *attr)
{
	pthread_mutex_lock(&commits->dir_lock);
	*attr = commits->dir;
	pthread_mutex_unlock(&commits->dir_lock);
}
