/*
 * search_live.c - control/nearest of a live mount: questions in binary.
 */
#include "tools/cli/search_live.h"
#include "tools/cli/live.h"
#include "tools/cli/live_ask.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define REQUEST_MAGIC "QUIVERNQ"
#define REQUEST_VERSION 1u
#define REQUEST_PARTS 4

/* What a request begins with; little-endian. */
struct request {
	char magic[8];
	uint32_t version;
	uint32_t k;
	int32_t metric;
	uint32_t flags;
	uint64_t within; /* the bits of a double */
	uint64_t count; /* of questions */
	uint64_t id_count;
	uint64_t except_count; /* 0 or count */
	uint64_t zero;
};

_Static_assert(sizeof(struct request) == 64, "the header of a request has holes");
/* An answer is read into place. */
_Static_assert(sizeof(struct quiver_neighbour) == 16, "a neighbour is an ID and a distance");
_Static_assert(sizeof(double) == sizeof(uint64_t), "a double has 64 bits");

int search_live_open(int mount_fd)
{
	return live_open(mount_fd, "control/nearest", O_RDWR);
}

static struct request header_of(const struct quiver_question *question)
{
	struct request request = {
		.version = htole32(REQUEST_VERSION),
		.k = htole32(question->k),
		.metric = (int32_t)htole32((uint32_t)question->metric),
		.flags = htole32(question->flags),
		.count = htole64(question->count),
		.id_count = htole64(question->id_count),
		.except_count = htole64(question->except != NULL ? question->count : 0),
	};
	uint64_t bits;

	memcpy(request.magic, REQUEST_MAGIC, sizeof(request.magic));
	memcpy(&bits, &question->within, sizeof(bits));
	request.within = htole64(bits);
	return request;
}

static int send_question(int fd, const struct quiver_question *question, size_t vector_bytes)
{
	size_t except_count = question->except != NULL ? question->count : 0;
	struct request request = header_of(question);
	uint64_t *made[2];
	const uint64_t *ids = live_little(question->ids, question->id_count, &made[0]);
	const uint64_t *except = live_little(question->except, except_count, &made[1]);
	struct iovec parts[REQUEST_PARTS] = {
		{ &request, sizeof(request) },
		{ (void *)(uintptr_t)ids, question->id_count * sizeof(*ids) },
		{ (void *)(uintptr_t)except, except_count * sizeof(*except) },
		{ (void *)(uintptr_t)question->vectors, question->count * vector_bytes },
	};
	int result = 0;

	if ((question->id_count > 0 && ids == NULL) || (except_count > 0 && except == NULL))
		result = -ENOMEM;
	if (result == 0)
		result = live_ask(fd, parts, REQUEST_PARTS);
	free(made[0]);
	free(made[1]);
	return result;
}

/* The numbers of answers, in 8 bytes each two of them. */
static int read_found(int fd, const struct quiver_question *question, uint32_t *found)
{
	uint32_t filler;
	int result = live_answer(fd, found, question->count * sizeof(*found));

	if (result == 0 && question->count % 2 != 0)
		result = live_answer(fd, &filler, sizeof(filler));
	for (size_t i = 0; i < question->count && result == 0; i++) {
		found[i] = le32toh(found[i]);
		if (found[i] > question->k)
			result = -EPROTO;
	}
	return result;
}

static void turn(struct quiver_neighbour *answers, size_t count)
{
	for (size_t i = 0; __BYTE_ORDER != __LITTLE_ENDIAN && i < count; i++) {
		uint64_t bits;

		memcpy(&bits, &answers[i].distance, sizeof(bits));
		bits = le64toh(bits);
		memcpy(&answers[i].distance, &bits, sizeof(bits));
		answers[i].id = le64toh(answers[i].id);
	}
}

int search_live_ask(int fd, const struct quiver_question *question, size_t vector_bytes,
                    struct quiver_neighbour *answers, uint32_t *found)
{
	size_t count = question->count * question->k;
	char more;
	int result = send_question(fd, question, vector_bytes);

	if (result == 0)
		result = read_found(fd, question, found);
	if (result == 0)
		result = live_answer(fd, answers, count * sizeof(*answers));
	/* The end has to be seen, or what is written next would go on with this one. */
	if (result == 0 && read(fd, &more, 1) != 0)
		result = -EPROTO;
	if (result == 0)
		turn(answers, count);
	return result;
}
