/*
 * search_answers.c - the answers to a batch of questions, in their order, in bounded memory.
 */
#include "tools/cli/search_answers.h"
#include "tools/cli/say.h"
#include "tools/cli/vectors.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Answers of the first call for a batch, and of each that asks for more: 16 and 4 MiB. */
#define FIRST_ANSWERS (1u << 20)
#define MORE_ANSWERS (1u << 18)
/* Questions of a batch: so many that a pass over the vectors is worth it, and so few that one sees it go
 * on; through a mount fewer, since a signal has to wait for their answer; of a cluster, from which each
 * pass brings all of them, as many as fit. */
#define QUESTIONS_HERE 1024u
#define QUESTIONS_LIVE 256u
#define QUESTIONS_ELSEWHERE 16384u
#define QUESTION_BYTES (16u << 20)
/* Neighbours of each where all are wanted, at first, and how many times more the next time. */
#define ALL_FIRST 64u
#define ALL_FACTOR 8u

size_t search_answers_room(const struct session *session, uint32_t k)
{
	size_t room = session->target.live ? QUESTIONS_LIVE : QUESTIONS_HERE;
	size_t by_answers = FIRST_ANSWERS / (k > 0 ? k : ALL_FIRST);
	size_t by_bytes = QUESTION_BYTES / session->geometry.vector_bytes;

	if (session->is_shared)
		room = QUESTIONS_ELSEWHERE;
	room = by_answers < room ? by_answers : room;
	room = by_bytes < room ? by_bytes : room;
	return room > 0 ? room : 1;
}

static int make_level(struct search_level *level, size_t room)
{
	level->room = room;
	level->which = calloc(room, sizeof(*level->which));
	level->found = calloc(room, sizeof(*level->found));
	level->answers = malloc(room * level->k * sizeof(*level->answers));
	return level->which != NULL && level->found != NULL && level->answers != NULL ? 0 : -ENOMEM;
}

/* How many are asked for at which level. */
static void choose_levels(struct search_answers *answers, uint32_t k)
{
	answers->is_all = k == 0;
	answers->level_count = 1;
	answers->levels[0].k = k > 0 ? k : ALL_FIRST;
	while (k == 0 && answers->levels[answers->level_count - 1].k < QUIVER_NEAREST_MAX) {
		uint32_t more = answers->levels[answers->level_count - 1].k * ALL_FACTOR;

		assert(answers->level_count < SEARCH_LEVELS);
		answers->levels[answers->level_count++].k =
			more < QUIVER_NEAREST_MAX ? more : QUIVER_NEAREST_MAX;
	}
}

int search_answers_open(struct search_source *source, struct search_batch *batch, uint32_t k,
                        struct search_answers *answers)
{
	const struct session *session = source->asker->session;
	int result;

	memset(answers, 0, sizeof(*answers));
	answers->source = source;
	answers->batch = batch;
	choose_levels(answers, k);
	answers->vectors = malloc(batch->room * session->geometry.vector_bytes);
	answers->except = calloc(batch->room, sizeof(*answers->except));
	result = answers->vectors != NULL && answers->except != NULL
	                 ? make_level(&answers->levels[0], batch->room)
	                 : -ENOMEM;
	if (result < 0)
		say_errno(session->target.path, result);
	return result;
}

void search_answers_close(struct search_answers *answers)
{
	for (size_t i = 0; i < answers->level_count; i++) {
		free(answers->levels[i].which);
		free(answers->levels[i].found);
		free(answers->levels[i].answers);
	}
	free(answers->vectors);
	free(answers->except);
	free(answers->whole);
	memset(answers, 0, sizeof(*answers));
}

/* Put the questions of the level, from `first` on, one behind the other. */
static struct search_questions gather(struct search_answers *answers,
                                      const struct search_level *level, size_t first, size_t count)
{
	const struct search_batch *batch = answers->batch;
	size_t bytes = answers->source->asker->session->geometry.vector_bytes;

	for (size_t i = 0; i < count; i++) {
		size_t place = level->which[first + i];

		memcpy(answers->vectors + i * bytes, batch->vectors + place * bytes, bytes);
		answers->except[i] = batch->numbers[place];
	}
	return (struct search_questions){ .vectors = answers->vectors,
		                          .except = batch->is_by_id ? answers->except : NULL,
		                          .count = count,
		                          .k = level->k };
}

/* Ask `count` questions of the level. One that has no distances has the others refused as well: then each
 * half is asked by itself. */
static int ask_some(struct search_answers *answers, struct search_level *level, size_t first,
                    size_t count)
{
	struct search_questions questions = gather(answers, level, first, count);
	size_t half = count / 2;
	int result = search_ask(answers->source->asker, &questions,
	                        level->answers + first * level->k, level->found + first);

	if (result != -EINVAL)
		return result;
	if (count == 1) {
		level->found[first] = 0;
		search_source_refuse(answers->source, answers->batch, level->which[first], NULL);
		return 0;
	}
	result = ask_some(answers, level, first, half);
	return result < 0 ? result : ask_some(answers, level, first + half, count - half);
}

