/* snapshots.c - the snapshots that somebody looks at, and the views of those that are open. */
#include "fs/snapshot/snapshots.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attr.h"
#include "fs/base/clock.h"
#include "fs/base/node_ops.h"
#include "fs/base/refuse.h"
#include "fs/base/tree.h"
#include "fs/snapshot/snapshot_view.h"

#define BUCKETS 4096u

struct snapshots {
	struct fs *fs; /* constant */
	pthread_cond_t opened; /* inside's lock; `opening` of one has ended */
	struct snapshot *first; /* inside's lock; of all */
	struct snapshot *names[BUCKETS]; /* inside's lock */
	struct snapshot *newest, *oldest; /* inside's lock; open and not used */
	unsigned idle; /* inside's lock; how many they are */
	unsigned open; /* inside's lock; views there are, or are being opened */
	uint64_t serial; /* inside's lock; of the next */
	_Atomic int64_t mtime_ns;
};

/* ---- attributes ---- */

/* Of its name (FNV-1a): a backup that each time makes a snapshot of the same name, and looks at inode
 * numbers, sees what has changed and not all. */
static uint64_t key_of(const struct quiver_snapshot *snapshot)
{
	uint64_t key = UINT64_C(0xCBF29CE484222325);

	for (const char *c = snapshot->name; *c; c++)
		key = (key ^ (unsigned char)*c) * UINT64_C(0x100000001B3);
	return key != 0 ? key : 1;
}

uint64_t snapshot_inode(const struct quiver_snapshot *snapshot)
{
	const struct fs fs = { .inode_key = key_of(snapshot) };

	return attr_inode(&fs, TREE_ROOT);
}

void snapshot_stat(struct fs *fs, struct snapshot *snapshot, struct stat *st)
{
	bool removed;

	inside_lock(fs->inside);
	removed = snapshot->removed;
	inside_unlock(fs->inside);
	memset(st, 0, sizeof(*st));
	st->st_ino = snapshot_inode(&snapshot->is);
	st->st_mode = S_IFDIR | 0755;
	st->st_nlink = removed ? 0 : 5; /* ".", its name, vectors/, control/ and nearest/ */
	st->st_uid = fs->owner_uid;
	st->st_gid = fs->owner_gid;
	st->st_blksize = ATTR_DIR_BLOCK_BYTES;
	attr_set_times(st, snapshot->is.created_ns, snapshot->is.created_ns);
}

int snapshot_entry(struct fs *fs, struct snapshot *snapshot, struct fuse_entry_param *entry)
{
	memset(entry, 0, sizeof(*entry));
	snapshot_stat(fs, snapshot, &entry->attr);
	entry->entry_timeout = entry->attr_timeout = FS_CACHE_SECONDS;
	return inside_give(fs->inside, &snapshot->guest, TREE_ROOT, &entry->ino,
	                   &entry->generation);
}

int64_t snapshots_mtime(const struct snapshots *snapshots)
{
	return atomic_load(&snapshots->mtime_ns);
}

void snapshots_changed(struct snapshots *snapshots)
{
	atomic_store(&snapshots->mtime_ns, clock_now_ns());
}

/* ---- the list of those that are open and not used; inside's lock is held ---- */

static bool is_listed(const struct snapshots *all, const struct snapshot *snapshot)
{
	return snapshot->newer != NULL || all->newest == snapshot;
}

static void list(struct snapshots *all, struct snapshot *snapshot)
{
	snapshot->newer = NULL;
	snapshot->older = all->newest;
	if (all->newest != NULL)
		all->newest->newer = snapshot;
	else
		all->oldest = snapshot;
	all->newest = snapshot;
	all->idle++;
}

