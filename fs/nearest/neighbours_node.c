/* neighbours_node.c - the nodes of the files of nearest/. */
#include "fs/nearest/neighbours_node.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/base/clock.h"
#include "fs/base/tree.h"
#include "fs/nearest/neighbours_text.h"

#define BUCKETS 4096u

struct node {
	uint64_t ino;
	struct neighbours_name name;
	uint64_t lookups; /* how often the kernel was given the number */
	unsigned opens;
	struct neighbours_text text; /* while it is open */
	uid_t uid; /* to whom that is charged */
	struct node *by_ino; /* chain */
	struct node *newer, *older; /* list of those that nobody has open */
};

struct neighbours {
	pthread_mutex_t lock; /* of all below, and of the nodes */
	struct node *inos[BUCKETS];
	struct node *newest, *oldest;
	unsigned idle; /* in that list */
	uint64_t next; /* number of the next node */
};

int neighbours_new(struct neighbours **neighbours)
{
	struct neighbours *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&n->lock, NULL); /* cannot fail with default attributes */
	/* Numbers of an earlier mount live on in file handles: begin elsewhere. */
	n->next = ((uint64_t)clock_now_ns() >> 10) % TREE_NEIGHBOURS_COUNT;
	*neighbours = n;
	return 0;
}

void neighbours_free(struct neighbours *neighbours)
{
	if (neighbours == NULL)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct node *next;

		for (struct node *node = neighbours->inos[i]; node != NULL; node = next) {
			next = node->by_ino;
			free(node);
		}
	}
	pthread_mutex_destroy(&neighbours->lock);
	free(neighbours);
}

/* ---- the table; the caller holds the lock ---- */

static struct node **ino_bucket(struct neighbours *n, uint64_t ino)
{
	return &n->inos[ino % BUCKETS];
}

static struct node *find_ino(struct neighbours *n, uint64_t ino)
{
	struct node *node = *ino_bucket(n, ino);

	while (node != NULL && node->ino != ino)
		node = node->by_ino;
	return node;
}

/* At the new end of the list. */
static void make_idle(struct neighbours *n, struct node *node)
{
	node->newer = NULL;
	node->older = n->newest;
	if (n->newest != NULL)
		n->newest->newer = node;
	else
		n->oldest = node;
	n->newest = node;
	n->idle++;
}

static void make_busy(struct neighbours *n, struct node *node)
{
	if (node->newer != NULL)
		node->newer->older = node->older;
	else
		n->newest = node->older;
	if (node->older != NULL)
		node->older->newer = node->newer;
	else
		n->oldest = node->newer;
	n->idle--;
}

/* Of a node that is on no list nothing is left. */
static void drop(struct neighbours *n, struct node *node)
{
	struct node **p;

	for (p = ino_bucket(n, node->ino); *p != node; p = &(*p)->by_ino)
		;
	*p = node->by_ino;
	free(node);
}

static struct node *add(struct neighbours *n, const struct neighbours_name *name)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node == NULL)
		return NULL;
	do {
		node->ino = TREE_NEIGHBOURS_BASE + n->next;
		n->next = (n->next + 1) % TREE_NEIGHBOURS_COUNT;
	} while (find_ino(n, node->ino) != NULL);
	node->name = *name;
	node->by_ino = *ino_bucket(n, node->ino);
	*ino_bucket(n, node->ino) = node;
	make_idle(n, node);
	if (n->idle > NEIGHBOURS_NODES_MAX) {
		struct node *oldest = n->oldest;

		make_busy(n, oldest);
		drop(n, oldest);
	}
	return node;
}

/* ---- nodes ---- */

int neighbours_give(struct fs *fs, const struct neighbours_name *name, uint64_t *ino)
{
	struct neighbours *n = fs->neighbours;
	struct node *node;

	pthread_mutex_lock(&n->lock);
	node = add(n, name);
	if (node != NULL) {
		node->lookups = 1;
		*ino = node->ino;
	}
	pthread_mutex_unlock(&n->lock);
	return node != NULL ? 0 : -ENOMEM;
}

void neighbours_forget(struct fs *fs, fuse_ino_t ino, uint64_t count)
{
	struct neighbours *n = fs->neighbours;
	struct node *node;

	pthread_mutex_lock(&n->lock);
	node = find_ino(n, ino);
	if (node != NULL) {
		node->lookups -= count < node->lookups ? count : node->lookups;
		if (node->lookups == 0 && node->opens == 0) {
			make_busy(n, node);
			drop(n, node);
		}
	}
	pthread_mutex_unlock(&n->lock);
}

bool neighbours_give_again(struct fs *fs, uint64_t ino, struct neighbours_name *name)
{
	struct neighbours *n = fs->neighbours;
	struct node *node;

	pthread_mutex_lock(&n->lock);
	node = find_ino(n, ino);
	if (node != NULL) {
		node->lookups++;
		*name = node->name;
	}
	pthread_mutex_unlock(&n->lock);
	return node != NULL;
}

static bool find(struct fs *fs, uint64_t ino, bool hold, struct neighbours_name *name)
{
	struct neighbours *n = fs->neighbours;
	struct node *node;

	if (ino == TREE_QUERY) {
		*name = (struct neighbours_name){ QUIVER_ID_NONE, TREE_NEIGHBOURS_K, false };
		return true;
	}
	pthread_mutex_lock(&n->lock);
	node = find_ino(n, ino);
	if (node != NULL)
		*name = node->name;
	if (node != NULL && hold && node->opens++ == 0)
		make_busy(n, node);
	pthread_mutex_unlock(&n->lock);
	return node != NULL;
}

bool neighbours_find(struct fs *fs, uint64_t ino, struct neighbours_name *name)
{
	return find(fs, ino, false, name);
}

bool neighbours_hold(struct fs *fs, uint64_t ino, struct neighbours_name *name)
{
	return find(fs, ino, true, name);
}

bool neighbours_length(struct fs *fs, uint64_t ino, size_t *length)
{
	struct neighbours *n = fs->neighbours;
	const struct node *node;
	bool known;

	pthread_mutex_lock(&n->lock);
	node = find_ino(n, ino);
	known = node != NULL && node->text.bytes != NULL;
	if (known)
		*length = node->text.length;
	pthread_mutex_unlock(&n->lock);
	return known;
}

const struct neighbours_text *neighbours_show(struct fs *fs, uint64_t ino, uid_t uid,
                                              struct neighbours_text *text)
{
	struct neighbours *n = fs->neighbours;
	struct node *node;
	bool first;

	pthread_mutex_lock(&n->lock);
	node = find_ino(n, ino);
	first = node->text.bytes == NULL;
	if (first) {
		node->text = *text;
		node->uid = uid;
	}
	pthread_mutex_unlock(&n->lock);
	if (!first)
		neighbours_text_free(fs, uid, text);
	return &node->text;
}

void neighbours_let_go(struct fs *fs, uint64_t ino)
{
	struct neighbours *n = fs->neighbours;
	struct neighbours_text text = { NULL, 0, 0 };
	uid_t uid = 0;
	struct node *node;

	if (ino == TREE_QUERY)
		return;
	pthread_mutex_lock(&n->lock);
	node = find_ino(n, ino);
	if (--node->opens == 0) {
		text = node->text;
		uid = node->uid;
		node->text = (struct neighbours_text){ NULL, 0, 0 };
		make_idle(n, node);
		if (node->lookups == 0) {
			make_busy(n, node);
			drop(n, node);
		}
	}
	pthread_mutex_unlock(&n->lock);
	neighbours_text_free(fs, uid, &text);
}
