/* control_get.c - control/get: many vectors at once. */
#include "fs/control/control_get.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/base/refuse.h"

#define ID_BYTES sizeof(uint64_t)

uint32_t get_ids_max(uint32_t vector_bytes)
{
	uint32_t fit = GET_BYTES_MAX / vector_bytes;

	if (fit == 0)
		return 1;
	return fit < GET_IDS_MAX ? fit : GET_IDS_MAX;
}

static size_t bytes_max(const struct fs *fs)
{
	return get_ids_max(fs->geometry.vector_bytes) * ID_BYTES;
}

/* What is found of a question. */
struct found {
	struct quiver_attr *attrs; /* NULL: who asks may read all */
	int *results;
};

static enum get_result result_of(const struct question *question, const struct found *found,
                                 size_t i)
{
	if (found->results[i] == -ENOENT)
		return GET_MISSING;
	if (found->results[i] != 0)
		return GET_DAMAGED;
	if (found->attrs != NULL &&
	    !asker_may_read(question->fs, question->asker, &found->attrs[i]))
		return GET_DENIED;
	return GET_FOUND;
}

/* The vectors themselves, and behind them what there is. */
static int fill(struct question *question, const uint64_t *ids, size_t count,
                const struct found *found)
{
	size_t bytes = question->fs->geometry.vector_bytes;
	char *result = question->answer + count * bytes;
	int err = quiver_get_many(question->fs->store, ids, count, question->answer, found->attrs,
	                          found->results);

	for (size_t i = 0; err == 0 && i < count; i++) {
		result[i] = (char)result_of(question, found, i);
		if (result[i] != GET_FOUND)
			memset(question->answer + i * bytes, 0, bytes);
	}
	return err;
}

static int answer_get(struct question *question)
{
	size_t count = question->size / ID_BYTES;
	/* The bytes are aligned, and we run on machines of this order alone. */
	const uint64_t *ids = (const void *)question->bytes;
	size_t bytes = count * (question->fs->geometry.vector_bytes + 1);
	bool filters = !question->asker->reads_all;
	void *attrs = NULL, *results = NULL;
	int err;

	if (question->size % ID_BYTES != 0)
		return refuse(question->fs, -EINVAL,
		              "%s: got %zu bytes, expected IDs of 8 bytes each", question->name,
		              question->size);
	err = question_room(question, bytes);
	if (err == 0)
		err = question_alloc(question, count * sizeof(int), &results);
	if (err == 0 && filters)
		err = question_alloc(question, count * sizeof(struct quiver_attr), &attrs);
	if (err == 0)
		err = fill(question, ids, count,
		           &(struct found){ .attrs = attrs, .results = results });
	if (err == 0)
		question->answer_bytes = bytes;
	question_free(question, count * sizeof(struct quiver_attr), attrs);
	question_free(question, count * sizeof(int), results);
	return err;
}

static enum worker_class worker_of(const struct question *question)
{
	(void)question;
	return WORKER_GET;
}

const struct question_kind get_questions = {
	.name = "control/get",
	.worker = worker_of,
	.bytes_max = bytes_max,
	.answer = answer_get,
};
