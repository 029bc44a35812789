/*
 * map_read.c - vectors of a session as rows of doubles.
 */
#include "tools/cli/map_read.h"
#include "tools/cli/live.h"
#include "tools/cli/live_ask.h"
#include "tools/cli/say.h"
#include "tools/cli/vectors.h"
#include "tools/formats/interrupt.h"
#include "tools/map/pca.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of vectors that are read at once, and how many they are at most. */
#define READ_BYTES (1u << 20)
#define READ_MAX 4096u

static size_t room_of(const struct session *session)
{
	size_t most = READ_BYTES / session->geometry.vector_bytes;
	size_t room = vectors_at_once(session);

	if (room > 1)
		return room;
	return most < 1 ? 1 : most > READ_MAX ? READ_MAX : most;
}

int map_reader_open(struct session *session, enum quiver_metric metric, struct map_reader *reader)
{
	int result = element_parse(quiver_dtype_name(session->geometry.dtype), &reader->type);

	reader->session = session;
	reader->is_cosine = metric == QUIVER_COSINE;
	reader->get_fd = reader->folder_fd = -1;
	reader->room = room_of(session);
	reader->vectors = malloc(reader->room * session->geometry.vector_bytes);
	reader->results = calloc(reader->room, sizeof(*reader->results));
	reader->row = calloc(session->geometry.dim, sizeof(*reader->row));
	if (result == 0 &&
	    (reader->vectors == NULL || reader->results == NULL || reader->row == NULL))
		result = -ENOMEM;
	if (result < 0) {
		say_errno(session->target.path, result);
		return result;
	}
	if (session->target.live)
		reader->get_fd = live_get_open(session->mount_fd);
	return reader->get_fd >= 0 ? 0 : vectors_open_folder(session, &reader->folder_fd);
}

void map_reader_close(struct map_reader *reader)
{
	if (reader->get_fd >= 0)
		(void)close(reader->get_fd); /* what was asked is here */
	if (reader->folder_fd >= 0)
		(void)close(reader->folder_fd); /* it was only read */
	free(reader->vectors);
	free(reader->results);
	free(reader->row);
	reader->get_fd = reader->folder_fd = -1;
	reader->vectors = NULL;
	reader->results = NULL;
	reader->row = NULL;
}

/* The elements of a vector as doubles. */
static void spread(const struct map_reader *reader, const unsigned char *vector)
{
	size_t dim = reader->session->geometry.dim;

	if (reader->type == ELEMENT_F4 && __BYTE_ORDER == __LITTLE_ENDIAN) {
		for (size_t i = 0; i < dim; i++) {
			float number;

			memcpy(&number, vector + i * sizeof(number), sizeof(number));
			reader->row[i] = (double)number;
		}
		return;
	}
	for (size_t i = 0; i < dim; i++)
		reader->row[i] = element_get(reader->type, vector, i, NULL);
}

/* Whether the row has a place; it is made as long as 1 where that is asked for. */
static bool make_row(struct map_reader *reader, const unsigned char *vector)
{
	size_t dim = reader->session->geometry.dim;
	double most = 0, length = 0;

	spread(reader, vector);
	for (size_t i = 0; i < dim; i++) {
		if (!(fabs(reader->row[i]) <= PCA_ELEMENT_MAX)) {
			reader->not_finite++;
			return false;
		}
		most = fmax(most, fabs(reader->row[i]));
	}
	if (!reader->is_cosine)
		return true;
	if (most == 0) {
		reader->without_direction++;
		return false;
	}
	for (size_t i = 0; i < dim; i++) {
		reader->row[i] /= most; /* so that no square is too small */
		length += reader->row[i] * reader->row[i];
	}
	length = sqrt(length);
	for (size_t i = 0; i < dim; i++)
		reader->row[i] /= length;
	return true;
}

static int read_some(struct map_reader *reader, const uint64_t *ids, size_t count)
{
	struct session *session = reader->session;
	int result;

	if (interrupted())
		return -EINTR;
	if (reader->get_fd >= 0)
		result = live_get(reader->get_fd, ids, count, session->geometry.vector_bytes,
		                  reader->vectors, reader->results);
	else
		result = vectors_read(session, reader->folder_fd, ids, count, reader->vectors, NULL,
		                      reader->results);
	if (result < 0 && result != -EINTR)
		say_error(session->target.path, "reading vectors failed: %s",
		          live_strerror(result));
	return result;
}

static int say_unread(const struct map_reader *reader, uint64_t id, int result)
{
	say_error(reader->session->target.path, "vector %" PRIu64 " cannot be read: %s", id,
	          result == -EIO ? "it does not match its checksum, or the disk failed; "
	                           "'quiverfs verify' counts the damage"
	                         : live_strerror(result));
	return result;
}

int map_read(struct map_reader *reader, const uint64_t *ids, size_t count,
             struct progress *progress, uint64_t done,
             int (*each)(void *arg, size_t index, const double *row), void *arg)
{
	size_t vector_bytes = reader->session->geometry.vector_bytes;
	int result = 0;

	reader->given = reader->not_finite = reader->without_direction = 0;
	for (size_t first = 0; result == 0 && first < count; first += reader->room) {
		size_t some = count - first < reader->room ? count - first : reader->room;

		result = read_some(reader, ids + first, some);
		for (size_t i = 0; result == 0 && i < some; i++) {
			if (reader->results[i] == -ENOENT)
				continue;
			if (reader->results[i] < 0) {
				result = say_unread(reader, ids[first + i], reader->results[i]);
			} else if (make_row(reader, reader->vectors + i * vector_bytes)) {
				reader->given++;
				result = each(arg, first + i, reader->row);
			}
		}
		progress_update(progress, done + first + some);
	}
	return result;
}
