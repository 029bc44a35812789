/* charge.c - what each user has of what the mount has bounds for. */
#include "fs/base/charge.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/base/caller.h"
#include "fs/base/refuse.h"

#define BUCKETS 64u
/* One user gets one part in so many, and all but the owner together leave one. */
#define PARTS 4u

struct user {
	uid_t uid;
	uint64_t has[CHARGE_KINDS]; /* not all of them 0 */
	struct user *next;
};

struct charges {
	pthread_mutex_t lock; /* of all below */
	struct user *users[BUCKETS];
	uint64_t whole[CHARGE_KINDS];
	uint64_t of_owner[CHARGE_KINDS]; /* and of root, among them */
};

static const struct bound {
	uint64_t whole;
	/* So many pieces there are, however large. */
	unsigned pieces, pieces_of_user;
	const char *what; /* "no more than 16 ..." */
} bounds[CHARGE_KINDS] = {
	[CHARGE_STAGES] = { .whole = STAGES_MAX, .what = "vectors written in part" },
	[CHARGE_STAGE_BYTES] = { .whole = STAGE_BYTES_MAX,
	                         .what = "bytes of vectors written in part" },
	[CHARGE_SCRATCH_FILES] = { .whole = SCRATCH_FILES_MAX, .what = "scratch files" },
	[CHARGE_SCRATCH_BYTES] = { .whole = SCRATCH_BYTES_MAX, .what = "bytes in scratch files" },
	[CHARGE_VIEW_BYTES] = { .whole = VIEW_BYTES_MAX,
	                        .what = "bytes in open .npy and .txt files" },
	[CHARGE_LISTING_BYTES] = { .whole = LISTING_BYTES_MAX,
	                           .pieces = LISTING_COPIES_MIN,
	                           .pieces_of_user = LISTING_COPIES_OF_USER_MIN,
	                           .what = "bytes for folders that are being listed" },
	[CHARGE_CONTROL_BYTES] = { .whole = CONTROL_BYTES_MAX,
	                           .what = "bytes in open files of control/" },
	[CHARGE_OPEN_BYTES] = { .whole = OPEN_BYTES_MAX, .what = "bytes of open vectors" },
	[CHARGE_QUESTION_BYTES] = { .whole = QUESTION_BYTES_MAX,
	                            .what = "bytes of questions and answers" },
};

int charges_new(struct charges **charges)
{
	struct charges *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&c->lock, NULL); /* cannot fail with default attributes */
	*charges = c;
	return 0;
}

void charges_free(struct charges *charges)
{
	if (charges == NULL)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct user *next;

		for (struct user *user = charges->users[i]; user != NULL; user = next) {
			next = user->next;
			free(user);
		}
	}
	pthread_mutex_destroy(&charges->lock);
	free(charges);
}

/* What the mount has for everybody is its owner's. */
static bool is_owner(const struct fs *fs, uid_t uid)
{
	return uid == 0 || uid == fs->owner_uid || uid == CALLER_NOBODY;
}

/* Where the user is linked, or would be. The lock is held. */
static struct user **find(struct charges *c, uid_t uid)
{
	struct user **p = &c->users[uid % BUCKETS];

	while (*p != NULL && (*p)->uid != uid)
		p = &(*p)->next;
	return p;
}

static uint64_t more_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t most_of_all(enum charge_kind kind, uint64_t amount)
{
	return more_of(bounds[kind].whole, bounds[kind].pieces * amount);
}

static uint64_t share_of_user(enum charge_kind kind, uint64_t amount)
{
	return more_of(bounds[kind].whole / PARTS, bounds[kind].pieces_of_user * amount);
}

/* Whether it fits: 0, -EDQUOT or -ENOSPC. The lock is held. */
static int look(const struct fs *fs, enum charge_kind kind, uid_t uid, uint64_t has,
                uint64_t amount)
{
	const struct charges *c = fs->charges;
	uint64_t most = most_of_all(kind, amount);

	if (!is_owner(fs, uid) && has + amount > share_of_user(kind, amount))
		return -EDQUOT;
	if (c->whole[kind] + amount > most)
		return -ENOSPC;
	if (!is_owner(fs, uid) && c->whole[kind] - c->of_owner[kind] + amount > most - most / PARTS)
		return -ENOSPC;
	return 0;
}

