/*
 * status_look.c - one look at a store, and showing it.
 */
#include "tools/cli/say.h"
#include "tools/cli/status.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

static int64_t now_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		return 0;
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Show what there is, and keep it for the next time where there is one. */
static int show(const struct status_wanted *wanted, const struct screen *screen,
                const struct session *session, struct facts *facts, struct status_before *before)
{
	int64_t now = now_ns();
	int result = 0;

	if (wanted->json)
		result = status_print_json(session, facts, wanted->follow);
	else
		status_show(screen, session, facts, before, now);
	if (result < 0)
		say_errno("standard output", result);
	if (before != NULL) {
		facts_free(&before->facts);
		before->facts = *facts;
		before->at_ns = now;
		memset(facts, 0, sizeof(*facts));
	}
	return result;
}

int status_look(const struct status_wanted *wanted, const struct screen *screen,
                struct status_before *before)
{
	struct session session;
	struct facts facts;
	int result = session_open(wanted->target, &wanted->reach,
	                          SESSION_READ_ONLY | SESSION_MOUNT | SESSION_QUIET, &session);
	int closed;

	if (result < 0)
		return result;
	result = facts_get(&session, &facts);
	if (result == 0) {
		result = show(wanted, screen, &session, &facts, before);
		facts_free(&facts);
	}
	closed = session_close(&session);
	return result < 0 ? result : closed;
}