static void unlist(struct snapshots *all, struct snapshot *snapshot)
{
	if (snapshot->newer != NULL)
		snapshot->newer->older = snapshot->older;
	else
		all->newest = snapshot->older;
	if (snapshot->older != NULL)
		snapshot->older->newer = snapshot->newer;
	else
		all->oldest = snapshot->newer;
	snapshot->newer = snapshot->older = NULL;
	all->idle--;
}

/* Have it closed. Inside's lock is held. */
static void begin_closing(struct snapshots *all, struct snapshot *snapshot)
{
	struct snapshot_view *view = snapshot->view;

	snapshot->view = NULL;
	all->open--;
	snapshot_view_close(all->fs, view);
}

/* ---- names; inside's lock is held ---- */

static struct snapshot **bucket_of(struct snapshots *all, const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return &all->names[hash % BUCKETS];
}

static void take_name(struct snapshots *all, struct snapshot *snapshot)
{
	struct snapshot **p = bucket_of(all, snapshot->is.name);

	while (*p != snapshot)
		p = &(*p)->next;
	*p = snapshot->next;
	snapshot->next = NULL;
}

/* It has no users, or no nodes any more; look what it is kept for. */
static void settle(struct snapshots *all, struct snapshot *snapshot)
{
	if (snapshot->guest.users > 0)
		return;
	if (snapshot->view != NULL && !snapshot->removed) {
		if (!is_listed(all, snapshot))
			list(all, snapshot);
		return;
	}
	if (snapshot->view != NULL)
		begin_closing(all, snapshot);
	if (snapshot->guest.known > 0)
		return;
	if (!snapshot->removed)
		take_name(all, snapshot);
	*snapshot->back = snapshot->after;
	if (snapshot->after != NULL)
		snapshot->after->back = snapshot->back;
	free(snapshot);
}

/* Where the kernel opens by itself nobody tells whether its views are open, and with its fs they would
 * go (view.h). */
static bool may_be_in_use(const struct snapshots *all, const struct snapshot *snapshot)
{
	return all->fs->no_open && snapshot->guest.views > 0;
}

/* Close what has not been used for longest, if there is more than `idle_max`; where that is 0, whatever
 * the kernel has of it. */
static void trim(struct snapshots *all, unsigned idle_max)
{
	struct snapshot *oldest = all->oldest;

	while (idle_max > 0 && oldest != NULL && may_be_in_use(all, oldest))
		oldest = oldest->newer;
	if (all->idle <= idle_max || oldest == NULL)
		return;
	unlist(all, oldest);
	begin_closing(all, oldest);
	settle(all, oldest);
}

static void mark_removed(struct snapshots *all, struct snapshot *snapshot)
{
	take_name(all, snapshot);
	snapshot->removed = true;
	if (is_listed(all, snapshot))
		unlist(all, snapshot);
	settle(all, snapshot);
}

/* Of inside.c: a guest has no users or no nodes any more. */
static void unused(void *arg, struct guest *guest)
{
	struct snapshots *all = arg;

	settle(all, (struct snapshot *)(void *)guest);
	trim(all, SNAPSHOTS_IDLE_MAX);
}

/* ---- snapshots ---- */

static void use(struct snapshots *all, struct snapshot *snapshot)
{
	if (is_listed(all, snapshot))
		unlist(all, snapshot);
	snapshot->guest.users++;
}

static bool is_same(const struct quiver_snapshot *a, const struct quiver_snapshot *b)
{
	return strcmp(a->name, b->name) == 0 && a->lsn == b->lsn &&
	       a->created_ns == b->created_ns && memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0;
}

/* The one of that name, or NULL. */
static struct snapshot *find(struct snapshots *all, const char *name)
{
	struct snapshot *snapshot = *bucket_of(all, name);

	while (snapshot != NULL && strcmp(snapshot->is.name, name) != 0)
		snapshot = snapshot->next;
	return snapshot;
}

