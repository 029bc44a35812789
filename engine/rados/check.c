#include "engine/rados/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/base/error.h"
#include "engine/rados/failure.h"
#include "engine/rados/flight.h"
#include "engine/rados/inspect.h"
#include "engine/rados/repair.h"

/* So many objects one after the other that the cluster did not answer for: it answers for none. */
#define UNREAD_MAX 16u

struct check {
	struct collection *collection;
	bool repair;
	void (*say)(void *arg, const char *line);
	void *arg;
	struct quiver_check_result *result;
	unsigned unread; /* objects in a row, until now */
	uint64_t empty; /* objects without vectors */
	uint64_t left; /* rows of a removed collection */
	uint64_t lost; /* objects that repairs have made */
};

static void say(const struct check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void say(const struct check *check, const char *format, ...)
{
	char line[REPORT_LINE_BYTES];
	va_list args;

	if (!check->say)
		return;
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	check->say(check->arg, line);
}

static int repair(struct check *check, uint64_t id)
{
	char to[OBJECT_NAME_BYTES];
	int r = repair_move_aside(check->collection, id, to);

	if (r == 0)
		say(check, "vector %" PRIu64 ": moved aside to the object %s", id, to);
	else if (r == -ENOENT)
		say(check,
		    "vector %" PRIu64 ": another client wrote or removed it during the check", id);
	else
		return r;
	check->result->repaired++;
	return 0;
}

static int look_at_vector(void *arg, uint64_t id, const char *fault)
{
	struct check *check = arg;
	char object[OBJECT_NAME_BYTES];

	check->result->vectors++;
	if (flight_is_stopped())
		return -EINTR;
	if (!fault)
		return 0;
	check->result->damage++;
	layout_object_name(check->collection->connection.target.name,
	                   layout_object(&check->collection->layout, id), object);
	say(check, "vector %" PRIu64 " in the object %s: %s", id, object, fault);
	return check->repair ? repair(check, id) : 0;
}

static int look_at_object(void *arg, const struct inspected *object)
{
	struct check *check = arg;

	check->unread = 0;
	if (object->is_beyond)
		say(check, "the object %s does not belong to any possible ID; it is skipped",
		    object->name);
	if (object->others > 0)
		say(check,
		    "the object %s has keys that are not known here (%" PRIu32
		    "%s); they are skipped",
		    object->name, object->others, object->has_more ? " or more" : "");
	check->left += object->left;
	check->empty += !object->is_beyond && object->vectors == 0 && object->left == 0;
	return 0;
}

static int look_at_lost(void *arg, const char *object)
{
	struct check *check = arg;

	(void)object;
	check->lost++;
	return 0;
}

static int miss(void *arg, const char *object)
{
	struct check *check = arg;

	check->result->damage++;
	say(check,
	    "the object %s: no answer from the cluster within %u s (op_timeout), so its vectors "
	    "could not be read; `ceph health detail` shows objects that are lost or cannot be "
	    "reached",
	    object, check->collection->connection.op_timeout_s);
	return ++check->unread < UNREAD_MAX ? 0 : -ETIMEDOUT;
}

/* What is no fault, but what somebody should know. */
static void say_rest(const struct check *check)
{
	const char *name = check->collection->connection.target.name;

	if (check->empty > 0)
		say(check,
		    "%" PRIu64
		    " objects hold no vectors any more; they stay, and take about 100 bytes each",
		    check->empty);
	if (check->left > 0)
		say(check,
		    "%" PRIu64 " vectors are left from a collection %s that was removed before; "
		    "nobody sees them; they disappear when their IDs are written",
		    check->left, name);
	if (check->lost > 0)
		say(check,
		    "%" PRIu64 " objects %s.lost+found.* hold what repairs moved aside; when "
		    "nobody needs them, remove them with `rados rm`",
		    check->lost, name);
}

int collection_check(const char *path, const char *access, bool do_repair,
                     void (*say_line)(void *arg, const char *line), void *arg,
                     struct quiver_check_result *result, struct quiver_error *error)
{
	const struct quiver_options options = { .size = sizeof(options),
		                                .read_only = !do_repair,
		                                .access = access };
	struct check check = { .repair = do_repair, .say = say_line, .arg = arg, .result = result };
	struct inspection inspection = { .vector = look_at_vector,
		                         .object = look_at_object,
		                         .lost = look_at_lost,
		                         .unread = miss,
		                         .arg = &check };
	char why[REPORT_LINE_BYTES];
	int r = collection_open(path, &options, &check.collection, error);

	if (r != 0)
		return r;
	result->clean = true; /* it is never closed, and needs no recovery */
	inspection.collection = check.collection;
	r = inspect(&inspection);
	if (r == 0) {
		say_rest(&check);
	} else {
		failure_explain(&check.collection->connection, r, do_repair, why, sizeof(why));
		error_set(error, "%s: the check could not finish: %s", path, why);
	}
	/* Where the cluster hangs now, that says nothing of what was found. */
	(void)collection_close(check.collection);
	return r;
}
