/*
 * facts.h - what is known of a store: keys and values, as in control/stats.
 */
#ifndef FACTS_H
#define FACTS_H

#include "tools/cli/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than any daemon tells; what goes beyond is left out. */
#define FACTS_MAX 256u

/* Room for why a number is not known. */
#define FACTS_UNKNOWN_BYTES 96

struct fact {
	const char *key;
	const char *value;
};

struct facts {
	size_t count;
	struct fact list[FACTS_MAX]; /* point into text */
	char *text; /* malloc'd */
	char unknown[FACTS_UNKNOWN_BYTES]; /* what stands in place of numbers that are not known */
	char *errors; /* the last refusals and faults, a line each; malloc'd; may be NULL */
};

/*
 * Ask a live mount or the engine. 0, to be given back with facts_free, or a
 * negative errno after having said what is wrong.
 */
int facts_get(struct session *session, struct facts *facts);
void facts_free(struct facts *facts);

/* The value of a key, or NULL where nobody told it. */
const char *facts_find(const struct facts *facts, const char *key);

/* Whether it is the value of what should be a number, and could not be had: "unknown: WHY". */
bool facts_is_unknown(const char *value);

/* The same as a number; 0 where it is not told or none. */
uint64_t facts_number(const struct facts *facts, const char *key);
double facts_real(const struct facts *facts, const char *key);

#endif
