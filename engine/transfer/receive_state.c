#include "engine/transfer/receive_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/error.h"

#define IDS_AT_ONCE 4096u

enum difference {
	SAME,
	OTHER_ATTRIBUTES, /* the same bytes */
	OTHER_BYTES, /* or not there */
	ADDED, /* only in what is live */
};

struct walk {
	struct quiver *store, *view; /* what is live, the snapshot */
	uint8_t *was, *is; /* malloc'd, N bytes each */
	uint64_t common; /* IDs of the snapshot that are live */
	/* What is to be done with one that differs; `attr` is what the snapshot has, NULL of an ADDED one. */
	int (*each)(struct walk *walk, uint64_t id, enum difference kind,
	            const struct quiver_attr *attr);
	uint64_t differ;
	struct quiver_error *error;
};

static bool same_attr(const struct quiver_attr *a, const struct quiver_attr *b)
{
	return a->mtime_ns == b->mtime_ns && a->uid == b->uid && a->gid == b->gid &&
	       a->mode == b->mode;
}

static int say(struct walk *walk, uint64_t id, int r)
{
	if (r == -EIO)
		error_set(walk->error,
		          "vector %" PRIu64 " is damaged; `quiverfs check` lists all faults", id);
	return r == -EIO ? -EUCLEAN : r;
}

/* How one of the snapshot differs in what is live. */
static int judge(struct walk *walk, uint64_t id, enum difference *kind, struct quiver_attr *was)
{
	uint32_t n = quiver_geometry(walk->store)->vector_bytes;
	uint64_t was_lsn, is_lsn;
	struct quiver_attr is;
	int r = quiver_stat(walk->view, id, 0, was, &was_lsn);

	*kind = OTHER_BYTES;
	if (r)
		return say(walk, id, r);
	r = quiver_stat(walk->store, id, 0, &is, &is_lsn);
	if (r == -ENOENT)
		return 0;
	walk->common++;
	if (r == 0 && was_lsn != is_lsn) {
		r = quiver_get_copy(walk->view, id, walk->was, NULL, NULL);
		if (r)
			return say(walk, id, r);
		r = quiver_get_copy(walk->store, id, walk->is, NULL, NULL);
		if (r == 0 && memcmp(walk->was, walk->is, n) != 0)
			return 0;
	}
	/* What is live and damaged is another one. */
	if (r)
		return r == -EIO ? 0 : r;
	*kind = same_attr(was, &is) ? SAME : OTHER_ATTRIBUTES;
	return 0;
}

static int walk_snapshot(struct walk *walk, const uint64_t *ids, int64_t count)
{
	for (int64_t i = 0; i < count; i++) {
		enum difference kind;
		struct quiver_attr was;
		int r = judge(walk, ids[i], &kind, &was);

		if (r == 0 && kind != SAME)
			r = walk->each(walk, ids[i], kind, &was);
		if (r)
			return r;
	}
	return 0;
}

static int walk_live(struct walk *walk, const uint64_t *ids, int64_t count)
{
	for (int64_t i = 0; i < count; i++) {
		int r = quiver_stat(walk->view, ids[i], 0, NULL, NULL);

		if (r == -ENOENT)
			r = walk->each(walk, ids[i], ADDED, NULL);
		if (r)
			return say(walk, ids[i], r);
	}
	return 0;
}

/* All IDs of one of the two, in pieces. */
static int walk_ids(struct walk *walk, struct quiver *of,
                    int (*step)(struct walk *walk, const uint64_t *ids, int64_t count))
{
	uint64_t ids[IDS_AT_ONCE];
	struct quiver_list *list;
	uint64_t position = 0;
	int64_t count = 0;
	int r = quiver_list_open(of, 0, &list);

	if (r)
		return r;
	do {
		count = quiver_list_read(of, list, position, 0, ids, IDS_AT_ONCE);
		r = count < 0 ? (int)count : step(walk, ids, count);
		position += (uint64_t)(count > 0 ? count : 0);
	} while (r == 0 && count > 0);
	quiver_list_close(of, list);
	return r;
}

