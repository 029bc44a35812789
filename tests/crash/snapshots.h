/*
 * snapshots.h - what is known of the snapshots of a store without asking it, and looking at them.
 */
#ifndef SNAPSHOTS_H
#define SNAPSHOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "chance.h"
#include "oracle.h"

#define SNAPSHOTS_MAX 6 /* so few names that each is used again and again */

struct snapshot_known {
	enum {
		SNAPSHOT_NONE,
		SNAPSHOT_THERE,
		SNAPSHOT_MAYBE, /* being made or removed just now, or that has failed */
	} kind;
	size_t k; /* number of the state that it is of */
	struct oracle_state state;
};

/* By name. */
struct snapshots_known {
	struct snapshot_known items[SNAPSHOTS_MAX];
};

/* A store that may have snapshots, and where to say what is wrong with them. */
struct snapshots_place {
	struct quiver *store; /* NULL: nobody has it open */
	const char *path;
	const struct oracle *oracle;
	char *why;
	size_t room;
};

/* The name of number `n`. */
const char *snapshots_name(size_t n);
/* Open one, in this process or as another would. */
int snapshots_open(const struct snapshots_place *place, size_t n, bool alone, struct quiver **view);
/* Whether what is open is that state, by ID, in its listing and in its columns, and cannot be
 * changed: 0, or a line in `why`. */
int snapshots_compare(const struct snapshots_place *place, size_t n, struct quiver *view,
                      const struct oracle_state *want);
/* All of an open store: those that there are, each with its content, and what each pair differs in;
 * of those that may be there it is known afterwards. With `exact` nothing was changed since the last
 * checkpoint and none is open: then it is known what they hold. 0, or a line in `why`. */
int snapshots_look(const struct snapshots_place *place, struct snapshots_known *known, bool exact);
/* The same through their files alone, whoever has the store open, or whatever a crash has left;
 * `known` stays. */
int snapshots_look_alone(const struct snapshots_place *place, const struct snapshots_known *known);
/* Remove all: nothing is held any more, and compaction takes all the room. */
int snapshots_remove_all(const struct snapshots_place *place, struct snapshots_known *known);
/* How many there are at least, and at most. */
size_t snapshots_least(const struct snapshots_known *known);
size_t snapshots_most(const struct snapshots_known *known);

#endif
