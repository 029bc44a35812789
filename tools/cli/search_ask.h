/*
 * search_ask.h - asking a session for nearest neighbours: the engine, or the daemon of a live mount.
 */
#ifndef SEARCH_ASK_H
#define SEARCH_ASK_H

#include "engine/codec/element.h"
#include "engine/quiver.h"
#include "tools/cli/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What holds for all questions. */
struct search_wanted {
	int metric; /* or QUIVER_METRIC_OF_STORE */
	bool exact;
	bool has_within;
	double within; /* as in struct quiver_question */
	bool has_ids; /* only of these */
	uint64_t *ids;
	size_t id_count;
};

struct search_asker {
	struct session *session;
	const struct search_wanted *wanted;
	enum quiver_metric metric; /* that is in force */
	enum element type; /* of the store */
	int fd; /* control/nearest of a live mount; -1 */
};

/* Questions that are asked together. */
struct search_questions {
	const void *vectors; /* count of them, one behind the other */
	const uint64_t *except; /* as in struct quiver_question; may be NULL */
	size_t count;
	uint32_t k;
	const uint64_t *ids; /* only of these; NULL: as is wanted of all */
	size_t id_count;
};

/*
 * Open what is named by `given` for questions: the store, or its mount where somebody has mounted it
 * to write; one that is mounted read-only, and a snapshot in a mount, by the store that it is of. To be
 * ended with session_close. Says errors.
 */
int search_open(const char *given, const struct reach *reach, struct session *session);

/* Keeps both. To be given back with search_asker_close in any case. Says errors. */
int search_asker_open(struct session *session, const struct search_wanted *wanted,
                      struct search_asker *asker);
void search_asker_close(struct search_asker *asker);

/*
 * Ask them, as quiver_nearest: `answers` has room for count * k, `found` for count. 0; -EINVAL one of
 * them has no distances (nothing is said); -EINTR a signal (nothing is said); another negative errno
 * after having said what is wrong.
 */
int search_ask(struct search_asker *asker, const struct search_questions *questions,
               struct quiver_neighbour *answers, uint32_t *found);

/* Room for what is wrong with a vector. */
#define SEARCH_FAULT_BYTES 96
/* Whether a vector can be seen to have no distances; why, to `why`. */
bool search_has_fault(const struct search_asker *asker, const void *vector,
                      char why[SEARCH_FAULT_BYTES]);

/* Which of two neighbours is nearer: below 0, the first. Of equal distances the lower ID. */
int search_compare(enum quiver_metric metric, const struct quiver_neighbour *one,
                   const struct quiver_neighbour *other);

#endif
