/*
 * listing.c - reading directories.
 *
 * The kernel asks for entries with attributes (READDIRPLUS), and keeps about 1.2 KB for each
 * that it gets, until it wants the memory back: much, where somebody wants names alone. A
 * lookup that it has to send instead costs three times what the attributes here do. So the first
 * names come with attributes, but for one here and there, the probes; once those are looked up,
 * all that follow have them, and else none (the node number 0 tells the kernel to keep nothing).
 * Where nobody looked up the probes of one listing, the next begins without attributes. The
 * kernel's own way (AUTO) is to give them in the one answer after a lookup; programs that read
 * 100,000 names before they look up the first, as find does, get next to nothing from it.
 */
#include "fs/folder/listing.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/caller.h"
#include "fs/base/charge.h"
#include "fs/base/handoff.h"
#include "fs/base/inside.h"
#include "fs/base/node_ops.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/scratch/scratch.h"
#include "fs/vector/vector_attr.h"

/* IDs taken out of the store's listing at a time. */
#define IDS_AT_ONCE 128u

/* Names that come with attributes whoever asks: what fts(3), and so find and du, reads at once,
 * and a little more. The kernel then keeps at most 160 MB. */
#define ATTRIBUTES_FIRST 131072u
/* One ID in two to this power is a probe. */
#define PROBE_BITS 6u
/* So many of the probes looked up are a sign that all will be... */
#define LOOKED_UP_SHARE 2u /* one in */
/* ...but not of fewer, which others may have looked up. */
#define PROBES_MIN 8u

/* Offsets 0 and 1 are "." and "..". */
#define DOTS 2u

struct listing {
	struct handoff handoff;
	pthread_mutex_t lock;
	bool taken; /* lock; the copies below were made */
	uid_t uid; /* constant; who opened it */
	struct quiver *store; /* that `ids` is of */
	struct quiver_list *ids; /* lock; shared with other listings by the store */
	struct copy *copy; /* lock; of `ids` */
	uint64_t count; /* lock; of them */
	uint64_t *scratch; /* lock; nodes */
	size_t scratch_count; /* lock */
	uint64_t probes; /* lock; passed since the start */
	uint64_t lookups; /* lock; fs->probe_lookups at the start */
	bool names_only; /* lock; nobody wanted the attributes of the one before */
	bool looked_up; /* lock; so attributes are wanted */
};

/* A copy of the IDs that listings of one user have, for which he is charged. */
struct copy {
	const struct quiver_list *ids;
	uid_t uid;
	uint64_t bytes;
	unsigned listings;
	struct copy *next;
};

#define COPY_BUCKETS 1024u

/* All there are, of every mount in the process. */
static pthread_mutex_t copies_lock = PTHREAD_MUTEX_INITIALIZER;
static struct copy *copies[COPY_BUCKETS]; /* copies_lock; by `ids` */

/* One READDIR or READDIRPLUS being answered. */
struct page {
	struct attempt attempt;
	struct listing *listing; /* NULL for root and control/ */
	fuse_ino_t dir;
	uint64_t offset; /* of the next entry */
	bool plus;
	unsigned flags; /* for calls of the store */
	char *data;
	size_t used, size;
	uint64_t *given; /* in a snapshot with attributes: nodes that the kernel gets to know */
	size_t given_count;
};

static struct copy **copy_bucket(const struct quiver_list *ids)
{
	return &copies[((uintptr_t)ids >> 5) % COPY_BUCKETS];
}

/* One listing more of `uid` has `ids`, of `bytes`. -EDQUOT and -ENOSPC, told; -ENOMEM. */
static int copy_hold(struct fs *fs, uid_t uid, const struct quiver_list *ids, uint64_t bytes,
                     struct copy **held)
{
	struct copy **bucket = copy_bucket(ids), *copy;
	int err = 0;

	pthread_mutex_lock(&copies_lock);
	for (copy = *bucket; copy != NULL; copy = copy->next) {
		if (copy->ids == ids && copy->uid == uid)
			break;
	}
	if (copy == NULL) {
		copy = calloc(1, sizeof(*copy));
		err = copy != NULL ? charge_take(fs, CHARGE_LISTING_BYTES, uid, bytes) : -ENOMEM;
		if (err != 0) {
			free(copy);
			goto out;
		}
		*copy = (struct copy){ .ids = ids, .uid = uid, .bytes = bytes, .next = *bucket };
		*bucket = copy;
	}
	copy->listings++;
	*held = copy;

out:
	pthread_mutex_unlock(&copies_lock);
	if (err == -EDQUOT || err == -ENOSPC)
		return charge_refuse(fs, "vectors/", CHARGE_LISTING_BYTES, uid, bytes, err);
	return err;
}

