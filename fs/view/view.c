/* view.c - the nodes of views that the kernel knows, and who has them open. */
#include "fs/view/view.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/base/charge.h"
#include "fs/base/clock.h"
#include "fs/vector/node.h"

#define BUCKETS 16384u
/* Lengths of texts that are remembered: a look at a file asks for its length two or three
 * times, and it takes all of the text to tell. */
#define SIZES 1024u

struct known_size {
	uint64_t id;
	uint64_t lsn; /* 0: none */
	size_t size;
};

struct views {
	pthread_mutex_t lock;
	struct view *inos[BUCKETS]; /* lock */
	struct view *newest, *oldest; /* lock; of those without users */
	unsigned idle; /* lock; how many they are */
	uint64_t next; /* lock; number of the next node */
	struct known_size sizes[SIZES]; /* lock */
};

int views_new(struct views **views)
{
	struct views *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&v->lock, NULL); /* cannot fail with default attributes */
	/* Numbers of an earlier mount live on in file handles: begin elsewhere. */
	v->next = ((uint64_t)clock_now_ns() >> 10) % TREE_VIEW_COUNT;
	*views = v;
	return 0;
}

static void free_handle(struct fs *fs, struct view_handle *h)
{
	if (h->vector != NULL)
		node_close(fs, h->vector);
	pthread_mutex_destroy(&h->lock);
	charge_give(fs, CHARGE_VIEW_BYTES, h->uid, h->room);
	free(h->bytes);
	free(h);
}

void views_free(struct fs *fs, struct views *views)
{
	if (views == NULL)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct view *next_view;

		for (struct view *view = views->inos[i]; view != NULL; view = next_view) {
			struct view_handle *next;

			next_view = view->by_ino;
			for (struct view_handle *h = view->handles; h != NULL; h = next) {
				next = h->next;
				free_handle(fs, h);
			}
			free(view);
		}
	}
	pthread_mutex_destroy(&views->lock);
	free(views);
}

void views_lock(struct fs *fs)
{
	pthread_mutex_lock(&fs->views->lock);
}

void views_unlock(struct fs *fs)
{
	pthread_mutex_unlock(&fs->views->lock);
}

/* ---- the table; the caller holds the lock ---- */

static struct view **view_bucket(struct views *views, uint64_t ino)
{
	return &views->inos[ino % BUCKETS];
}

static struct view *find(struct views *views, uint64_t ino)
{
	struct view *view = *view_bucket(views, ino);

	while (view != NULL && view->ino != ino)
		view = view->by_ino;
	return view;
}

/* Put a view that has lost its last user at the end of the list. */
static void make_idle(struct views *views, struct view *view)
{
	view->newer = NULL;
	view->older = views->newest;
	if (views->newest != NULL)
		views->newest->newer = view;
	else
		views->oldest = view;
	views->newest = view;
	views->idle++;
}

static void make_busy(struct views *views, struct view *view)
{
	if (view->newer != NULL)
		view->newer->older = view->older;
	else
		views->newest = view->older;
	if (view->older != NULL)
		view->older->newer = view->newer;
	else
		views->oldest = view->newer;
	views->idle--;
}

/* Free a view that has no users and is on no list. */
static void drop(struct views *views, struct view *view)
{
	struct view **p = view_bucket(views, view->ino);

	while (*p != view)
		p = &(*p)->by_ino;
	*p = view->by_ino;
	free(view);
}

int view_add(struct fs *fs, uint64_t id, enum tree_form form, const struct quiver_attr *attr,
             struct view **view)
{
	struct views *views = fs->views;
	bool same = form == TREE_FORM_SAME;
	struct view *v = calloc(1, sizeof(*v) + (same ? sizeof(v->found[0]) : 0));

	if (v == NULL)
		return -ENOMEM;
	if (same)
		v->found[0] = *attr;
	v->id = id;
	v->form = form;
	v->lookups = 1;
	v->users = 1;
	views_lock(fs);
	do {
		v->ino = TREE_VIEW_BASE + views->next;
		views->next = (views->next + 1) % TREE_VIEW_COUNT;
	} while (find(views, v->ino) != NULL);
	v->by_ino = *view_bucket(views, v->ino);
	*view_bucket(views, v->ino) = v;
	if (views->idle >= VIEWS_MAX) {
		struct view *oldest = views->oldest;

		make_busy(views, oldest);
		drop(views, oldest);
	}
	views_unlock(fs);
	*view = v;
	return 0;
}

struct view *view_get(struct fs *fs, uint64_t ino)
{
	struct view *view;

	views_lock(fs);
	view = find(fs->views, ino);
	if (view != NULL && view->users++ == 0)
		make_busy(fs->views, view);
	views_unlock(fs);
	return view;
}

/* One user less. The caller holds the lock. */
static void put(struct views *views, struct view *view)
{
	if (--view->users > 0)
		return;
	if (view->lookups > 0)
		make_idle(views, view);
	else
		drop(views, view);
}

void view_put(struct fs *fs, struct view *view)
{
	views_lock(fs);
	put(fs->views, view);
	views_unlock(fs);
}

void view_looked_up(struct fs *fs, struct view *view)
{
	views_lock(fs);
	view->lookups++;
	views_unlock(fs);
}

void view_forget(struct fs *fs, fuse_ino_t ino, uint64_t count)
{
	struct views *views = fs->views;
	struct view *view;

	views_lock(fs);
	view = find(views, ino);
	if (view != NULL) {
		view->lookups -= count < view->lookups ? count : view->lookups;
		if (view->lookups == 0 && view->users == 0) {
			make_busy(views, view);
			drop(views, view);
		}
	}
	views_unlock(fs);
}

/* ---- handles ---- */

void view_attach(struct fs *fs, struct view_handle *h)
{
	views_lock(fs);
	h->next = h->view->handles;
	h->view->handles = h;
	views_unlock(fs);
}

void view_detach(struct fs *fs, struct view_handle *h)
{
	struct view_handle **p;

	views_lock(fs);
	for (p = &h->view->handles; *p != h; p = &(*p)->next)
		;
	*p = h->next;
	put(fs->views, h->view);
	views_unlock(fs);
	free_handle(fs, h);
}

struct view_handle *view_pick(const struct view *view, pid_t tid)
{
	struct view_handle *newest = NULL;

	for (struct view_handle *h = view->handles; h != NULL; h = h->next) {
		if (h->vector == NULL)
			continue;
		if (tid != 0 && h->tid == tid)
			return h;
		if (newest == NULL)
			newest = h;
	}
	return newest != NULL ? newest : view->handles;
}

/* ---- lengths ---- */

static struct known_size *size_place(struct views *views, uint64_t id, uint64_t lsn)
{
	return &views->sizes[(id * UINT64_C(0x9E3779B97F4A7C15) + lsn) % SIZES];
}

bool view_known_size(struct fs *fs, uint64_t id, uint64_t lsn, size_t *size)
{
	const struct known_size *known = size_place(fs->views, id, lsn);
	bool found;

	views_lock(fs);
	found = known->lsn == lsn && known->id == id;
	*size = known->size;
	views_unlock(fs);
	return found;
}

void view_remember_size(struct fs *fs, uint64_t id, uint64_t lsn, size_t size)
{
	views_lock(fs);
	*size_place(fs->views, id, lsn) = (struct known_size){ id, lsn, size };
	views_unlock(fs);
}
