/*
 * id_tally.c - which IDs there were: from which to which, and how many different ones.
 */
#include "tools/cli/id_tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_SHIFT 6
#define FIRST_ROOM 1024u
/* An odd number without a pattern: 2^64 by the golden ratio. */
#define SCATTER UINT64_C(0x9e3779b97f4a7c15)

/* The IDs number * 64 ... + 63: a bit of each that was there. Without any it is free. */
struct id_group {
	uint64_t number;
	uint64_t bits;
};

void id_tally_start(struct id_tally *tally, uint64_t groups_max)
{
	memset(tally, 0, sizeof(*tally));
	tally->groups_max = groups_max;
	tally->least = UINT64_MAX;
}

/* Where the group is, or would be. */
static size_t find(const struct id_group *groups, size_t room, uint64_t number)
{
	uint64_t mixed = (number ^ number >> 32) * SCATTER;
	size_t at = (size_t)(mixed ^ mixed >> 29) & (room - 1);

	while (groups[at].bits != 0 && groups[at].number != number)
		at = (at + 1) & (room - 1);
	return at;
}

/* Twice as much room, before three of four are taken. */
static int make_room(struct id_tally *tally)
{
	size_t room = tally->room > 0 ? tally->room * 2 : FIRST_ROOM;
	struct id_group *groups;

	if (tally->used + 1 <= tally->room / 4 * 3)
		return 0;
	groups = calloc(room, sizeof(*groups));
	if (groups == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < tally->room; i++) {
		if (tally->groups[i].bits != 0)
			groups[find(groups, room, tally->groups[i].number)] = tally->groups[i];
	}
	free(tally->groups);
	tally->groups = groups;
	tally->room = room;
	tally->last = 0;
	return 0;
}

/* The group of an ID, a new one too. NULL where there may be no more; -ENOMEM to *result. */
static struct id_group *group_of(struct id_tally *tally, uint64_t number, int *result)
{
	size_t at = tally->last;

	*result = 0;
	if (tally->room > 0 && tally->groups[at].bits != 0 && tally->groups[at].number == number)
		return &tally->groups[at];
	*result = make_room(tally);
	if (*result < 0)
		return NULL;
	at = find(tally->groups, tally->room, number);
	if (tally->groups[at].bits == 0) {
		if (tally->used >= tally->groups_max) {
			tally->full = true;
			return NULL;
		}
		tally->used++;
		tally->groups[at].number = number;
	}
	tally->last = at;
	return &tally->groups[at];
}

int id_tally_add(struct id_tally *tally, uint64_t id)
{
	uint64_t bit = UINT64_C(1) << (id & ((UINT64_C(1) << GROUP_SHIFT) - 1));
	struct id_group *group;
	int result;

	tally->count++;
	if (id < tally->least)
		tally->least = id;
	if (id > tally->most)
		tally->most = id;
	if (tally->full)
		return 0;
	group = group_of(tally, id >> GROUP_SHIFT, &result);
	if (group == NULL || (group->bits & bit) != 0)
		return result;
	group->bits |= bit;
	tally->distinct++;
	return 1;
}

void id_tally_add_range(struct id_tally *tally, uint64_t first, uint64_t count)
{
	if (count == 0)
		return;
	if (first < tally->least)
		tally->least = first;
	if (first + count - 1 > tally->most)
		tally->most = first + count - 1;
	tally->count += count;
	tally->distinct += count;
}

void id_tally_end(struct id_tally *tally)
{
	free(tally->groups);
	tally->groups = NULL;
	tally->room = 0;
	tally->used = 0;
	tally->last = 0;
}
