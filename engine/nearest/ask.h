/*
 * ask.h - one call of quiver_nearest: comparing and proving, whatever the vectors lie in.
 *
 * A pass over the vectors compares in single precision and keeps some more than are asked for. Then each
 * of those is fetched by its ID, compared with its checksum and measured in double, as it is at that
 * moment: what an answer tells is proven, whatever the pass has seen. Where what was proven does not
 * show that nothing nearer was passed by, the pass is done again with all in double that single precision
 * cannot tell from the nearest, and then, if they were changed meanwhile, so that it keeps more.
 */
#ifndef QUIVER_NEAREST_ASK_H
#define QUIVER_NEAREST_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/nearest/comparing.h"
#include "engine/quiver.h"

/* Vectors that are proven together: a store elsewhere is asked once. */
#define ASK_COPIES 64u

/* Where the vectors are. */
struct source {
	void *arg;
	/* Compare all vectors, or those of ids[], which are ascending and each there once, with the
	 * questions of the round, and put the nearest into its tops, which are empty. 0; -EINTR the caller
	 * does not want it any more; another negative errno. */
	int (*pass)(void *arg, struct round *round, const uint64_t *ids, size_t id_count);
	/* Copy vectors as they are now, their checksums compared: of ids[i] to row i of `to`; results[i] is
	 * 0, -ENOENT, or -EIO where it is damaged (reported). At most ASK_COPIES. 0 or a negative errno,
	 * which ends the call. */
	int (*copy)(void *arg, const uint64_t *ids, size_t count, void *to, int *results);
	size_t questions_max; /* of a pass; at most DISTANCE_QUESTIONS_MAX */
	/* The pass may miss some for good, as that of an index: what it keeps is not asked for twice. */
	bool is_approximate;
};

/*
 * quiver_nearest, of a question that was looked at: `question` with all members, and a metric of its
 * own. The calling thread alone calls the source. Errors of quiver_nearest.
 */
int ask(const struct source *source, const struct distance *distance,
        const struct quiver_question *question, struct quiver_neighbour *answers, uint32_t *found);

#endif
