/* neighbours.c - the nearest among the vectors that who asks may read. */
#include "fs/question/neighbours.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/base/refuse.h"

/* Attributes that are looked at together. */
#define LOOKED_AT 256u
/* Asked for beyond k, as some of the nearest may not be for who asks. */
#define SPARE 16u

/* More vectors, or neighbours of all, are no small question. */
#define SMALL_COUNT 64u
#define SMALL_NEIGHBOURS 65536u

enum worker_class neighbours_worker(uint64_t count, uint64_t k)
{
	return count <= SMALL_COUNT && k <= SMALL_NEIGHBOURS && count * k <= SMALL_NEIGHBOURS
	               ? WORKER_NEAREST
	               : WORKER_NEAREST_LARGE;
}

/* Those of `count` IDs that he may read, to the front; how many in *left. Errors of the store. */
static int keep_readable(const struct question *question, uint64_t *ids, size_t count, size_t *left)
{
	struct quiver_attr attrs[LOOKED_AT];
	int results[LOOKED_AT];
	int err = 0;

	*left = 0;
	for (size_t at = 0; err == 0 && at < count; at += LOOKED_AT) {
		size_t n = count - at < LOOKED_AT ? count - at : LOOKED_AT;

		err = quiver_get_many(question->fs->store, ids + at, n, NULL, attrs, results);
		for (size_t i = 0; err == 0 && i < n; i++) {
			if (results[i] == 0 &&
			    asker_may_read(question->fs, question->asker, &attrs[i]))
				ids[(*left)++] = ids[at + i];
		}
	}
	return err;
}

/* The same of neighbours: up to `k` of them, to `to`. */
static int take_readable(const struct question *question, const struct quiver_neighbour *from,
                         uint32_t count, struct quiver_neighbour *to, uint32_t k, uint32_t *taken)
{
	struct quiver_attr attrs[LOOKED_AT];
	uint64_t ids[LOOKED_AT];
	int results[LOOKED_AT];
	int err = 0;

	*taken = 0;
	for (uint32_t at = 0; err == 0 && at < count && *taken < k; at += LOOKED_AT) {
		uint32_t n = count - at < LOOKED_AT ? count - at : LOOKED_AT;

		for (uint32_t i = 0; i < n; i++)
			ids[i] = from[at + i].id;
		err = quiver_get_many(question->fs->store, ids, n, NULL, attrs, results);
		for (uint32_t i = 0; err == 0 && i < n && *taken < k; i++) {
			if (results[i] == 0 &&
			    asker_may_read(question->fs, question->asker, &attrs[i]))
				to[(*taken)++] = from[at + i];
		}
	}
	return err;
}

/* ---- of those that he may read, which are looked up first ---- */

struct readable {
	uint64_t *ids; /* NULL: not looked up yet */
	size_t room, count;
};

/* All that are there. -EDQUOT, -ENOSPC, -ENOMEM, errors of the store. */
static int list_all(const struct question *question, struct readable *readable)
{
	struct quiver *store = question->fs->store;
	struct quiver_list *list = NULL;
	void *memory = NULL;
	int64_t got = 1;
	int err = quiver_list_open(store, 0, &list);

	readable->room = err == 0 ? quiver_list_count(store, list) : 0;
	if (err == 0)
		err = question_alloc(question, readable->room * sizeof(uint64_t), &memory);
	readable->ids = memory;
	while (err == 0 && got > 0 && readable->count < readable->room) {
		got = quiver_list_read(store, list, readable->count, 0,
		                       readable->ids + readable->count,
		                       readable->room - readable->count);
		if (got < 0)
			err = (int)got;
		else
			readable->count += (size_t)got;
	}
	quiver_list_close(store, list);
	return err;
}

/* Those that were asked for. */
static int copy_asked(const struct question *question, const struct quiver_question *asked,
                      struct readable *readable)
{
	void *memory;
	int err;

	readable->room = asked->id_count;
	err = question_alloc(question, readable->room * sizeof(uint64_t), &memory);
	if (err != 0)
		return err;
	readable->ids = memory;
	readable->count = asked->id_count;
	memcpy(readable->ids, asked->ids, readable->count * sizeof(uint64_t));
	return 0;
}

