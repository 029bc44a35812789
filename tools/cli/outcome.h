/*
 * outcome.h - what became of the rows of an import, and saying it.
 */
#ifndef OUTCOME_H
#define OUTCOME_H

#include "tools/cli/existing.h"
#include "tools/cli/rows.h"

#include <stdbool.h>
#include <stdint.h>

#define OUTCOME_FROM_BYTES 512

struct outcome {
	uint64_t done; /* rows that are in, or were skipped */
	uint64_t skipped;
	uint64_t total; /* FORMAT_ROWS_UNKNOWN where it was not known */
	bool complete;
	int flushed; /* a negative errno: they may not be on stable storage */
	struct id_tally ids; /* the figures of the rows' IDs */
	uint64_t keys, new_keys; /* lines of the file of keys; of them those that came */
	const char *keys_path; /* NULL: none */
	char from[OUTCOME_FROM_BYTES]; /* where the IDs come from */
};

/* Take the rows' figures, before they are closed. */
void outcome_take(const struct rows *rows, struct outcome *outcome);

/* Say what is in, on standard output: how many vectors, and which IDs they got from where. */
void outcome_say(const char *target, enum existing_mode mode, const struct outcome *outcome);

/* Say how far an import came that is not complete. `how` comes before it. */
void outcome_say_incomplete(const char *target, const char *how, const struct outcome *outcome);

#endif
