/* neighbours_kept.c - the texts of nearest/ on a read-only mount. */
#include "fs/nearest/neighbours_kept.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/caller.h"
#include "fs/base/clock.h"
#include "fs/nearest/neighbours_text.h"

/* For how long it is good where others change the store. */
#define GOOD_NS INT64_C(1000000000)

struct kept_text {
	struct neighbours_name name; /* k is 0: none */
	struct neighbours_text text;
	int64_t made_ns; /* by the clock */
	int64_t until_ns; /* monotonic clock */
};

struct neighbours_kept {
	pthread_mutex_t lock;
	struct kept_text texts[NEIGHBOURS_KEPT_MAX]; /* lock; newest first */
	size_t bytes; /* lock; of them all */
};

int neighbours_kept_new(struct neighbours_kept **kept)
{
	struct neighbours_kept *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&k->lock, NULL); /* cannot fail with default attributes */
	*kept = k;
	return 0;
}

/* The lock is held. */
static void drop(struct fs *fs, struct neighbours_kept *kept, struct kept_text *one)
{
	kept->bytes -= one->text.room;
	neighbours_text_free(fs, CALLER_NOBODY, &one->text);
	one->name.k = 0;
}

void neighbours_kept_free(struct fs *fs, struct neighbours_kept *kept)
{
	if (kept == NULL)
		return;
	for (unsigned i = 0; i < NEIGHBOURS_KEPT_MAX; i++)
		drop(fs, kept, &kept->texts[i]);
	pthread_mutex_destroy(&kept->lock);
	free(kept);
}

static bool is_same(const struct neighbours_name *a, const struct neighbours_name *b)
{
	return a->id == b->id && a->k == b->k && a->of_all == b->of_all;
}

/* That of a name, as long as it is good. The lock is held. */
static struct kept_text *find(struct neighbours_kept *kept, const struct neighbours_name *name)
{
	int64_t now_ns = clock_steady_ns();

	for (unsigned i = 0; i < NEIGHBOURS_KEPT_MAX; i++) {
		if (is_same(&kept->texts[i].name, name) && now_ns < kept->texts[i].until_ns)
			return &kept->texts[i];
	}
	return NULL;
}

/* Take the text over. The lock is held. */
static void keep(struct fs *fs, struct neighbours_kept *kept, const struct neighbours_name *name,
                 const struct neighbours_text *text)
{
	struct kept_text *texts = kept->texts;
	unsigned last = NEIGHBOURS_KEPT_MAX - 1;

	for (unsigned i = 0; i < NEIGHBOURS_KEPT_MAX; i++) {
		if (is_same(&texts[i].name,
		            name)) /* which is good no more, or was made by two at once */
			drop(fs, kept, &texts[i]);
	}
	drop(fs, kept, &texts[last]);
	memmove(&texts[1], &texts[0], last * sizeof(texts[0]));
	texts[0] = (struct kept_text){
		.name = *name,
		.text = *text,
		.made_ns = clock_now_ns(),
		.until_ns = fs->shared ? clock_steady_ns() + GOOD_NS : INT64_MAX,
	};
	kept->bytes += text->room;
	for (; last > 0 && kept->bytes > NEIGHBOURS_KEPT_BYTES_MAX; last--)
		drop(fs, kept, &texts[last]);
}

bool neighbours_kept_look(struct fs *fs, const struct neighbours_name *name, size_t *length,
                          int64_t *made_ns)
{
	struct neighbours_kept *kept = fs->neighbours_kept;
	const struct kept_text *one;

	pthread_mutex_lock(&kept->lock);
	one = find(kept, name);
	if (one != NULL) {
		*length = one->text.length;
		*made_ns = one->made_ns;
	}
	pthread_mutex_unlock(&kept->lock);
	return one != NULL;
}

int neighbours_kept_have(struct fs *fs, const struct neighbours_name *name, bool may_wait)
{
	struct neighbours_kept *kept = fs->neighbours_kept;
	/* Nobody in particular: the pages that the kernel keeps are for several. */
	const struct asker asker = {
		.uid = CALLER_NOBODY,
		.gid = (gid_t)-1,
		.reads_all = name->of_all,
	};
	struct neighbours_text text;
	int64_t made_ns;
	size_t length;
	int err;

	if (neighbours_kept_look(fs, name, &length, &made_ns))
		return 0;
	if (!may_wait)
		return -EAGAIN;
	err = neighbours_text_make(fs, name, &asker, &text);
	if (err != 0)
		return err;
	pthread_mutex_lock(&kept->lock);
	keep(fs, kept, name, &text);
	pthread_mutex_unlock(&kept->lock);
	return 0;
}

bool neighbours_kept_copy(struct fs *fs, const struct neighbours_name *name, uint64_t offset,
                          char *to, size_t *size)
{
	struct neighbours_kept *kept = fs->neighbours_kept;
	const struct kept_text *one;

	pthread_mutex_lock(&kept->lock);
	one = find(kept, name);
	if (one != NULL) {
		size_t left = offset < one->text.length ? one->text.length - (size_t)offset : 0;

		*size = *size < left ? *size : left;
		if (*size > 0)
			memcpy(to, one->text.bytes + offset, *size);
	}
	pthread_mutex_unlock(&kept->lock);
	return one != NULL;
}
