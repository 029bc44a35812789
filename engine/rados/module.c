/* What the library finds in this module: kind.h. */
#include <stddef.h>

#include "engine/rados/batch.h"
#include "engine/rados/check.h"
#include "engine/rados/collection.h"
#include "engine/rados/create.h"
#include "engine/rados/destroy.h"
#include "engine/rados/directory.h"
#include "engine/rados/facts.h"
#include "engine/rados/flight.h"
#include "engine/rados/get_many.h"
#include "engine/rados/list.h"
#include "engine/rados/read.h"
#include "engine/rados/space.h"
#include "engine/rados/stores.h"
#include "engine/rados/verify.h"
#include "engine/rados/write.h"

/* Whatever has been acknowledged is on the disks of as many OSDs as the pool says. */
static int rados_flush(struct quiver *store)
{
	(void)store;
	return 0;
}

static int rados_close(struct quiver *store)
{
	return collection_close(collection_of(store));
}

static const struct quiver_kind rados_kind = {
	.name = "rados",
	.close = rados_close,
	.get = read_get,
	.unref = read_unref,
	.ref_verify = read_ref_verify,
	.ref_read = read_ref_read,
	.ref_resident = read_ref_resident,
	.get_copy = read_get_copy,
	.stat = read_stat,
	.list_open = list_open,
	.list_read = list_read,
	.list_count = list_count,
	.list_close = list_close,
	.count = list_count_all,
	.put = write_put,
	.put_batch = batch_put,
	.get_many = get_many,
	.remove = write_remove,
	.set_attr = write_set_attr,
	.dir_attr = directory_attr,
	.set_dir_attr = directory_set_attr,
	.flush = rados_flush,
	.space = space_get,
	.stats = space_stats,
	.job_start = verify_start,
	.job_stop = verify_stop,
	.job_status = verify_status,
	.set_label = directory_set_label,
	.set_metric = directory_set_metric,
	.describe = directory_describe,
	.facts = facts_tell,
};

static int rados_open(const char *path, const struct quiver_options *options, struct quiver **out,
                      struct quiver_error *error)
{
	struct collection *collection;
	int r = collection_open(path, options, &collection, error);

	*out = NULL;
	if (r != 0)
		return r;
	collection->head.kind = &rados_kind;
	*out = (struct quiver *)collection;
	return 0;
}

__attribute__((visibility("default"))) extern const struct quiver_module quiver_module;

const struct quiver_module quiver_module = {
	.version = QUIVERFS_VERSION,
	.kind_size = sizeof(struct quiver_kind),
	.begin = flight_begin,
	.open = rados_open,
	.create = collection_create,
	.check = collection_check,
	.stores = stores_list,
	.destroy = collection_destroy,
};
