/*
 * search_ask.c - asking a session for nearest neighbours: the engine, or the daemon of a live mount.
 */
#include "tools/cli/search_ask.h"
#include "tools/cli/live.h"
#include "tools/cli/mounts.h"
#include "tools/cli/say.h"
#include "tools/cli/search_live.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- opening ------------------------------------------------------------ */

/* The store that is mounted read-only at session->target.path, or that the snapshot there is of. Says
 * errors. */
static int find_beneath(const struct session *session, char path[PATH_MAX])
{
	static const char between[] = "/snapshots/";
	char point[PATH_MAX];
	struct mount_found mount;
	const char *name = NULL;
	int result;

	(void)snprintf(point, sizeof(point), "%s", session->target.path);
	if (session->target.snapshot) {
		name = strrchr(point, '/') + 1;
		point[(size_t)(name - point) - (sizeof(between) - 1)] = '\0';
	}
	result = mounts_find(point, &mount);
	if (result == 0 &&
	    (!mount.found || (mount.source[0] != '/' && quiver_is_folder(mount.source))))
		result = -ENOENT;
	if (result == 0 && snprintf(path, PATH_MAX, "%s%s%s", mount.source, name != NULL ? "@" : "",
	                            name != NULL ? name : "") >= PATH_MAX)
		result = -ENAMETOOLONG;
	if (result < 0)
		say_error(session->target.path,
		          "the store that is mounted there cannot be found: %s", strerror(-result));
	return result;
}

/* Nobody can write a question into a mount that is read-only: open what is mounted there. Takes the
 * session over. Says errors. */
static int open_beneath(const struct reach *reach, struct session *session)
{
	char point[PATH_MAX], path[PATH_MAX];
	int result = find_beneath(session, path);

	memcpy(point, session->target.path, sizeof(point));
	(void)session_close(session); /* it was only looked at */
	if (result < 0)
		return result;
	result = session_open(path, reach, SESSION_READ_ONLY, session);
	if (result < 0) {
		say_note(point,
		         "the mount is read-only, so no question can be written, and the store "
		         "itself must be opened; without that, %s/nearest/ID shows what is nearest "
		         "to vector ID",
		         point);
		return result;
	}
	if (!session->target.live)
		return 0;
	say_error(point, "it has no control/nearest, because its daemon is older than this "
	                 "program; unmount it, and mount it again");
	(void)session_close(session); /* nothing was done with it */
	return -ENOENT;
}

int search_open(const char *given, const struct reach *reach, struct session *session)
{
	int result = session_begin(given, reach, SESSION_READ_ONLY, session);
	int fd;

	if (result < 0 || !session->target.live)
		return result;
	fd = search_live_open(session->mount_fd);
	if (fd >= 0) {
		(void)close(fd); /* nothing was asked */
		return 0;
	}
	if (fd == -ENOENT || fd == -EROFS)
		return open_beneath(reach, session);
	say_error(session->target.path, "control/nearest cannot be opened: %s", live_strerror(fd));
	(void)session_close(session); /* nothing was done with it */
	return fd;
}

/* The metric in force. Says errors. */
static int find_metric(struct search_asker *asker)
{
	const struct session *session = asker->session;
	struct quiver_description description = { .metric = QUIVER_L2 };
	enum quiver_dtype dtype = session->geometry.dtype;
	int result = 0;

	if (asker->wanted->metric == QUIVER_METRIC_OF_STORE) {
		result = session_describe(asker->session, &description);
		asker->metric = description.metric;
	} else {
		asker->metric = (enum quiver_metric)asker->wanted->metric;
	}
	if (result < 0 && result != -ENOENT)
		return result;
	if (asker->metric != QUIVER_HAMMING || dtype == QUIVER_B1 || dtype == QUIVER_U1)
		return 0;
	say_error(session->target.path, "--metric hamming is for dtype b1 or u1; this store has %s",
	          quiver_dtype_name(dtype));
	return -EINVAL;
}

int search_asker_open(struct session *session, const struct search_wanted *wanted,
                      struct search_asker *asker)
{
	int result = element_parse(quiver_dtype_name(session->geometry.dtype), &asker->type);

	asker->session = session;
	asker->wanted = wanted;
	asker->fd = -1;
	return result < 0 ? result : find_metric(asker);
}

void search_asker_close(struct search_asker *asker)
{
	if (asker->fd >= 0)
		(void)close(asker->fd); /* what was answered is here */
	asker->fd = -1;
}

/* ---- asking ------------------------------------------------------------- */

