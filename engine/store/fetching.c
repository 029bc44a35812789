#include "engine/store/fetching.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/nearest/by_id.h"
#include "engine/nearest/slots_by_id.h"
#include "engine/store/elsewhere.h"
#include "engine/store/kind.h"
#include "engine/store/snapshot_view.h"
#include "engine/store/store.h"

/* Of a store elsewhere so much is asked for at once: several requests under way at any time. */
#define COPIED_BYTES (UINT64_C(8) << 20)
#define COPIED_MAX 16384u

struct fetching {
	struct quiver *store;
	struct quiver_list *list; /* NULL: the IDs are those of `ids` */
	const uint64_t *ids;
	size_t id_count;
	uint64_t position;
	struct quiver_ref refs[DISTANCE_ROWS_MAX]; /* of what nobody changes */
	size_t ref_count;
	uint8_t *copies; /* malloc'd: of others */
	int *results; /* malloc'd */
};

static int64_t next(void *arg, uint64_t *ids, size_t max)
{
	struct fetching *fetching = arg;
	uint64_t left = fetching->id_count - fetching->position;
	int64_t n;

	if (elsewhere_is_interrupted())
		return -EINTR;
	if (fetching->list) {
		n = quiver_list_read(fetching->store, fetching->list, fetching->position, 0, ids,
		                     max);
	} else {
		n = (int64_t)(left < max ? left : max);
		if (n > 0)
			memcpy(ids, fetching->ids + fetching->position, (size_t)n * sizeof(*ids));
	}
	if (n > 0)
		fetching->position += (uint64_t)n;
	return n;
}

/* ---- a snapshot: its vectors lie in a map ---- */

static int find_refs(void *arg, const uint64_t *ids, size_t count, const void **rows)
{
	struct fetching *fetching = arg;

	fetching->ref_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct quiver_ref *ref = &fetching->refs[fetching->ref_count];

		rows[i] = NULL;
		/* One that is damaged was reported, and is no answer. */
		if (quiver_get(fetching->store, ids[i], 0, ref) != 0)
			continue;
		rows[i] = ref->data;
		fetching->ref_count++;
	}
	return 0;
}

static void release_refs(void *arg)
{
	struct fetching *fetching = arg;

	for (size_t i = 0; i < fetching->ref_count; i++)
		quiver_unref(fetching->store, &fetching->refs[i]);
	fetching->ref_count = 0;
}

/* ---- a store elsewhere ---- */

static int find_copies(void *arg, const uint64_t *ids, size_t count, const void **rows)
{
	struct fetching *fetching = arg;
	size_t bytes = quiver_geometry(fetching->store)->vector_bytes;
	int r = quiver_get_many(fetching->store, ids, count, fetching->copies, NULL,
	                        fetching->results);

	for (size_t i = 0; r == 0 && i < count; i++)
		rows[i] = fetching->results[i] == 0 ? fetching->copies + i * bytes : NULL;
	return r;
}

static int copies_init(struct fetching *fetching, struct finder *finder)
{
	size_t bytes = quiver_geometry(fetching->store)->vector_bytes;
	size_t count = COPIED_BYTES / bytes;

	if (count > COPIED_MAX)
		count = COPIED_MAX;
	*finder = (struct finder){ .arg = fetching, .find = find_copies, .at_once = count };
	fetching->copies = malloc(count * bytes);
	fetching->results = malloc(count * sizeof(*fetching->results));
	return fetching->copies && fetching->results ? 0 : -ENOMEM;
}

/* How the vectors of a store are found. */
static int finder_init(struct fetching *fetching, struct finder *finder)
{
	if (!((const struct quiver_head *)fetching->store)->kind) {
		slots_by_id(finder, &fetching->store->catalog);
	} else if (snapshot_view_is(fetching->store)) {
		const struct column *vectors =
			&snapshot_view_of(fetching->store)->catalog->columns.vectors;

		*finder = (struct finder){ .arg = fetching,
			                   .find = find_refs,
			                   .release = release_refs,
			                   .at_once = DISTANCE_ROWS_MAX,
			                   .map = vectors->map,
			                   .map_bytes = vectors->reserved_bytes };
	} else {
		return copies_init(fetching, finder);
	}
	return 0;
}

int fetching_pass(struct quiver *store, struct round *round, const uint64_t *ids, size_t id_count)
{
	struct fetching fetching = { .store = store, .ids = ids, .id_count = id_count };
	struct finder finder;
	int r = finder_init(&fetching, &finder);

	if (r == 0 && !ids)
		r = quiver_list_open(store, 0, &fetching.list);
	if (r == 0)
		r = by_id_pass(round, &finder, next, &fetching);
	quiver_list_close(store, fetching.list);
	free(fetching.results);
	free(fetching.copies);
	return r;
}
