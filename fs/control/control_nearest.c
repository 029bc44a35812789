/* control_nearest.c - control/nearest: which vectors are nearest, in binary. */
#include "fs/control/control_nearest.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "fs/base/refuse.h"
#include "fs/control/nearest_request.h"
#include "fs/question/neighbours.h"

_Static_assert(sizeof(struct quiver_neighbour) == 16,
               "a neighbour is answered as it lies in memory");

/* Within what the store takes. A question beyond that is refused before there is room for it. */
static bool is_too_much(const struct quiver_question *asked, uint32_t vector_bytes)
{
	return asked->k > QUIVER_NEAREST_MAX || asked->count > QUIVER_QUESTIONS_MAX ||
	       asked->count * asked->k > QUIVER_NEAREST_ANSWERS_MAX ||
	       asked->count * vector_bytes > QUIVER_QUESTION_BYTES_MAX;
}

static int refuse_too_much(const struct question *question, const struct quiver_question *asked)
{
	return refuse(question->fs, -E2BIG,
	              "%s: got %zu questions with %u neighbours each; expected at most %u "
	              "questions, %u bytes of questions, %u neighbours for each and %u for all",
	              question->name, asked->count, (unsigned)asked->k, QUIVER_QUESTIONS_MAX,
	              QUIVER_QUESTION_BYTES_MAX, QUIVER_NEAREST_MAX, QUIVER_NEAREST_ANSWERS_MAX);
}

/* Behind what was found. */
static void fill_rest(const struct quiver_question *asked, struct quiver_neighbour *answers,
                      const uint32_t *found)
{
	for (size_t i = 0; i < asked->count; i++) {
		for (uint32_t j = found[i]; j < asked->k; j++)
			answers[i * asked->k + j] =
				(struct quiver_neighbour){ QUIVER_ID_NONE, NAN };
	}
}

static int answer_nearest(struct question *question)
{
	struct fs *fs = question->fs;
	struct quiver_question asked;
	struct quiver_error error;
	struct quiver_neighbour *answers;
	uint32_t *found;
	size_t before, bytes;
	int err = nearest_request(question->bytes, question->size, fs->geometry.vector_bytes,
	                          &asked, &error);

	if (err != 0)
		return refuse(fs, err, "%s: %s", question->name, error.text);
	if (is_too_much(&asked, fs->geometry.vector_bytes))
		return refuse_too_much(question, &asked);
	before = (asked.count * sizeof(*found) + 7) / 8 * 8;
	bytes = before + asked.count * asked.k * sizeof(*answers);
	err = question_room(question, bytes);
	if (err != 0)
		return err;
	found = (void *)question->answer;
	answers = (void *)(question->answer + before);
	memset(question->answer, 0, before);
	err = neighbours_ask(question, &asked, answers, found);
	if (err != 0)
		return err;
	fill_rest(&asked, answers, found);
	question->answer_bytes = bytes;
	return 0;
}

/* What makes no sense is refused at once. */
static enum worker_class worker_of(const struct question *question)
{
	struct quiver_question asked;
	struct quiver_error error;

	if (nearest_request(question->bytes, question->size, question->fs->geometry.vector_bytes,
	                    &asked, &error) != 0)
		return WORKER_NEAREST;
	return neighbours_worker(asked.count, asked.k);
}

static size_t bytes_max(const struct fs *fs)
{
	(void)fs;
	return NEAREST_REQUEST_BYTES_MAX;
}

const struct question_kind nearest_questions = {
	.name = "control/nearest",
	.worker = worker_of,
	.bytes_max = bytes_max,
	.answer = answer_nearest,
};