static int walk_all(struct walk *walk)
{
	uint32_t n = quiver_geometry(walk->store)->vector_bytes;
	uint64_t live = quiver_count(walk->store);
	int r;

	walk->was = malloc(n);
	walk->is = malloc(n);
	r = walk->was && walk->is ? walk_ids(walk, walk->view, walk_snapshot) : -ENOMEM;
	if (r == 0 && live > walk->common)
		r = walk_ids(walk, walk->store, walk_live);
	free(walk->was);
	free(walk->is);
	return r;
}

static int open_view(struct quiver *store, const char *name, struct quiver **view,
                     struct quiver_error *error)
{
	int r = quiver_snapshot_open(store, name, view);

	if (r == -EUCLEAN)
		error_set(error, "snapshot %s is damaged; `quiverfs check` says more", name);
	return r;
}

static int count_one(struct walk *walk, uint64_t id, enum difference kind,
                     const struct quiver_attr *attr)
{
	(void)id;
	(void)kind;
	(void)attr;
	walk->differ++;
	return 0;
}

/* What is live has an LSN of its own from the first change on. */
static int is_untouched(struct quiver *store, const char *name)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct quiver_snapshot snapshot;
	int r = quiver_snapshot_stat(store, name, &snapshot);

	quiver_stats(store, &stats);
	return r ? r : stats.lsn == snapshot.lsn;
}

int state_compare(struct quiver *store, const char *name, struct state_difference *difference,
                  struct quiver_error *error)
{
	struct quiver_description was, is;
	struct quiver_attr was_dir, is_dir;
	struct walk walk = { .store = store, .each = count_one, .error = error };
	int untouched = is_untouched(store, name);
	int c;
	int r = untouched < 0 ? untouched : open_view(store, name, &walk.view, error);

	if (r)
		return r;
	if (!untouched)
		r = walk_all(&walk);
	if (r == 0)
		r = quiver_dir_attr(walk.view, 0, &was_dir);
	if (r == 0)
		r = quiver_dir_attr(store, 0, &is_dir);
	if (r == 0) {
		quiver_describe(walk.view, &was);
		quiver_describe(store, &is);
		*difference = (struct state_difference){
			.vectors = walk.differ,
			.folder = !same_attr(&was_dir, &is_dir),
			.description = was.metric != is.metric || strcmp(was.label, is.label) != 0,
		};
	}
	c = quiver_close(walk.view);
	return r ? r : c;
}

static int put_back(struct walk *walk, uint64_t id, enum difference kind,
                    const struct quiver_attr *attr)
{
	int r;

	if (kind == ADDED)
		return quiver_remove(walk->store, id, 0, NULL);
	if (kind == OTHER_ATTRIBUTES)
		return quiver_set_attr(walk->store, id, attr, QUIVER_ATTR_ALL, 0);
	r = quiver_get_copy(walk->view, id, walk->was, NULL, NULL);
	if (r)
		return say(walk, id, r);
	return quiver_put(walk->store, id, walk->was, attr, QUIVER_ATTR_ALL, 0, NULL);
}

int state_go_back(struct quiver *store, const char *name, struct quiver_error *error)
{
	struct quiver_description description;
	struct quiver_attr dir;
	struct walk walk = { .store = store, .each = put_back, .error = error };
	int c;
	int r = open_view(store, name, &walk.view, error);

	if (r)
		return r;
	r = walk_all(&walk);
	if (r == 0)
		r = quiver_dir_attr(walk.view, 0, &dir);
	if (r == 0)
		r = quiver_set_dir_attr(store, &dir, QUIVER_ATTR_ALL, 0);
	quiver_describe(walk.view, &description);
	if (r == 0)
		r = quiver_set_label(store, description.label, strlen(description.label));
	if (r == 0)
		r = quiver_set_metric(store, description.metric);
	if (r == 0)
		r = quiver_flush(store);
	c = quiver_close(walk.view);
	return r ? r : c;
}
