/*
 * id_tally.h - which IDs there were: from which to which, and how many different ones.
 *
 * Exact. IDs that are near each other take next to no memory, in whatever order they come: 64 of
 * them share 16 bytes. One thread at a time.
 */
#ifndef ID_TALLY_H
#define ID_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Groups of 64 IDs that a tally keeps apart unless more are asked for, 128 MiB of them: six million
 * IDs that are scattered over all there are, and 400 million that follow one another. */
#define ID_TALLY_GROUPS_MAX (UINT64_C(6) << 20)

struct id_tally {
	uint64_t groups_max;
	uint64_t count; /* all that were added */
	uint64_t distinct; /* of them; where `full`, of those before */
	uint64_t least, most; /* where count > 0 */
	bool full; /* more groups than groups_max: distinct is not counted on */
	struct id_group *groups; /* of a power of two */
	size_t room, used;
	size_t last; /* the group of the ID before */
};

/* Begin with none. */
void id_tally_start(struct id_tally *tally, uint64_t groups_max);

/* Add an ID below UINT64_MAX. 1 it is new, 0 it was there before (or the tally is full), -ENOMEM. */
int id_tally_add(struct id_tally *tally, uint64_t id);

/* Add the IDs from `first` on, which nobody has added before or will again. */
void id_tally_add_range(struct id_tally *tally, uint64_t first, uint64_t count);

/* Give the memory back. The figures stay. */
void id_tally_end(struct id_tally *tally);

#endif
