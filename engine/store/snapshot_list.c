/* Listings of a snapshot: nothing comes or goes, so all who list share one copy. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/index/snapshot_read.h"
#include "engine/store/snapshot_view.h"

/* Room for one more ID. */
static struct quiver_list *make_room(struct quiver_list *list, uint64_t *room)
{
	uint64_t more = *room + *room / 2 + 64;
	struct quiver_list *larger;

	if (list->count < *room)
		return list;
	larger = realloc(list, sizeof(*list) + more * sizeof(list->ids[0]));
	if (!larger) {
		free(list);
		return NULL;
	}
	*room = more;
	return larger;
}

static void report_row(struct snapshot_view *view, struct quiver_list *list, uint64_t id,
                       uint64_t slot, int r)
{
	list->damaged++;
	(void)catalog_row_error(view->catalog, id, slot, r); /* the list does without it */
}

/* All of them, in slot order; NULL there is no memory. No lock held. */
static struct quiver_list *make_list(struct snapshot_view *view)
{
	/* As many as its file says, unless that is damaged. */
	uint64_t room = view->page.count < view->rows_end ? view->page.count : view->rows_end;
	struct quiver_list *list = malloc(sizeof(*list) + room * sizeof(list->ids[0]));

	if (!list)
		return NULL;
	memset(list, 0, sizeof(*list));
	list->users = 1;
	for (uint64_t slot = 0; list && slot < view->rows_end; slot++) {
		uint64_t id = QUIVER_ID_NONE;
		int r = snapshot_id(view->catalog, view->page.lsn, slot, &id);

		if (r == -ENOENT)
			continue;
		if (r) {
			report_row(view, list, id, slot, r);
			continue;
		}
		list = make_room(list, &room);
		if (list)
			list->ids[list->count++] = id;
	}
	if (list && list->count + list->damaged < view->page.count)
		atomic_store(&view->lacks, true);
	if (list && list->damaged == 0 && list->count != view->page.count)
		report_add(view->head.report,
		           "snapshot %s: found %zu vectors, expected %" PRIu64
		           "; `quiverfs check` says what is damaged",
		           view->name, list->count, view->page.count);
	return list;
}

/* The copy that there is, with one user more, or NULL. */
static struct quiver_list *share(struct snapshot_view *view)
{
	struct quiver_list *list;

	pthread_mutex_lock(&view->list_lock);
	list = view->list;
	if (list)
		list->users++;
	pthread_mutex_unlock(&view->list_lock);
	return list;
}

/* One that was made at the same time is as good. */
static struct quiver_list *offer(struct snapshot_view *view, struct quiver_list *list)
{
	struct quiver_list *other;

	pthread_mutex_lock(&view->list_lock);
	other = view->list;
	if (other)
		other->users++;
	else
		view->list = list;
	pthread_mutex_unlock(&view->list_lock);
	if (!other)
		return list;
	free(list);
	return other;
}

/* As of a listing of the store itself. */
static bool would_wait(struct snapshot_view *view)
{
	return view->rows_end > RESIDENCY_ROWS_MAX ||
	       !residency_has_rows(&view->catalog->columns, view->rows_end);
}

int snapshot_list_open(struct quiver *store, unsigned flags, struct quiver_list **list)
{
	struct snapshot_view *view = snapshot_view_of(store);

	*list = share(view);
	if (*list)
		return 0;
	if ((flags & QUIVER_NOWAIT) && would_wait(view))
		return -EAGAIN;
	*list = make_list(view);
	if (!*list)
		return -ENOMEM;
	*list = offer(view, *list);
	return 0;
}

int64_t snapshot_list_read(struct quiver *store, struct quiver_list *list, uint64_t position,
                           unsigned flags, uint64_t *ids, size_t max)
{
	/* All of it is in memory. */
	return catalog_list_read(snapshot_view_of(store)->catalog, list, position, flags, ids, max);
}

uint64_t snapshot_list_count(struct quiver *store, const struct quiver_list *list)
{
	(void)store;
	return list->count;
}

void snapshot_list_close(struct quiver *store, struct quiver_list *list)
{
	struct snapshot_view *view = snapshot_view_of(store);
	bool last;

	pthread_mutex_lock(&view->list_lock);
	last = --list->users == 0;
	if (last && view->list == list)
		view->list = NULL;
	pthread_mutex_unlock(&view->list_lock);
	if (last)
		free(list);
}
