/*
 * search_batch.h - some questions of a search, from files or by the IDs of vectors, one batch after
 * another.
 */
#ifndef SEARCH_BATCH_H
#define SEARCH_BATCH_H

#include "tools/cli/rows.h"
#include "tools/cli/search_ask.h"
#include "tools/cli/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct search_batch {
	size_t count, room;
	unsigned char *vectors; /* count of them, one behind the other */
	uint64_t *numbers; /* the row of each, counted through all files, or its ID */
	bool *unanswered; /* it cannot be asked, or has no distances */
	bool is_by_id; /* numbers are IDs, each of which is no answer to its own question */
};

/* Where questions come from: rows, or vectors of the session. */
struct search_source {
	struct search_asker *asker;
	const struct rows_options *rows_options; /* NULL: IDs */
	struct rows rows; /* where rows_options is set, once it is open */
	bool has_rows;
	const uint64_t *ids;
	size_t id_count, next;
	bool is_all; /* the IDs are a list of all that there are: some may have gone since */
	int get_fd; /* control/get of a live mount, for IDs; -1 */
	int folder_fd; /* vectors/ of a daemon that has none; -1 */
	int *results; /* of a batch's IDs */
	uint64_t total; /* or FORMAT_ROWS_UNKNOWN */
	uint64_t failed; /* questions that cannot be answered, which was said */
	uint64_t passed; /* of all that there are: without distances, which was not */
	uint64_t denied; /* of those that failed: not said, since it may be millions */
};

/* Room for batches of `room`. 0, to be given back with search_batch_free in any case, or -ENOMEM after
 * having said it. */
int search_batch_make(const struct session *session, size_t room, struct search_batch *batch);
void search_batch_free(struct search_batch *batch);

/* Open files, or begin with IDs; `source` has asker and rows_options, or ids, id_count and is_all set. To
 * be given back with search_source_close in any case. Says errors. */
int search_source_open(struct search_source *source, size_t room);
void search_source_close(struct search_source *source);

/* Read the next questions: how many, 0 at the end. -EINTR (nothing is said) a signal; another negative
 * errno after having said what is wrong. What is wrong with a single one is said, and counted. */
int64_t search_source_read(struct search_source *source, struct search_batch *batch);

/* Question `index` of the batch has no distances, `why` being NULL where that is not known: say so. */
void search_source_refuse(struct search_source *source, struct search_batch *batch, size_t index,
                          const char *why);

/* All questions are answered: say what conversion changed. Says errors. */
int search_source_finish(struct search_source *source);

#endif
