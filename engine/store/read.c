/* The calls that read. */
#include "engine/store/store.h"

int quiver_get(struct quiver *store, uint64_t id, struct quiver_ref *ref)
{
	return catalog_get(&store->catalog, id, ref);
}

void quiver_unref(struct quiver *store, struct quiver_ref *ref)
{
	catalog_unref(&store->catalog, ref);
}

int quiver_ref_verify(struct quiver *store, const struct quiver_ref *ref)
{
	return catalog_ref_verify(&store->catalog, ref);
}

int quiver_ref_read(struct quiver *store, const struct quiver_ref *ref, uint64_t offset,
                    size_t length, void *to)
{
	return catalog_ref_read(&store->catalog, ref, offset, length, to);
}

bool quiver_ref_resident(struct quiver *store, const struct quiver_ref *ref)
{
	return catalog_ref_resident(&store->catalog, ref);
}

void quiver_ref_prefetch(struct quiver *store, const struct quiver_ref *ref)
{
	catalog_ref_prefetch(&store->catalog, ref);
}

int quiver_get_copy(struct quiver *store, uint64_t id, void *to, struct quiver_attr *attr,
                    uint64_t *lsn)
{
	return catalog_get_copy(&store->catalog, id, to, attr, lsn);
}

int quiver_stat(struct quiver *store, uint64_t id, struct quiver_attr *attr, uint64_t *lsn)
{
	return catalog_stat(&store->catalog, id, attr, lsn);
}

int quiver_list(struct quiver *store, struct quiver_list *list)
{
	return catalog_list(&store->catalog, list);
}

void quiver_list_free(struct quiver_list *list)
{
	catalog_list_free(list);
}

uint64_t quiver_count(struct quiver *store)
{
	return catalog_count(&store->catalog);
}
