#include "engine/rados/read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rados/damage.h"
#include "engine/rados/seen.h"
#include "engine/rados/watch.h"

/* What the reader is told of what was found. 0, -ENOENT, -EIO. */
static int answer(struct collection *collection, uint64_t id, const struct seen *seen)
{
	int r;

	if (seen->verdict == 0)
		return 0;
	if (seen->verdict == -ENOENT) {
		r = watch_confirm(collection);
		return r ? r : -ENOENT;
	}
	return damage_report(collection, id);
}

/* Of all calls here: 0, and then seen_free; or what the call returns. */
static int look(struct collection *collection, uint64_t id, unsigned what, struct seen *seen)
{
	int r;

	if (id > QUIVER_ID_MAX)
		return -ENOENT;
	r = seen_get(collection, id, what, seen);
	if (r != 0)
		return r;
	r = answer(collection, id, seen);
	if (r != 0)
		seen_free(seen);
	return r;
}

static int look_for_bytes(struct collection *collection, uint64_t id, struct seen *seen)
{
	int r = look(collection, id, SEEN_BYTES, seen);

	if (r == 0)
		atomic_fetch_add_explicit(&collection->gets, 1, memory_order_relaxed);
	else if (r == -ENOENT)
		atomic_fetch_add_explicit(&collection->get_misses, 1, memory_order_relaxed);
	return r;
}

int read_get(struct quiver *store, uint64_t id, unsigned flags, struct quiver_ref *ref)
{
	struct seen seen;
	int r;

	if (flags & QUIVER_NOWAIT)
		return -EAGAIN;
	r = look_for_bytes(collection_of(store), id, &seen);
	if (r != 0)
		return r;
	*ref = (struct quiver_ref){
		.data = seen.flight->bytes,
		.id = id,
		.lsn = tag_version(&seen.row.tag),
		.slot = UINT64_MAX,
		.attr = seen.row.attr,
		.sum = seen.row.sum,
		.pin = seen.flight->bytes,
	};
	seen.flight->bytes = NULL; /* the ref's now */
	seen_free(&seen);
	return 0;
}

void read_unref(struct quiver *store, struct quiver_ref *ref)
{
	(void)store;
	free(ref->pin);
	ref->pin = NULL;
	ref->data = NULL;
}

int read_ref_verify(struct quiver *store, const struct quiver_ref *ref, unsigned flags)
{
	(void)store, (void)ref, (void)flags;
	return 0; /* read_get has */
}

int read_ref_read(struct quiver *store, const struct quiver_ref *ref, uint64_t offset,
                  size_t length, unsigned flags, void *to)
{
	(void)store, (void)flags;
	memcpy(to, (const unsigned char *)ref->pin + offset, length);
	return 0;
}

bool read_ref_resident(struct quiver *store, const struct quiver_ref *ref)
{
	(void)store, (void)ref;
	return true;
}

static void tell(const struct row *row, struct quiver_attr *attr, uint64_t *lsn)
{
	if (attr)
		*attr = row->attr;
	if (lsn)
		*lsn = tag_version(&row->tag);
}

int read_get_copy(struct quiver *store, uint64_t id, void *to, struct quiver_attr *attr,
                  uint64_t *lsn)
{
	struct collection *collection = collection_of(store);
	struct seen seen;
	int r = look_for_bytes(collection, id, &seen);

	if (r != 0)
		return r;
	memcpy(to, seen.flight->bytes, collection->layout.vector_bytes);
	tell(&seen.row, attr, lsn);
	seen_free(&seen);
	return 0;
}

int read_stat(struct quiver *store, uint64_t id, unsigned flags, struct quiver_attr *attr,
              uint64_t *lsn)
{
	struct seen seen;
	int r;

	if (flags & QUIVER_NOWAIT)
		return -EAGAIN;
	r = look(collection_of(store), id, 0, &seen);
	if (r != 0)
		return r;
	tell(&seen.row, attr, lsn);
	seen_free(&seen);
	return 0;
}