/* A new one that `found` tells of, or NULL. */
static struct snapshot *add(struct snapshots *all, const struct quiver_snapshot *found)
{
	struct snapshot **bucket = bucket_of(all, found->name);
	struct snapshot *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->is = *found;
	s->inode_key = key_of(found);
	s->guest.serial = all->serial++;
	s->next = *bucket;
	*bucket = s;
	s->back = &all->first;
	s->after = all->first;
	if (s->after != NULL)
		s->after->back = &s->after;
	all->first = s;
	return s;
}

int snapshots_get(struct fs *fs, const struct quiver_snapshot *found, struct snapshot **snapshot)
{
	struct snapshots *all = fs->snapshots;
	struct snapshot *s;

	inside_lock(fs->inside);
	s = find(all, found->name);
	if (s != NULL && !is_same(&s->is, found)) { /* not by way of the mount */
		mark_removed(all, s);
		s = NULL;
	}
	if (s == NULL)
		s = add(all, found);
	if (s != NULL)
		use(all, s);
	inside_unlock(fs->inside);
	*snapshot = s;
	return s != NULL ? 0 : -ENOMEM;
}

static void put(struct snapshots *all, struct snapshot *snapshot)
{
	if (--snapshot->guest.users == 0)
		unused(all, &snapshot->guest);
}

void snapshot_put(struct fs *fs, struct snapshot *snapshot)
{
	inside_lock(fs->inside);
	put(fs->snapshots, snapshot);
	inside_unlock(fs->inside);
}

void snapshots_removed(struct fs *fs, const char *name)
{
	struct snapshot *snapshot;

	inside_lock(fs->inside);
	snapshot = find(fs->snapshots, name);
	if (snapshot != NULL)
		mark_removed(fs->snapshots, snapshot);
	inside_unlock(fs->inside);
}

/* ---- visits ---- */

/* Why one cannot be opened, in words that say what to do. `fits`: there is room for one more. */
static const char *why_not_opened(int err, bool fits)
{
	if (!fits)
		return "files are open in 1,024 other snapshots already";
	return err == -EUCLEAN ? "its file is damaged; rmdir(1) removes it, and `quiverfs check "
	                         "--repair` moves it to lost+found"
	                       : quiver_strerror(err);
}

/* Open it, or wait until who is about it has. The caller counts as a user, and holds inside's lock, but
 * not meanwhile. */
static int open_snapshot(struct fs *fs, struct snapshot *snapshot)
{
	struct snapshots *all = fs->snapshots;
	struct snapshot_view *view = NULL;
	bool fits;
	int err;

	/* By name: another may have it by now, but then this one is known to be removed. */
	snapshot->opening = true;
	if (all->open >= SNAPSHOTS_OPEN_MAX)
		trim(all, 0);
	fits = all->open < SNAPSHOTS_OPEN_MAX;
	all->open += fits;
	inside_unlock(fs->inside);
	err = fits ? snapshot_view_new(fs, &snapshot->is, &snapshot->guest, snapshot->inode_key,
	                               &view)
	           : -ENFILE;
	if (err != 0 && err != -ENOENT)
		(void)refuse(fs, err, "snapshots/%s: cannot be opened: %s", snapshot->is.name,
		             why_not_opened(err, fits));
	inside_lock(fs->inside);
	snapshot->opening = false;
	all->open -= fits && err != 0;
	pthread_cond_broadcast(&all->opened);
	if (err == 0) {
		snapshot->view = view;
		snapshot->guest.openings++;
	}
	if (err == 0 && snapshot->removed) {
		begin_closing(all, snapshot);
		err = -ENOENT;
	}
	return err == -ENOENT ? -ESTALE : err;
}

/* Likewise. */
static int have_view(struct fs *fs, struct snapshot *snapshot, bool may_wait)
{
	int err = 0;

	while (err == 0 && snapshot->view == NULL) {
		if (snapshot->removed)
			err = -ESTALE;
		else if (!may_wait)
			err = -EAGAIN;
		else if (snapshot->opening)
			pthread_cond_wait(&fs->snapshots->opened, inside_mutex(fs->inside));
		else
			err = open_snapshot(fs, snapshot);
	}
	return err;
}