/* Ask the daemon; the file is opened anew after an error. */
static int ask_live(struct search_asker *asker, const struct quiver_question *question,
                    struct quiver_neighbour *answers, uint32_t *found)
{
	size_t vector_bytes = asker->session->geometry.vector_bytes;
	int result;

	if (asker->fd < 0)
		asker->fd = search_live_open(asker->session->mount_fd);
	if (asker->fd < 0)
		return asker->fd;
	result = search_live_ask(asker->fd, question, vector_bytes, answers, found);
	if (result < 0)
		search_asker_close(asker);
	return result;
}

static void say_failed(const struct search_asker *asker, int result)
{
	const char *path = asker->session->target.path;

	if (result == -EACCES || result == -EPERM)
		say_error(path, "this user may not search in it: %s", strerror(-result));
	else if (result == -EDQUOT || result == -EFBIG || result == -E2BIG)
		say_error(path, "the questions need more memory than the daemon gives this user; "
		                "ask for fewer neighbours (-k) or among fewer IDs (--ids)");
	else if (result == -EPROTO)
		say_error(path, "control/nearest gave an unexpected answer; is the daemon newer "
		                "than this program?");
	else
		say_error(path, "searching failed: %s", live_strerror(result));
}

int search_ask(struct search_asker *asker, const struct search_questions *questions,
               struct quiver_neighbour *answers, uint32_t *found)
{
	const struct search_wanted *wanted = asker->wanted;
	struct quiver_question question = {
		.size = sizeof(question),
		.metric = (int)asker->metric,
		.vectors = questions->vectors,
		.count = questions->count,
		.k = questions->k,
		.within = wanted->within,
		.except = questions->except,
	};
	int result;

	question.flags = (wanted->exact ? QUIVER_NEAREST_EXACT : 0) |
	                 (wanted->has_within ? QUIVER_NEAREST_WITHIN : 0);
	if (questions->ids != NULL || wanted->has_ids) {
		question.ids = questions->ids != NULL ? questions->ids : wanted->ids;
		question.id_count = questions->ids != NULL ? questions->id_count : wanted->id_count;
		memset(found, 0, questions->count * sizeof(*found));
		if (question.id_count == 0)
			return 0; /* in a request 0 of them would be all */
	}
	if (asker->session->target.live)
		result = ask_live(asker, &question, answers, found);
	else
		result = quiver_nearest(asker->session->store, &question, answers, found);
	if (result < 0 && result != -EINVAL && result != -EINTR)
		say_failed(asker, result);
	return result;
}

/* ---- what is wrong with a vector ---------------------------------------- */

/* Whether all of its bits are those of 0; of floats -0 is, too. */
static bool is_zero(const struct search_asker *asker, const unsigned char *vector)
{
	const struct quiver_geometry *geometry = &asker->session->geometry;
	size_t i = 0;

	while (i < geometry->vector_bytes && vector[i] == 0)
		i++;
	if (i == geometry->vector_bytes)
		return true;
	if (!element_is_float(asker->type))
		return false;
	for (i /= element_bytes(asker->type); i < geometry->dim; i++) {
		if (element_get(asker->type, vector, i, NULL) != 0)
			return false;
	}
	return true;
}

bool search_has_fault(const struct search_asker *asker, const void *vector,
                      char why[SEARCH_FAULT_BYTES])
{
	bool is_cosine = asker->metric == QUIVER_COSINE;
	uint32_t dim = asker->session->geometry.dim;
	size_t at = 0;
	double number = 0;

	if (is_cosine && is_zero(asker, vector)) {
		(void)snprintf(why, SEARCH_FAULT_BYTES,
		               "all its elements are 0, so it has no direction to compare");
		return true;
	}
	if (element_all_finite(asker->type, vector, dim, &at))
		return false;
	for (; at < dim; at++) {
		number = element_get(asker->type, vector, at, NULL);
		if (isnan(number) || (isinf(number) && (is_cosine || asker->metric == QUIVER_L2)))
			break;
	}
	if (at == dim)
		return false;
	(void)snprintf(why, SEARCH_FAULT_BYTES, "element %zu is %s, so it has no distances", at,
	               isnan(number) ? "NaN" : "infinite");
	return true;
}

int search_compare(enum quiver_metric metric, const struct quiver_neighbour *one,
                   const struct quiver_neighbour *other)
{
	double a = metric == QUIVER_IP ? other->distance : one->distance;
	double b = metric == QUIVER_IP ? one->distance : other->distance;

	if (a != b)
		return a < b ? -1 : 1;
	return (one->id > other->id) - (one->id < other->id);
}
