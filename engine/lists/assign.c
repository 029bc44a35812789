#include "engine/lists/assign.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/lists/sample.h"

/* Slots that are looked at together. */
struct batch {
	struct lists *lists;
	size_t at_once;
	uint64_t pinned; /* no slot above it is looked at; or SLOT_NONE */
	uint8_t *vector; /* malloc'd; one */
	float *points; /* malloc'd */
	size_t count;
	uint32_t slots[POINTS_AT_ONCE];
	uint32_t was[POINTS_AT_ONCE];
};

static int batch_init(struct batch *batch, struct lists *lists)
{
	uint64_t told;

	*batch = (struct batch){ .lists = lists,
		                 .at_once = points_at_once(&lists->points),
		                 .pinned = SLOT_NONE };
	batch->vector = malloc(lists->points.vectors.vector_bytes);
	batch->points = malloc(batch->at_once * lists->points.width * sizeof(float));
	if (!batch->vector || !batch->points)
		return -ENOMEM;
	return sample_pin(lists->catalog, &batch->pinned, &told);
}

static void batch_free(struct batch *batch)
{
	sample_unpin(batch->lists->catalog, batch->pinned);
	free(batch->points);
	free(batch->vector);
}

/* Take a slot into the batch, where it holds a vector that belongs into a list. */
static void take(struct batch *batch, uint64_t slot)
{
	struct lists *lists = batch->lists;
	const struct points *points = &lists->points;
	uint32_t was = cells_of(lists->cells, slot);
	uint64_t id;

	if (cell_is_list(was))
		return;
	if (!sample_read(lists->catalog, slot, batch->vector, &id)) {
		/* It was removed, or cannot be read, so that it is nobody's neighbour. */
		(void)cells_put(lists->cells, slot, was, CELL_FREE);
		return;
	}
	if (!distance_has_any(&points->vectors, batch->vector)) {
		(void)cells_put(lists->cells, slot, was, CELL_NOWHERE);
		return;
	}
	point_of_vector(points, batch->vector, batch->points + batch->count * points->width);
	batch->slots[batch->count] = (uint32_t)slot;
	batch->was[batch->count++] = was;
}

/* Put those of the batch into their lists. */
static int flush(struct batch *batch)
{
	struct lists *lists = batch->lists;
	uint32_t nearest[POINTS_AT_ONCE];
	int r = 0;

	if (batch->count > 0)
		r = points_nearest(&lists->points, lists->centroids, lists->page.rows,
		                   batch->points, batch->count, nearest);
	for (size_t i = 0; r == 0 && i < batch->count; i++)
		r = lists_put(lists, batch->slots[i], batch->was[i], nearest[i]);
	if (r == 0)
		atomic_fetch_add(&lists->assigned, batch->count);
	batch->count = 0;
	lists_settle(lists);
	return r;
}

/* All slots that are in use; what is published above them is pending. */
static int assign_slots(struct batch *batch, struct lists_work *work)
{
	struct catalog *catalog = batch->lists->catalog;
	uint64_t end = batch->pinned == SLOT_NONE ? 0 : batch->pinned + 1;
	int r = 0;

	if (end > cells_end(batch->lists->cells))
		end = cells_end(batch->lists->cells);
	for (uint64_t slot = 0; r == 0 && slot < end; slot++) {
		if (slot % POINTS_AT_ONCE == 0) {
			uint64_t last = slot + POINTS_AT_ONCE - 1;

			sample_fetch(catalog, slot, last < end ? last : end - 1);
			atomic_fetch_add(&work->done, last < end ? POINTS_AT_ONCE : end - slot);
			if (atomic_load(&work->stop))
				r = -EINTR;
		}
		if (r == 0 && slots_is_live(&catalog->slots, slot))
			take(batch, slot);
		if (r == 0 && batch->count == batch->at_once)
			r = flush(batch);
	}
	return r ? r : flush(batch);
}

int assign_all(struct lists *lists, struct lists_work *work)
{
	struct batch batch;
	int r = batch_init(&batch, lists);

	if (r == 0)
		r = assign_slots(&batch, work);
	batch_free(&batch);
	return r;
}

int assign_pending(struct lists *lists, size_t max, const _Atomic bool *stop, size_t *count)
{
	uint32_t slots[POINTS_AT_ONCE];
	uint64_t from = 0;
	struct batch batch;
	int r = batch_init(&batch, lists);

	*count = 0;
	while (r == 0 && *count < max && !atomic_load(stop)) {
		size_t n = cells_next(lists->cells, &from, slots, batch.at_once);

		if (n == 0)
			break;
		sample_fetch(lists->catalog, slots[0], slots[0]);
		for (size_t i = 0; i < n; i++)
			if (batch.pinned != SLOT_NONE && slots[i] <= batch.pinned)
				take(&batch, slots[i]);
		*count += n;
		r = flush(&batch);
	}
	batch_free(&batch);
	return r;
}
