#include "engine/lists/lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/epoch.h"
#include "engine/base/sizes.h"

#define ROOM_LEAST 14u
/* A list that is full gets room for a quarter more. */
#define ROOM_SHARE 4u

#define GAIN_MAX 1e6 /* more than there can be */

/* Where no run may depend on how fast the machine is they always gain. */
static bool is_measured(void)
{
	return NEAREST_INDEX_HELPS > 0;
}

struct list_slots {
	struct list_slots *next; /* among those that were replaced */
	uint32_t room;
	_Atomic uint32_t count; /* those before it are written */
	uint32_t slots[];
};

static size_t bytes_of(uint32_t room)
{
	return sizeof(struct list_slots) + room * sizeof(uint32_t);
}

struct lists *lists_create(struct catalog *catalog, const struct nearest_page *page,
                           float *centroids)
{
	struct lists *lists = calloc(1, sizeof(*lists));
	struct slots_counts counts;

	if (!lists)
		return NULL;
	slots_counts(&catalog->slots, &counts);
	lists->catalog = catalog;
	lists->page = *page;
	lists->cells = cells_create(catalog->columns.rows_max, counts.rows);
	lists->lists = calloc(page->rows, sizeof(*lists->lists));
	lists->seen = calloc(LISTS_PARTS_SEEN, sizeof(*lists->seen));
	lists->memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	if (!lists->cells || !lists->lists || !lists->seen ||
	    points_init(&lists->points, page->metric, page->dtype, page->dim, page->norm_max) !=
	            0) {
		lists_free(lists);
		return NULL;
	}
	lists->centroids = centroids;
	lists_go_by(lists);
	atomic_init(&lists->memory_bytes,
	            page->rows * (page->width * sizeof(float) + sizeof(*lists->lists)));
	return lists;
}

void lists_free(struct lists *lists)
{
	if (!lists)
		return;
	lists->is_shared = false;
	lists_settle(lists);
	for (uint64_t i = 0; lists->lists && i < lists->page.rows; i++)
		free(atomic_load(&lists->lists[i]));
	free(lists->lists);
	free((void *)(uintptr_t)lists->seen);
	cells_free(lists->cells);
	free(lists->centroids);
	free(lists);
}

void lists_go_by(struct lists *lists)
{
	const struct nearest_page *page = &lists->page;
	double gain = page->index_ms > 0 ? page->exact_ms / page->index_ms : GAIN_MAX;

	if (gain > GAIN_MAX || !is_measured())
		gain = GAIN_MAX;
	for (size_t i = 0; i < NEAREST_PROBES; i++)
		atomic_store(&lists->probes[i], page->probes[i]);
	atomic_store(&lists->gain_percent, (uint64_t)(gain * 100));
}

int lists_watch(struct lists *lists)
{
	struct cells_watched *watched = &lists->catalog->cells;
	int r = -EBUSY;

	pthread_mutex_lock(&lists->catalog->publish_lock);
	for (unsigned i = 0; r && i < CELLS_WATCHED; i++)
		if (!atomic_load(&watched->cells[i])) {
			atomic_store(&watched->cells[i], lists->cells);
			r = 0;
		}
	pthread_mutex_unlock(&lists->catalog->publish_lock);
	return r;
}

void lists_unwatch(struct lists *lists)
{
	struct cells_watched *watched = &lists->catalog->cells;

	pthread_mutex_lock(&lists->catalog->publish_lock);
	for (unsigned i = 0; i < CELLS_WATCHED; i++)
		if (atomic_load(&watched->cells[i]) == lists->cells)
			atomic_store(&watched->cells[i], NULL);
	pthread_mutex_unlock(&lists->catalog->publish_lock);
}

static int compare_slots(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Those that count, each once and ascending; how many. */
static uint32_t keep_counting(const struct lists *lists, uint32_t list, uint32_t *slots,
                              uint32_t count)
{
	uint32_t n = 0, kept = 0;

	for (uint32_t i = 0; i < count; i++)
		if (cells_of(lists->cells, slots[i]) == list + 1)
			slots[n++] = slots[i];
	qsort(slots, n, sizeof(*slots), compare_slots);
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || slots[kept - 1] != slots[i])
			slots[kept++] = slots[i];
	return kept;
}

/* Another place for a list that is full. */
static int make_room(struct lists *lists, uint32_t list)
{
	struct list_slots *old = atomic_load(&lists->lists[list]), *anew;
	uint32_t count = old ? atomic_load(&old->count) : 0;
	uint32_t room = count + count / ROOM_SHARE + ROOM_LEAST;

	anew = malloc(bytes_of(room));
	if (!anew)
		return -ENOMEM;
	if (count > 0)
		memcpy(anew->slots, old->slots, count * sizeof(*old->slots));
	atomic_init(&anew->count, keep_counting(lists, list, anew->slots, count));
	anew->room = room;
	anew->next = NULL;
	atomic_store_explicit(&lists->lists[list], anew, memory_order_release);
	atomic_fetch_add(&lists->memory_bytes, bytes_of(room));
	if (!old)
		return 0;
	old->next = lists->former;
	lists->former = old;
	return 0;
}

int lists_put(struct lists *lists, uint64_t slot, uint32_t was, uint32_t list)
{
	struct list_slots *slots = atomic_load(&lists->lists[list]);
	uint32_t count;
	int r = 0;

	if (!slots || atomic_load(&slots->count) == slots->room)
		r = make_room(lists, list);
	if (r)
		return r;
	slots = atomic_load(&lists->lists[list]);
	count = atomic_load(&slots->count);
	slots->slots[count] = (uint32_t)slot;
	atomic_store_explicit(&slots->count, count + 1, memory_order_release);
	/* Else it is another's by now, and this one is passed over. */
	(void)cells_put(lists->cells, slot, was, list + 1);
	return 0;
}

void lists_settle(struct lists *lists)
{
	struct list_slots *former = lists->former;

	if (former && lists->is_shared)
		epoch_wait();
	lists->former = NULL;
	while (former) {
		struct list_slots *next = former->next;

		atomic_fetch_sub(&lists->memory_bytes, bytes_of(former->room));
		free(former);
		former = next;
	}
}

/* In an epoch section: how many there are room for, or how many there are where that is more. */
static size_t copy_counting(const struct lists *lists, uint32_t list, uint32_t *to, size_t room,
                            size_t *kept)
{
	const struct list_slots *slots =
		atomic_load_explicit(&lists->lists[list], memory_order_acquire);
	uint32_t count = slots ? atomic_load_explicit(&slots->count, memory_order_acquire) : 0;

	*kept = 0;
	if (count > room)
		return count;
	for (uint32_t i = 0; i < count; i++)
		if (cells_of(lists->cells, slots->slots[i]) == list + 1)
			to[(*kept)++] = slots->slots[i];
	return count;
}

int64_t lists_slots(const struct lists *lists, uint32_t list, uint32_t **slots, size_t *room)
{
	for (;;) {
		size_t kept, count;

		epoch_enter();
		count = copy_counting(lists, list, *slots, *room, &kept);
		epoch_leave();
		if (count <= *room)
			return (int64_t)kept;
		free(*slots);
		*room = 0;
		*slots = malloc((count + count / ROOM_SHARE) * sizeof(**slots));
		if (!*slots)
			return -ENOMEM;
		*room = count + count / ROOM_SHARE;
	}
}
