/* neighbours_text.c - what the files of nearest/ read. */
#include "fs/nearest/neighbours_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/charge.h"
#include "fs/base/refuse.h"
#include "fs/base/tree.h"
#include "fs/question/neighbours.h"

/* A line is 20 digits, a blank, "-1.23456789e-308" and a newline, with one byte more for an empty line or
 * the NUL. */
#define LINE_BYTES NEIGHBOURS_LINE_BYTES

/* The lines in place of what was found. *length is that of the text. */
static void print(const struct quiver_question *asked, const struct quiver_neighbour *answers,
                  const uint32_t *found, char *to, size_t *length)
{
	char *at = to;

	for (size_t i = 0; i < asked->count; i++) {
		if (i > 0)
			*at++ = '\n';
		for (uint32_t j = 0; j < found[i]; j++) {
			const struct quiver_neighbour *one = &answers[i * asked->k + j];

			at += snprintf(at, LINE_BYTES, "%" PRIu64 " %.9g\n", one->id,
			               one->distance);
		}
	}
	*length = (size_t)(at - to);
}

static size_t lines_of(const struct quiver_question *asked, const uint32_t *found)
{
	size_t lines = asked->count;

	for (size_t i = 0; i < asked->count; i++)
		lines += found[i];
	return lines;
}

/* Ask, and have the text for an answer. */
static int answer_text(struct question *question, const struct quiver_question *asked)
{
	size_t answers_bytes = asked->count * asked->k * sizeof(struct quiver_neighbour);
	size_t found_bytes = asked->count * sizeof(uint32_t);
	void *answers = NULL, *found = NULL;
	int err = question_alloc(question, answers_bytes, &answers);

	if (err == 0)
		err = question_alloc(question, found_bytes, &found);
	if (err == 0)
		err = neighbours_ask(question, asked, answers, found);
	if (err == 0)
		err = question_room(question, lines_of(asked, found) * LINE_BYTES);
	if (err == 0)
		print(asked, answers, found, question->answer, &question->answer_bytes);
	question_free(question, found_bytes, found);
	question_free(question, answers_bytes, answers);
	return err;
}

/* ---- nearest/query ---- */

static size_t query_bytes_max(const struct fs *fs)
{
	(void)fs;
	return QUIVER_QUESTION_BYTES_MAX;
}

static int answer_query(struct question *question)
{
	struct fs *fs = question->fs;
	uint32_t vector_bytes = fs->geometry.vector_bytes;
	struct quiver_question asked = {
		.size = sizeof(asked),
		.metric = QUIVER_METRIC_OF_STORE,
		.vectors = question->bytes,
		.count = question->size / vector_bytes,
		.k = question->k,
	};

	if (question->size % vector_bytes != 0)
		return refuse(fs, -EINVAL,
		              "%s: got %zu bytes, expected vectors of %" PRIu32 " bytes each",
		              question->name, question->size, vector_bytes);
	if (asked.count > QUIVER_QUESTIONS_MAX ||
	    asked.count * asked.k > QUIVER_NEAREST_ANSWERS_MAX)
		return refuse(
			fs, -E2BIG,
			"%s: got %zu vectors with %" PRIu32
			" neighbours each; expected at most %u vectors and %u neighbours in all",
			question->name, asked.count, asked.k, QUIVER_QUESTIONS_MAX,
			QUIVER_NEAREST_ANSWERS_MAX);
	return answer_text(question, &asked);
}

static enum worker_class query_worker(const struct question *question)
{
	return neighbours_worker(question->size / question->fs->geometry.vector_bytes, question->k);
}

const struct question_kind query_questions = {
	.name = "nearest/query",
	.worker = query_worker,
	.bytes_max = query_bytes_max,
	.answer = answer_query,
};

/* ---- nearest/ID ---- */

static int answer_id(struct question *question, uint64_t id, void *vector)
{
	struct fs *fs = question->fs;
	struct quiver_attr attr;
	struct quiver_question asked = {
		.size = sizeof(asked),
		.metric = QUIVER_METRIC_OF_STORE,
		.vectors = vector,
		.count = 1,
		.k = question->k,
		.except = &id,
	};
	int err = quiver_get_copy(fs->store, id, vector, &attr, NULL);

	if (err == 0 && !asker_may_read(fs, question->asker, &attr))
		err = -EACCES;
	return err == 0 ? answer_text(question, &asked) : err;
}

int neighbours_text_make(struct fs *fs, const struct neighbours_name *name,
                         const struct asker *asker, struct neighbours_text *text)
{
	char shown[sizeof("nearest/") + TREE_ID_TEXT_BYTES];
	struct question question = { .fs = fs, .asker = asker, .name = shown, .k = name->k };
	void *vector = NULL;
	int err;

	*text = (struct neighbours_text){ NULL, 0, 0 };
	(void)snprintf(shown, sizeof(shown), "nearest/%" PRIu64, name->id);
	err = question_alloc(&question, fs->geometry.vector_bytes, &vector);
	if (err == 0)
		err = answer_id(&question, name->id, vector);
	question_free(&question, fs->geometry.vector_bytes, vector);
	*text = (struct neighbours_text){ question.answer, question.answer_bytes, question.room };
	if (err != 0)
		neighbours_text_free(fs, asker->uid, text);
	return err;
}

void neighbours_text_free(struct fs *fs, uid_t uid, struct neighbours_text *text)
{
	charge_give(fs, CHARGE_QUESTION_BYTES, uid, text->room);
	free(text->bytes);
	*text = (struct neighbours_text){ NULL, 0, 0 };
}
