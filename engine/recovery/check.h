/*
 * check.h - a check under way; check.c and repair.c only.
 */
#ifndef QUIVER_CHECK_H
#define QUIVER_CHECK_H

#include "engine/recovery/recover.h"

struct check {
	struct quiver *store; /* files open, index and slots filled by the check */
	struct quiver_check_result *result;
	void (*say)(void *arg, const char *line);
	void *arg;
};

/* Tell the caller a line. */
void check_say(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Compare the vector in a live slot with its checksum; false is damage. */
bool check_vector(struct check *check, uint64_t slot, const char **why);
/* Put right what is damaged: what is removed lands in lost+found. The store is as after a
 * recovery then. 0 or -errno. */
int repair_contents(struct check *check);

#endif