/* One less; NULL is allowed. Before the IDs are given back. */
static void copy_drop(struct fs *fs, struct copy *copy)
{
	struct copy **p;

	if (copy == NULL)
		return;
	pthread_mutex_lock(&copies_lock);
	if (--copy->listings == 0) {
		for (p = copy_bucket(copy->ids); *p != copy; p = &(*p)->next)
			;
		*p = copy->next;
		charge_give(fs, CHARGE_LISTING_BYTES, copy->uid, copy->bytes);
		free(copy);
	}
	pthread_mutex_unlock(&copies_lock);
}

int listing_new(struct listing **listing)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	l->uid = caller_uid;
	(void)pthread_mutex_init(&l->lock, NULL); /* cannot fail with defaults */
	*listing = l;
	return 0;
}

static void scratch_nodes_free(struct fs *fs, struct listing *listing)
{
	charge_give(fs, CHARGE_LISTING_BYTES, listing->uid,
	            listing->scratch_count * sizeof(*listing->scratch));
	free(listing->scratch);
}

void listing_free(struct fs *fs, struct listing *listing)
{
	if (listing == NULL)
		return;
	copy_drop(fs, listing->copy);
	if (listing->ids != NULL)
		quiver_list_close(listing->store, listing->ids);
	scratch_nodes_free(fs, listing);
	pthread_mutex_destroy(&listing->lock);
	free(listing);
}

void listing_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct listing *listing = NULL;
	int err = 0;

	if (ino == TREE_VECTORS)
		err = listing_new(&listing);
	if (err != 0) {
		reply_error(req, err);
		return;
	}
	fi->fh = (uintptr_t)listing;
	if (listing != NULL)
		handoff_give(&listing->handoff);
	if (inside_reply_open(fs, req, fi) != 0)
		listing_free(fs, listing);
}

/* The listing that a request came with; NULL where it has none. */
static struct listing *listing_of(const struct fuse_file_info *fi)
{
	struct listing *listing = (struct listing *)(uintptr_t)fi->fh;

	if (listing != NULL)
		handoff_take(&listing->handoff);
	return listing;
}

void listing_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	listing_free(fs_of(req), listing_of(fi));
	reply_error(req, 0);
}

/* The nodes of scratch files: each listing has its own. -EDQUOT and -ENOSPC, told; -ENOMEM. */
static int take_scratch(struct fs *fs, uid_t uid, uint64_t **nodes, size_t *count)
{
	int err = scratch_list(fs, nodes, count);
	uint64_t bytes = *count * sizeof(**nodes);

	if (err == 0)
		err = charge_take(fs, CHARGE_LISTING_BYTES, uid, bytes);
	if (err == 0)
		return 0;
	free(*nodes);
	*nodes = NULL;
	if (err == -EDQUOT || err == -ENOSPC)
		return charge_refuse(fs, "vectors/", CHARGE_LISTING_BYTES, uid, bytes, err);
	return err;
}

/* Take what is there now. -EDQUOT, -ENOSPC, -ENOMEM, -EAGAIN; then what was taken before, if anything, stays. The
 * listing's lock is held. */
static int take(struct fs *fs, struct listing *listing, unsigned flags)
{
	struct quiver_list *ids = NULL;
	struct copy *copy = NULL;
	uint64_t *scratch = NULL;
	size_t count = 0;
	int err;

	err = quiver_list_open(fs->store, flags, &ids);
	if (err != 0)
		return err;
	err = copy_hold(fs, listing->uid, ids, quiver_list_bytes(fs->store, ids), &copy);
	if (err == 0)
		err = take_scratch(fs, listing->uid, &scratch, &count);
	if (err != 0) {
		copy_drop(fs, copy);
		quiver_list_close(fs->store, ids);
		return err;
	}
	copy_drop(fs, listing->copy);
	quiver_list_close(fs->store, listing->ids);
	listing->copy = copy;
	scratch_nodes_free(fs, listing);
	listing->store = fs->store;
	listing->ids = ids;
	listing->count = quiver_list_count(fs->store, ids);
	listing->scratch = scratch;
	listing->scratch_count = count;
	listing->taken = true;
	return 0;
}

