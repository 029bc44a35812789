/*
 * status.h - showing what is known of a store.
 */
#ifndef STATUS_H
#define STATUS_H

#include "tools/cli/facts.h"
#include "tools/cli/screen.h"
#include "tools/cli/session.h"

/* What was counted some time before, for what happens in a second. */
struct status_before {
	struct facts facts; /* without any before the first time */
	int64_t at_ns; /* of CLOCK_MONOTONIC */
};

/* A screen for people: what is wrong comes first. `before` may be NULL: no rates then;
 * `now_ns` is when `facts` were asked for. */
void status_show(const struct screen *screen, const struct session *session,
                 const struct facts *facts, const struct status_before *before, int64_t now_ns);

/* One flat JSON object on stdout, on one line where `one_line`. -ENOMEM. */
int status_print_json(const struct session *session, const struct facts *facts, bool one_line);

/* How `status` was asked to show it. */
struct status_wanted {
	const char *target;
	struct reach reach;
	bool json;
	bool follow;
	double seconds; /* between two looks when following */
};

/*
 * Show it again and again, until a signal ends it: 0 then. Each time the store is
 * looked up and opened anew, so that this keeps nobody from mounting, unmounting or
 * using it. A negative errno after having said what is wrong.
 */
int status_follow(const struct status_wanted *wanted, const struct screen *screen);

/* Look once and show it. 0, or a negative errno after having said what is wrong. `before`
 * may be NULL; else it is used and then set to what was seen now. */
int status_look(const struct status_wanted *wanted, const struct screen *screen,
                struct status_before *before);

#endif
