/* nearest_request.c - the question in what was written to control/nearest. */
#include "fs/control/nearest_request.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/codec/load.h"

#define ID_BYTES sizeof(uint64_t)
#define FLAGS_ALL ((unsigned)(QUIVER_NEAREST_EXACT | QUIVER_NEAREST_WITHIN))

static double load_double(const char *at)
{
	uint64_t bits = load64(at);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static bool is_metric(int32_t number)
{
	return number == QUIVER_METRIC_OF_STORE ||
	       (number >= QUIVER_L2 && number <= QUIVER_HAMMING);
}

/* -EINVAL. */
static int take_head(const char *bytes, size_t size, struct quiver_question *question,
                     struct quiver_error *error)
{
	if (size < NEAREST_HEAD_BYTES || memcmp(bytes, NEAREST_MARK, sizeof(NEAREST_MARK) - 1) != 0)
		snprintf(error->text, sizeof(error->text),
		         "expected a head of %u bytes that begins with %s, then the questions",
		         NEAREST_HEAD_BYTES, NEAREST_MARK);
	else if (load32(bytes + 8) != NEAREST_VERSION || load64(bytes + 56) != 0 ||
	         (load32(bytes + 20) & ~FLAGS_ALL) != 0)
		snprintf(error->text, sizeof(error->text),
		         "got version %" PRIu32 " with flags %" PRIx32
		         ", expected version %u, only flags of %x, and zeros at byte 56",
		         load32(bytes + 8), load32(bytes + 20), NEAREST_VERSION, FLAGS_ALL);
	else if (!is_metric((int32_t)load32(bytes + 16)))
		snprintf(error->text, sizeof(error->text),
		         "got metric %d, expected -1 (that of the store), 0 (l2), 1 (cosine), "
		         "2 (ip) or 3 (hamming)",
		         (int)(int32_t)load32(bytes + 16));
	else if ((load32(bytes + 20) & QUIVER_NEAREST_WITHIN) != 0 &&
	         isnan(load_double(bytes + 24)))
		snprintf(error->text, sizeof(error->text), "got a NaN as the bound of distances");
	else
		error->text[0] = '\0';
	if (error->text[0] != '\0')
		return -EINVAL;
	*question = (struct quiver_question){
		.size = sizeof(*question),
		.k = load32(bytes + 12),
		.metric = (int)(int32_t)load32(bytes + 16),
		.flags = load32(bytes + 20),
		.within = load_double(bytes + 24),
		.count = load64(bytes + 32),
		.id_count = load64(bytes + 40),
	};
	return 0;
}

/* Whether what follows the head is as long as it says; no sum of these can pass over. */
static bool is_whole(const struct quiver_question *question, uint64_t excepts, size_t size,
                     uint32_t vector_bytes)
{
	uint64_t most = NEAREST_REQUEST_BYTES_MAX;

	return question->count <= most && question->id_count <= most && excepts <= most &&
	       NEAREST_HEAD_BYTES + (question->id_count + excepts) * ID_BYTES +
	                       question->count * vector_bytes ==
	               size;
}

int nearest_request(const char *bytes, size_t size, uint32_t vector_bytes,
                    struct quiver_question *question, struct quiver_error *error)
{
	const char *at = bytes + NEAREST_HEAD_BYTES;
	int err = take_head(bytes, size, question, error);
	uint64_t excepts;

	if (err != 0)
		return err;
	excepts = load64(bytes + 48);
	if (question->count == 0 || question->k == 0 ||
	    (excepts != 0 && excepts != question->count) ||
	    !is_whole(question, excepts, size, vector_bytes)) {
		snprintf(error->text, sizeof(error->text),
		         "got %zu bytes, but the head says k %" PRIu32 ", %zu questions of %" PRIu32
		         " bytes, %zu IDs to search among, %" PRIu64 " to leave out",
		         size, question->k, question->count, vector_bytes, question->id_count,
		         excepts);
		return -EINVAL;
	}
	/* All of it is in the order of bytes that we have, and aligned. */
	if (question->id_count > 0)
		question->ids = (const void *)at;
	at += question->id_count * ID_BYTES;
	if (excepts > 0)
		question->except = (const void *)at;
	question->vectors = at + excepts * ID_BYTES;
	return 0;
}