/* Of the entries of a snapshot the kernel counts each as looked up. Where there is no memory it gets the
 * name alone. */
static void give(struct page *page, struct fuse_entry_param *entry)
{
	if (inside_entry(page->attempt.fs, entry) == 0)
		page->given[page->given_count++] = entry->ino;
	else
		entry->ino = 0;
}

/* A page in a snapshot remembers what it gives, for as long as it is not answered. */
static int remember_given(struct page *page)
{
	size_t least = fuse_add_direntry_plus(page->attempt.req, NULL, 0, "", NULL, 0);

	if (page->attempt.fs->guest == NULL || !page->plus)
		return 0;
	page->given = malloc((page->size / least + 1) * sizeof(*page->given));
	return page->given != NULL ? 0 : -ENOMEM;
}

/* The page was answered: `sent`, or the kernel has got none of it. */
static void forget_given(struct page *page, bool sent)
{
	for (size_t i = 0; !sent && i < page->given_count; i++)
		inside_entry_failed(page->attempt.fs, page->given[i]);
	free(page->given);
	page->given = NULL;
	page->given_count = 0;
}

/* Add one entry and step on. False where it does not fit. An entry whose ino is 0
 * is one that the kernel shall not look into. */
static bool add(struct page *page, const char *name, const struct fuse_entry_param *entry)
{
	char *to = page->data + page->used;
	size_t room = page->size - page->used;
	off_t next = (off_t)page->offset + 1;
	struct fuse_entry_param known;
	size_t length;

	if (page->plus)
		length = fuse_add_direntry_plus(page->attempt.req, to, room, name, entry, next);
	else
		length = fuse_add_direntry(page->attempt.req, to, room, name, &entry->attr, next);
	if (length > room)
		return false;
	if (page->given != NULL && entry->ino != 0) {
		known = *entry;
		give(page, &known);
		(void)fuse_add_direntry_plus(page->attempt.req, to, room, name, &known, next);
	}
	page->used += length;
	page->offset++;
	return true;
}

static bool add_dots(struct page *page)
{
	static const char *const names[DOTS] = { ".", ".." };
	struct fuse_entry_param entry;

	memset(&entry, 0, sizeof(entry));
	entry.attr.st_mode = S_IFDIR;
	while (page->offset < DOTS) {
		entry.attr.st_ino =
			attr_inode(page->attempt.fs, page->offset == 0 ? page->dir : TREE_ROOT);
		if (!add(page, names[page->offset], &entry))
			return false;
	}
	return true;
}

/* The entry of a vector, with attributes or for its name alone. -ENOENT where it has gone, -EAGAIN; one
 * that is damaged keeps its name. Where others change the store it may go at any moment after the
 * look as well, and looking at each would take as long as the listing itself: nobody does. */
static int vector_dirent(struct page *page, uint64_t id, bool names_only,
                         struct fuse_entry_param *entry)
{
	int err;

	if (names_only && page->attempt.fs->shared)
		err = 0;
	else if (names_only)
		err = quiver_stat(page->attempt.fs->store, id, page->flags, NULL, NULL);
	else
		err = vector_entry(page->attempt.fs, id, page->flags, entry);
	if (err == -ENOENT || err == -EAGAIN)
		return err;
	if (names_only || err != 0) {
		memset(entry, 0, sizeof(*entry));
		entry->attr.st_ino = attr_inode(page->attempt.fs, tree_node_of_id(id));
		entry->attr.st_mode = S_IFREG;
	}
	return 0;
}

bool listing_is_probe(uint64_t id)
{
	/* The highest bits of Fibonacci hashing (Knuth): one in 64 also of IDs in a row. */
	return id * UINT64_C(0x9e3779b97f4a7c15) >> (64 - PROBE_BITS) == 0;
}

/* Whether those who got the names of `probes` wanted attributes. */
static bool were_looked_up(uint64_t probes, uint64_t lookups)
{
	return lookups * LOOKED_UP_SHARE >= probes;
}

/* What the listing before this one tells. Two at once spoil it for each other, in which nothing
 * is lost but time. The listing's lock is held. */