/* Ask about those alone that he may read. */
static int ask_readable(const struct question *question, const struct quiver_question *asked,
                        struct quiver_neighbour *answers, uint32_t *found)
{
	struct quiver_question narrow = *asked;
	struct readable readable = { .ids = NULL };
	int err;

	err = asked->ids != NULL ? copy_asked(question, asked, &readable)
	                         : list_all(question, &readable);
	if (err == 0)
		err = keep_readable(question, readable.ids, readable.count, &readable.count);
	narrow.ids = readable.ids;
	narrow.id_count = readable.count;
	if (err == 0)
		err = quiver_nearest(question->fs->store, &narrow, answers, found);
	question_free(question, readable.room * sizeof(uint64_t), readable.ids);
	return err;
}

/* ---- of all, some of which may have to be left out ---- */

/* Whether there may be more that he may read than have been found of all. */
static bool is_short(const struct quiver_question *wide, uint32_t seen, uint32_t taken, uint32_t k)
{
	return taken < k && seen == wide->k;
}

/* Ask for a few more than k; *enough says whether those were enough for all questions. */
static int ask_wide(const struct question *question, const struct quiver_question *asked,
                    struct quiver_neighbour *answers, uint32_t *found, bool *enough)
{
	struct quiver_question wide = *asked;
	struct quiver_neighbour *seen;
	size_t bytes;
	void *memory;
	int err;

	*enough = true;
	if (asked->k <= QUIVER_NEAREST_MAX - SPARE &&
	    asked->count * (asked->k + SPARE) <= QUIVER_NEAREST_ANSWERS_MAX)
		wide.k = asked->k + SPARE;
	bytes = asked->count * wide.k * sizeof(*seen);
	err = question_alloc(question, bytes, &memory);
	if (err != 0)
		return err;
	seen = memory;
	err = quiver_nearest(question->fs->store, &wide, seen, found);
	for (size_t i = 0; err == 0 && *enough && i < asked->count; i++) {
		uint32_t taken;

		err = take_readable(question, seen + i * wide.k, found[i], answers + i * asked->k,
		                    asked->k, &taken);
		*enough = !is_short(&wide, found[i], taken, asked->k);
		found[i] = taken;
	}
	question_free(question, bytes, memory);
	return err;
}

static int ask_as(const struct question *question, const struct quiver_question *asked,
                  struct quiver_neighbour *answers, uint32_t *found)
{
	bool enough = false;
	int err = 0;

	if (question->asker->reads_all)
		return quiver_nearest(question->fs->store, asked, answers, found);
	if (asked->ids == NULL)
		err = ask_wide(question, asked, answers, found, &enough);
	if (err == 0 && !enough)
		err = ask_readable(question, asked, answers, found);
	return err;
}

static bool is_of_bits(enum quiver_dtype dtype)
{
	return dtype == QUIVER_B1 || dtype == QUIVER_U1;
}

int neighbours_ask(const struct question *question, const struct quiver_question *asked,
                   struct quiver_neighbour *answers, uint32_t *found)
{
	struct fs *fs = question->fs;
	int err;

	atomic_fetch_add(&fs_whole(fs)->nearest_questions, asked->count);
	atomic_fetch_add(&fs_whole(fs)->nearest_running, 1);
	err = ask_as(question, asked, answers, found);
	atomic_fetch_sub(&fs_whole(fs)->nearest_running, 1);
	if (err == -EINVAL && asked->metric == QUIVER_HAMMING && !is_of_bits(fs->geometry.dtype))
		return refuse(fs, err, "%s: hamming is for vectors of b1 or u1, but these are %s",
		              question->name, quiver_dtype_name(fs->geometry.dtype));
	if (err == -EINVAL)
		return refuse(fs, err,
		              "%s: a vector in the question has no distances: one of its elements "
		              "is NaN, or infinite with l2 or cosine, or all are 0 with cosine",
		              question->name);
	return err;
}
