/* What people should know of a store: its label and its metric, in both copies of the superblock. */
#include <errno.h>
#include <string.h>

#include "engine/store/local.h"
#include "engine/store/store.h"

void local_describe(struct quiver *store, struct quiver_description *description)
{
	pthread_mutex_lock(&store->description_lock);
	*description = store->description;
	pthread_mutex_unlock(&store->description_lock);
}

static bool is_same(const struct quiver_description *a, const struct quiver_description *b)
{
	return a->metric == b->metric && strcmp(a->label, b->label) == 0;
}

/* What readers get is what the disk has: also where only the first copy could be written, which is
 * the newer one then. Checkpoint lock. */
static int write_description(struct quiver *store, const struct quiver_description *description)
{
	struct superblock *sb = &store->superblock.now;
	int r = health_writable(&store->health);

	if (r || is_same(&sb->description, description))
		return r;
	r = superblock_describe(store->io, store->superblock.fd, sb, description);
	pthread_mutex_lock(&store->description_lock);
	store->description = sb->description;
	pthread_mutex_unlock(&store->description_lock);
	return health_judge(&store->health, HEALTH_SUPERBLOCK, r);
}

int local_set_label(struct quiver *store, const char *text, size_t length)
{
	struct quiver_description description = { 0 };
	int r;

	if (length > 0)
		memcpy(description.label, text, length);
	pthread_mutex_lock(&store->checkpointer.lock);
	description.metric = store->superblock.now.description.metric;
	r = write_description(store, &description);
	pthread_mutex_unlock(&store->checkpointer.lock);
	return r;
}

int local_set_metric(struct quiver *store, enum quiver_metric metric)
{
	struct quiver_description description;
	int r;

	pthread_mutex_lock(&store->checkpointer.lock);
	description = store->superblock.now.description;
	description.metric = metric;
	r = write_description(store, &description);
	pthread_mutex_unlock(&store->checkpointer.lock);
	return r;
}