static void begin_listing(struct fs *fs, struct listing *l)
{
	uint64_t before = atomic_load(&fs->listed_probes);

	l->lookups = atomic_load(&fs->probe_lookups);
	if (before >= PROBES_MIN)
		atomic_store(&fs->names_only,
		             !were_looked_up(before, l->lookups - atomic_load(&fs->listed_since)));
	atomic_store(&fs->listed_probes, 0);
	atomic_store(&fs->listed_since, l->lookups);
	l->names_only = atomic_load(&fs->names_only);
	l->looked_up = false;
	l->probes = 0;
}

/* Look whether the probes so far were looked up. The listing's lock is held. */
static void judge(struct fs *fs, struct listing *l)
{
	if (l->probes >= PROBES_MIN &&
	    were_looked_up(l->probes, atomic_load(&fs->probe_lookups) - l->lookups))
		l->looked_up = true;
}

/* Whether the next entry goes without attributes. The listing's lock is held. */
static bool is_bare(const struct listing *l, const struct page *page, bool probe)
{
	if (!page->plus || l->looked_up)
		return !page->plus;
	return l->names_only || probe || page->offset - DOTS >= ATTRIBUTES_FIRST;
}

/* A few IDs of a listing. */
struct window {
	uint64_t from; /* position of the first */
	uint64_t count;
	uint64_t ids[IDS_AT_ONCE];
};

/* The ID at a position below l->count. The listing's lock is held. 0; -ENODATA there are fewer, as some
 * are damaged; or what the store says. */
static int id_at(struct listing *l, struct window *window, uint64_t position, unsigned flags,
                 uint64_t *id)
{
	if (position - window->from >= window->count) {
		int64_t got = quiver_list_read(l->store, l->ids, position, flags, window->ids,
		                               IDS_AT_ONCE);

		if (got <= 0)
			return got < 0 ? (int)got : -ENODATA;
		window->from = position;
		window->count = (uint64_t)got;
	}
	*id = window->ids[position - window->from];
	return 0;
}

/* Whether it comes to its end without all that a snapshot should have: who copies one has to learn that it
 * is not whole. The listing's lock is held. */
static bool ends_short(const struct page *page)
{
	struct fs *fs = page->attempt.fs;

	return fs->guest != NULL && page->used == 0 &&
	       page->listing->count < quiver_count(fs->store);
}

/* The caller holds the listing's lock. 0, or why none could be added. */
static int add_vectors(struct page *page)
{
	struct listing *l = page->listing;
	struct fuse_entry_param entry;
	char name[SCRATCH_NAME_MAX + 1];
	struct window window; /* a page is listed in microseconds: its IDs are not zeroed first */

	window.from = window.count = 0;
	if (page->offset == DOTS)
		begin_listing(page->attempt.fs, l);
	judge(page->attempt.fs, l);
	while (page->offset - DOTS < l->count) {
		uint64_t id = 0;
		bool probe;
		int err = id_at(l, &window, page->offset - DOTS, page->flags, &id);

		if (err == -ENODATA) {
			page->offset = DOTS + l->count; /* scratch files keep their places */
			break;
		}
		if (err != 0)
			return page->used > 0 ? 0 : err;
		probe = listing_is_probe(id);
		(void)tree_format_id(id, name);
		err = vector_dirent(page, id, is_bare(l, page, probe), &entry);
		if (err == -EAGAIN && page->used > 0)
			break; /* what there is goes out now */
		if (err == -EAGAIN)
			return err;
		if (err != 0)
			page->offset++;
		else if (add(page, name, &entry))
			l->probes += probe;
		else
			break;
	}
	atomic_store(&page->attempt.fs->listed_probes, l->probes);
	if (page->offset - DOTS < l->count)
		return 0;
	while (page->offset - DOTS - l->count < l->scratch_count) {
		uint64_t ino = l->scratch[page->offset - DOTS - l->count];

		memset(&entry, 0, sizeof(entry));
		/* Not counted by the kernel as looked up: it asks when it needs it. */
		if (scratch_describe(page->attempt.fs, ino, name, &entry.attr) != 0)
			page->offset++;
		else if (!add(page, name, &entry))
			break;
	}
	return ends_short(page) ? -EIO : 0;
}

/* As much of a folder as a listing without attributes tells, which its store need not be asked for. */
static int describe_folder(const struct fs *fs, fuse_ino_t ino, struct stat *st)
{
	st->st_ino = attr_inode(fs, ino);
	st->st_mode = S_IFDIR;
	return 0;
}

