/*
 * existing.h - what import does with an ID that is there already.
 */
#ifndef EXISTING_H
#define EXISTING_H

#include "tools/cli/id_tally.h"
#include "tools/cli/rows.h"
#include "tools/cli/session.h"

#include <stddef.h>
#include <stdint.h>

enum existing_mode {
	EXISTING_REPLACE, /* of vectors with one ID the last counts */
	EXISTING_SKIP, /* the first counts */
	EXISTING_FAIL, /* the import ends before the second */
};

struct existing {
	struct session *session;
	const struct rows *rows; /* that are looked at */
	enum existing_mode mode;
	int folder_fd; /* vectors/ of a live mount, or -1 */
	/* Of a store elsewhere all IDs there are, and those of rows looked at: to ask for each would
	 * be a question over the network. */
	struct id_tally known;
	struct existing_pair *pairs; /* a batch in the order of its IDs */
	unsigned char *there; /* for each row of it, whether its ID was there before it */
	size_t room;
	uint64_t skipped; /* rows left out so far */
	size_t looked; /* at rows of the last batch: fewer than there are where the next must end it */
};

/* "replace", "skip", "fail". 0, or -EINVAL for another word. */
int existing_parse(const char *name, enum existing_mode *mode);

/* To be given back with existing_close, also after an error. `room`: rows of the largest
 * batch of `rows`. Says errors. */
int existing_open(struct session *session, const struct rows *rows, enum existing_mode mode,
                  size_t room, struct existing *existing);
void existing_close(struct existing *existing);

/*
 * Look at the `count` rows of the last batch, all rows before them being committed, and close the
 * gaps that skipping leaves. The number of rows to commit. Where existing->looked is less than
 * `count` then, the row of that index is one too many: its ID is there, and the mode is
 * EXISTING_FAIL, or skipping it would leave its key to another vector. A negative errno after
 * having said what is wrong. Who writes to a live mount, or to a
 * collection in a cluster, at the same time may make an ID that is not seen here: that vector is
 * replaced.
 */
int64_t existing_sift(struct existing *existing, unsigned char *vectors, uint64_t *ids,
                      size_t count);

#endif