int visit_begin(struct fs *fs, uint64_t outer, enum visit_kind kind, bool may_wait,
                struct visit *visit)
{
	struct snapshot *snapshot;
	struct guest *guest;
	int err = 0;

	inside_lock(fs->inside);
	if (!inside_find(fs->inside, outer, &guest, &visit->ino)) {
		inside_unlock(fs->inside);
		return -ESTALE;
	}
	snapshot = (struct snapshot *)(void *)guest;
	use(fs->snapshots, snapshot);
	if (snapshot->removed && kind == VISIT_NEW)
		err = -ESTALE;
	else if (snapshot->view == NULL && tree_is_fleeting(visit->ino))
		err = -ESTALE; /* it went with the fs that it was of */
	else if (kind != VISIT_FOLDER || visit->ino != TREE_ROOT)
		err = have_view(fs, snapshot, may_wait);
	visit->snapshot = snapshot;
	visit->fs = snapshot->view != NULL ? &snapshot->view->fs : NULL;
	if (err != 0)
		put(fs->snapshots, snapshot);
	inside_unlock(fs->inside);
	return err;
}

void visit_end(struct fs *fs, struct visit *visit)
{
	snapshot_put(fs, visit->snapshot);
}

void snapshots_forget(struct fs *fs, fuse_ino_t outer, uint64_t count)
{
	struct snapshot *snapshot = NULL;
	struct guest *guest;
	uint64_t ino;

	inside_lock(fs->inside);
	if (inside_find(fs->inside, outer, &guest, &ino) && tree_is_fleeting(ino)) {
		snapshot = (struct snapshot *)(void *)guest;
		if (snapshot->view != NULL)
			use(fs->snapshots, snapshot);
		else
			snapshot = NULL;
	}
	inside_unlock(fs->inside);
	if (snapshot != NULL) {
		fs->kinds[tree_class(ino)]->forget(&snapshot->view->fs, ino, count);
		snapshot_put(fs, snapshot);
	}
	inside_forget(fs->inside, outer, count);
}

/* ---- life ---- */

static int newest_of(struct fs *fs, int64_t *ns)
{
	struct quiver_snapshot *list = NULL;
	size_t count = 0;
	int err = quiver_snapshots(fs->store, &list, &count);

	*ns = fs->fixed_mtime_ns;
	for (size_t i = 0; err == 0 && i < count; i++)
		*ns = list[i].created_ns > *ns ? list[i].created_ns : *ns;
	free(list);
	return err;
}

int snapshots_new(struct fs *fs, struct snapshots **snapshots)
{
	struct snapshots *all = calloc(1, sizeof(*all));
	int64_t mtime_ns;
	int err;

	if (all == NULL)
		return -ENOMEM;
	all->fs = fs;
	(void)pthread_cond_init(&all->opened, NULL); /* cannot fail with default attributes */
	err = newest_of(fs, &mtime_ns);
	if (err == 0)
		err = inside_new(unused, all, &fs->inside);
	if (err != 0) {
		pthread_cond_destroy(&all->opened);
		free(all);
		return err;
	}
	atomic_init(&all->mtime_ns, mtime_ns);
	*snapshots = all;
	return 0;
}

void snapshots_free(struct fs *fs, struct snapshots *snapshots)
{
	struct snapshot *next;

	if (snapshots == NULL)
		return;
	for (struct snapshot *snapshot = snapshots->first; snapshot != NULL; snapshot = next) {
		next = snapshot->after;
		if (snapshot->view != NULL)
			snapshot_view_free(snapshot->view);
		free(snapshot);
	}
	inside_free(fs->inside);
	fs->inside = NULL;
	pthread_cond_destroy(&snapshots->opened);
	free(snapshots);
}
