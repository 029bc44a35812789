#include "engine/recovery/verify.h"

#include <errno.h>

#define PROGRESS_STEPS 1024

int verify_run(struct catalog *catalog, const struct verification *verification)
{
	struct quiver_list *list;
	uint64_t mismatches;
	uint64_t total;
	int r = catalog_list_open(catalog, 0, &list);

	if (r)
		return r;
	/* A vector whose row is damaged is in no listing. */
	mismatches = list->damaged;
	total = list->count + list->damaged;
	verification->progress(verification->arg, list->damaged, total, mismatches);
	for (size_t i = 0; i < list->count && !atomic_load(verification->stop); i++) {
		struct quiver_ref ref;

		r = catalog_get(catalog, list->ids[i], 0, &ref);
		if (r == 0) {
			r = catalog_ref_verify(catalog, &ref, 0);
			catalog_unref(catalog, &ref);
		}
		/* -ENOENT: removed since. The rest is reported by who found it. */
		if (r && r != -ENOENT)
			mismatches++;
		if (i % PROGRESS_STEPS == 0 || i + 1 == list->count)
			verification->progress(verification->arg, list->damaged + i + 1, total,
			                       mismatches);
	}
	catalog_list_close(catalog, list);
	return mismatches ? -EIO : 0;
}