/* Root and control/ are the fixed nodes; what a mount does not have is skipped. */
static int add_fixed(struct page *page)
{
	struct fuse_entry_param entry;

	for (; page->offset - DOTS < TREE_VECTOR_BASE;) {
		uint64_t ino = page->offset - DOTS;
		const struct node_ops *ops = node_ops_of(page->attempt.fs, ino);
		const char *name = tree_name(ino);
		int err;

		memset(&entry, 0, sizeof(entry));
		if (name == NULL || tree_find(page->dir, name) != ino)
			err = -ENOENT;
		else if (!page->plus && (ino == TREE_VECTORS || ino == TREE_NEAREST))
			err = describe_folder(page->attempt.fs, ino, &entry.attr);
		else
			err = ops->attr(page->attempt.fs, ino, page->flags, &entry.attr,
			                &entry.attr_timeout);
		if (err == -EAGAIN)
			return page->used > 0 ? 0 : err;
		if (err != 0) {
			page->offset++;
			continue;
		}
		entry.ino = ino;
		entry.generation = 1;
		entry.entry_timeout = FS_CACHE_SECONDS;
		if (!add(page, name, &entry))
			break;
	}
	return 0;
}

/* Answer one READDIR, or return -EAGAIN where that would wait. A listing of vectors/ was taken,
 * and its lock is held, which is let go. */
static int reply_page(struct page *page)
{
	struct reply reply;
	bool sent;
	int err;

	err = reply_begin(&reply, page->attempt.req, page->size);
	if (err == 0)
		err = remember_given(page);
	if (err == 0) {
		page->data = reply.data;
		if (add_dots(page))
			err = page->listing != NULL ? add_vectors(page) : add_fixed(page);
	}
	if (page->listing != NULL)
		pthread_mutex_unlock(&page->listing->lock);
	if (err == -EAGAIN && page->flags == QUIVER_NOWAIT) {
		forget_given(page, false);
		reply_cancel(&reply);
		return err;
	}
	if (page->listing != NULL)
		handoff_give(&page->listing->handoff);
	sent = reply_finish(&reply, err, page->used);
	forget_given(page, sent && err == 0);
	return 0;
}

/* Whether a copy has to be made first: at the start of a listing, but only once on a mount
 * whose vectors do not change. The listing's lock is held. */
static bool must_take(const struct fs *fs, const struct listing *listing, uint64_t offset)
{
	return !listing->taken || (offset == 0 && !fs->no_open);
}

/* Lock a listing, which a worker may have that waits for the store. -EAGAIN. */
static int lock_listing(struct listing *listing, bool may_wait)
{
	if (may_wait)
		pthread_mutex_lock(&listing->lock);
	else if (pthread_mutex_trylock(&listing->lock) != 0)
		return -EAGAIN;
	return 0;
}

static int listing_read_answer(struct attempt *attempt, bool may_wait)
{
	struct page *page = (struct page *)attempt;
	struct fs *fs = attempt->fs;
	int err = 0;

	page->flags = attempt_flags(may_wait);
	if (page->listing == NULL)
		return reply_page(page);
	err = lock_listing(page->listing, may_wait);
	if (err != 0)
		return err;
	if (must_take(fs, page->listing, page->offset))
		err = take(fs, page->listing, page->flags);
	if (err == 0)
		return reply_page(page);
	pthread_mutex_unlock(&page->listing->lock);
	if (err == -EAGAIN && !may_wait)
		return err;
	handoff_give(&page->listing->handoff);
	reply_error(attempt->req, err);
	return 0;
}

void listing_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus,
                  struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct page page = {
		.attempt = attempt_for(req, listing_read_answer),
		.dir = ino,
		.offset = (uint64_t)off,
		.plus = plus,
		.size = size,
	};

	if (ino == TREE_VECTORS)
		page.listing = fs->no_open ? fs->listing : listing_of(fi);
	attempt_start(&page.attempt, sizeof(page),
	              ino == TREE_VECTORS ? WORKER_READ : WORKER_CONTROL);
}

static int listing_fsync_answer(struct attempt *attempt, bool may_wait)
{
	struct fs *fs = attempt->fs;

	(void)may_wait; /* it may: it is not tried at once */
	reply_error(attempt->req, fs->read_only ? 0 : quiver_flush(fs->store));
	return 0;
}

void listing_fsync(fuse_req_t req)
{
	struct attempt attempt = attempt_for(req, listing_fsync_answer);

	attempt_defer(&attempt, sizeof(attempt), WORKER_SYNC);
}