bool charge_fits(struct fs *fs, enum charge_kind kind, uid_t uid, uint64_t amount)
{
	struct charges *c = fs->charges;
	const struct user *user;
	bool fits;

	pthread_mutex_lock(&c->lock);
	user = *find(c, uid);
	fits = look(fs, kind, uid, user != NULL ? user->has[kind] : 0, amount) == 0;
	pthread_mutex_unlock(&c->lock);
	return fits;
}

static int take(struct fs *fs, enum charge_kind kind, uid_t uid, uint64_t amount, bool anyway)
{
	struct charges *c = fs->charges;
	struct user **p;
	int err;

	if (amount == 0)
		return 0;
	pthread_mutex_lock(&c->lock);
	p = find(c, uid);
	err = anyway ? 0 : look(fs, kind, uid, *p != NULL ? (*p)->has[kind] : 0, amount);
	if (err == 0 && *p == NULL) {
		*p = calloc(1, sizeof(**p));
		if (*p == NULL)
			err = -ENOMEM;
		else
			(*p)->uid = uid;
		atomic_fetch_add(&fs_whole(fs)->charged, err == 0);
	}
	if (err == 0) {
		(*p)->has[kind] += amount;
		c->whole[kind] += amount;
		c->of_owner[kind] += is_owner(fs, uid) ? amount : 0;
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}

int charge_take(struct fs *fs, enum charge_kind kind, uid_t uid, uint64_t amount)
{
	return take(fs, kind, uid, amount, false);
}

int charge_take_anyway(struct fs *fs, enum charge_kind kind, uid_t uid, uint64_t amount)
{
	return take(fs, kind, uid, amount, true);
}

static bool has_nothing(const struct user *user)
{
	for (unsigned kind = 0; kind < CHARGE_KINDS; kind++) {
		if (user->has[kind] != 0)
			return false;
	}
	return true;
}

void charge_give(struct fs *fs, enum charge_kind kind, uid_t uid, uint64_t amount)
{
	struct charges *c = fs->charges;
	struct user **p, *user;

	if (amount == 0)
		return;
	pthread_mutex_lock(&c->lock);
	for (p = &c->users[uid % BUCKETS]; (*p)->uid != uid; p = &(*p)->next)
		;
	user = *p;
	user->has[kind] -= amount;
	c->whole[kind] -= amount;
	c->of_owner[kind] -= is_owner(fs, uid) ? amount : 0;
	if (has_nothing(user)) {
		*p = user->next;
		free(user);
		atomic_fetch_sub(&fs_whole(fs)->charged, 1);
	}
	pthread_mutex_unlock(&c->lock);
}

int charge_refuse(struct fs *fs, const char *what, enum charge_kind kind, uid_t uid,
                  uint64_t amount, int err)
{
	const struct bound *bound = &bounds[kind];
	uint64_t most = most_of_all(kind, amount);

	if (err == -EDQUOT)
		return refuse(fs, err, "%s: user %" PRIu32 " may have at most %" PRIu64 " %s", what,
		              (uint32_t)uid, share_of_user(kind, amount), bound->what);
	if (is_owner(fs, uid))
		return refuse(fs, err, "%s: there may be at most %" PRIu64 " %s", what, most,
		              bound->what);
	return refuse(fs, err,
	              "%s: there may be at most %" PRIu64
	              " %s, and a quarter is kept for the owner of the mount",
	              what, most, bound->what);
}

void charge_sums(struct fs *fs, enum charge_kind kind, uint64_t *whole, uint64_t *user_max)
{
	struct charges *c = fs->charges;

	*user_max = 0;
	pthread_mutex_lock(&c->lock);
	*whole = c->whole[kind];
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (const struct user *user = c->users[i]; user != NULL; user = user->next)
			*user_max = more_of(*user_max, user->has[kind]);
	}
	pthread_mutex_unlock(&c->lock);
}
