/* An index of nearest neighbours is built, kept and removed; questions are asked. */
#include <errno.h>
#include <string.h>

#include "manual_background.h"
#include "nearest.h"
#include "workload.h"

#define WHY_BYTES 1024

static void look(struct run *run)
{
	uint64_t ids[ORACLE_IDS];
	char why[WHY_BYTES];

	run_say(run, "questions");
	for (unsigned i = 0; i < ORACLE_IDS; i++)
		ids[i] = oracle_id(i);
	if (nearest_look(run->store, ids, ORACLE_IDS, chance_next(&run->nearest_chance), why,
	                 sizeof(why)) != 0)
		run_fail(run, "%s", why);
}

static void start(struct run *run)
{
	int r = quiver_nearest_index_start(run->store);

	run_say(run, "index: %s", strerror(-r));
	if (r != 0 && r != -EBUSY && r != -ENODATA)
		run_fail(run, "index: %s", strerror(-r));
}

static void off(struct run *run)
{
	int r = quiver_nearest_index_off(run->store);

	run_say(run, "no index");
	if (r)
		run_fail(run, "no index: %s", strerror(-r));
}

/* Not a step of its own: its chances are its own, so that the others are as without it. */
void workload_nearest(struct run *run)
{
	uint64_t what = chance_below(&run->nearest_chance, 100);

	/* In half of the seeds. */
	if (run->seed % 2 == 0)
		return;
	if (what < 6)
		start(run);
	else if (what < 18)
		manual_background_keep_lists(run->store);
	else if (what < 28)
		look(run);
	else if (what < 29)
		off(run);
}
