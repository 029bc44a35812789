/* Verification: every vector's checksum is compared, while everyone else goes on. */
#include <errno.h>

#include "engine/store/store.h"

#define PROGRESS_STEPS 1024

int verify_run(struct quiver *store)
{
	struct quiver_list list;
	uint64_t mismatches = 0;
	int r = catalog_list(&store->catalog, &list);

	if (r)
		return r;
	for (size_t i = 0; i < list.count && !atomic_load(&store->job.stop); i++) {
		struct quiver_ref ref;

		r = catalog_get(&store->catalog, list.ids[i], 0, &ref);
		if (r == 0) {
			r = catalog_ref_verify(&store->catalog, &ref, 0);
			catalog_unref(&store->catalog, &ref);
		}
		/* -ENOENT: removed since. The rest is reported by who found it. */
		if (r && r != -ENOENT)
			mismatches++;
		if (i % PROGRESS_STEPS == 0 || i + 1 == list.count) {
			job_progress(store, i + 1, list.count);
			pthread_mutex_lock(&store->job.lock);
			store->job.status[QUIVER_VERIFY].mismatches = mismatches;
			pthread_mutex_unlock(&store->job.lock);
		}
	}
	catalog_list_free(&list);
	return mismatches ? -EIO : 0;
}