int search_answers_begin(struct search_answers *answers)
{
	const struct search_batch *batch = answers->batch;
	struct search_level *level = &answers->levels[0];

	for (size_t i = 0; i < answers->level_count; i++)
		answers->levels[i].count = answers->levels[i].at = 0;
	for (size_t i = 0; i < batch->count; i++) {
		if (!batch->unanswered[i])
			level->which[level->count++] = i;
	}
	return level->count > 0 ? ask_some(answers, level, 0, level->count) : 0;
}

/* Ask for more neighbours of the question that level `index` is at, and of those behind it that had as many
 * as they were asked for. */
static int ask_more(struct search_answers *answers, size_t index)
{
	const struct search_level *below = &answers->levels[index];
	struct search_level *level = &answers->levels[index + 1];
	size_t room = MORE_ANSWERS / level->k > 0 ? MORE_ANSWERS / level->k : 1;
	int result = 0;

	if (level->answers == NULL)
		result = make_level(level,
		                    room < answers->batch->room ? room : answers->batch->room);
	if (result < 0) {
		say_errno(answers->source->asker->session->target.path, result);
		return result;
	}
	level->count = level->at = 0;
	for (size_t i = below->at; i < below->count && level->count < level->room; i++) {
		if (below->found[i] == below->k)
			level->which[level->count++] = below->which[i];
	}
	return ask_some(answers, level, 0, level->count);
}

/* Go on in the level to a question; false where it was not asked there. */
static bool go_to(struct search_level *level, size_t place)
{
	while (level->at < level->count && level->which[level->at] < place)
		level->at++;
	return level->at < level->count && level->which[level->at] == place;
}

/* ---- more than can be asked for at once --------------------------------- */

static int compare(const void *one, const void *other, void *arg)
{
	return search_compare(*(const enum quiver_metric *)arg, one, other);
}

/* Add the neighbours among these IDs, as many as may be asked for. */
static int add_piece(struct search_answers *answers, struct search_questions *question,
                     const uint64_t *ids, size_t count)
{
	struct search_level *last = &answers->levels[answers->level_count - 1];
	struct quiver_neighbour *whole;
	size_t room;
	int result;

	question->k = (uint32_t)count;
	question->ids = ids;
	question->id_count = count;
	result = search_ask(answers->source->asker, question, last->answers, last->found);
	if (result < 0)
		return result;
	room = answers->whole_count + last->found[0];
	whole = answers->whole;
	if (room > answers->whole_room)
		whole = reallocarray(answers->whole, room, sizeof(*whole));
	if (whole == NULL) {
		say_errno(answers->source->asker->session->target.path, -ENOMEM);
		return -ENOMEM;
	}
	answers->whole = whole;
	answers->whole_room = room > answers->whole_room ? room : answers->whole_room;
	memcpy(whole + answers->whole_count, last->answers, last->found[0] * sizeof(*whole));
	answers->whole_count = room;
	return 0;
}

static int add_pieces(struct search_answers *answers, struct search_questions *question,
                      const uint64_t *ids, size_t count)
{
	int result = 0;

	for (size_t done = 0; done < count && result == 0; done += QUIVER_NEAREST_MAX) {
		size_t left = count - done;

		result = add_piece(answers, question, ids + done,
		                   left < QUIVER_NEAREST_MAX ? left : QUIVER_NEAREST_MAX);
	}
	return result;
}

/* Ask the question that the last level is at among some IDs after the others. */
static int ask_whole(struct search_answers *answers)
{
	const struct search_asker *asker = answers->source->asker;
	struct search_level *last = &answers->levels[answers->level_count - 1];
	struct search_questions question = gather(answers, last, last->at, 1);
	enum quiver_metric metric = asker->metric;
	struct vectors_list list = { 0 };
	int result = 0;

	answers->whole_count = 0;
	if (!asker->wanted->has_ids)
		result = vectors_list(asker->session, &list);
	if (result == 0 && asker->wanted->has_ids)
		result =
			add_pieces(answers, &question, asker->wanted->ids, asker->wanted->id_count);
	else if (result == 0)
		result = add_pieces(answers, &question, list.ids, list.count);
	vectors_list_free(&list);
	/* what it has overwritten is of no use any more */
	last->count = last->at = 0;
	if (result == 0)
		qsort_r(answers->whole, answers->whole_count, sizeof(*answers->whole), compare,
		        &metric);
	return result;
}

int search_answers_get(struct search_answers *answers, size_t index,
                       const struct quiver_neighbour **list, size_t *count)
{
	size_t depth = 0;
	struct search_level *level = &answers->levels[0];
	int result = 0;

	*list = NULL;
	*count = 0;
	if (!go_to(level, index))
		return 0;
	while (answers->is_all && level->found[level->at] == level->k && result == 0) {
		if (depth + 1 == answers->level_count) {
			result = ask_whole(answers);
			*list = answers->whole;
			*count = answers->whole_count;
			return result;
		}
		if (!go_to(&answers->levels[depth + 1], index))
			result = ask_more(answers, depth);
		level = &answers->levels[++depth];
		if (result == 0 && !go_to(level, index))
			return 0; /* it cannot be asked any more */
	}
	if (result < 0)
		return result;
	*list = level->answers + level->at * level->k;
	*count = level->found[level->at];
	return 0;
}
