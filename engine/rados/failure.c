#include "engine/rados/failure.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/latency.h"

/* Half of the lines that are kept, in as long as a request takes to fail. */
#define SAID_MAX (REPORT_LINES / 2)
#define SAID_IN_NS (UINT64_C(60) * 1000000000)

int failure_errno(int r, bool is_writing)
{
	switch (r) {
	case 0:
	case -ETIMEDOUT:
	case -EINTR:
	case -ENOSPC:
	case -EDQUOT:
	case -ENOMEM:
	case -EBUSY:
		return r;
	case -EPERM:
	case -EACCES:
		return is_writing ? -EROFS : -EACCES;
	default: /* also those that mean something else in quiver.h, as -EAGAIN and -ENOENT */
		return -EIO;
	}
}

void failure_explain(const struct connection *connection, int r, bool is_writing, char *to,
                     size_t room)
{
	const char *pool = connection->target.pool;
	char caps[400];

	switch (r) {
	case -ETIMEDOUT:
		(void)snprintf(
			to, room,
			"no answer from the cluster within %u s (op_timeout)%s; see `ceph -s`",
			connection->op_timeout_s,
			is_writing ? "; it may or may not have happened, and may still happen"
				   : "");
		break;
	case -EINTR:
		(void)snprintf(
			to, room, "the caller was interrupted while waiting for the cluster%s",
			is_writing ? "; it may or may not have happened, and may still happen"
				   : "");
		break;
	case -ESHUTDOWN:
		(void)snprintf(to, room,
		               "the cluster has fenced this client (`ceph osd blocklist ls`); "
		               "unmount or close the collection, then mount again");
		break;
	case -ENOENT:
		(void)snprintf(to, room, "the collection is gone: it or its pool %s was removed",
		               pool);
		break;
	case -ENOSPC:
		(void)snprintf(to, room,
		               "the pool %s is full (`ceph df`); nothing has changed; remove "
		               "vectors, or add disks to the cluster",
		               pool);
		break;
	case -EDQUOT:
		(void)snprintf(to, room,
		               "the pool %s has reached its quota (`ceph osd pool get-quota %s`); "
		               "nothing has changed",
		               pool, pool);
		break;
	case -EPERM:
	case -EACCES:
		connection_caps(connection, is_writing ? "rw" : "r", caps);
		(void)snprintf(to, room,
		               "the cluster does not allow %s to do this; caps needed: %s",
		               connection->user, caps);
		break;
	default:
		(void)snprintf(to, room, "the cluster answers: %s (%d); see `ceph health detail`",
		               strerror(r <= -4095 ? EIO : -r), r);
	}
}

/* Whether there is room for a line; *unsaid: for how many there was none since the last. */
static bool may_say(struct failures *failures, uint64_t *unsaid)
{
	uint64_t now_ns = clock_monotonic_ns();
	bool may;

	pthread_mutex_lock(&failures->lock);
	if (now_ns - failures->from_ns >= SAID_IN_NS) {
		failures->from_ns = now_ns;
		failures->said = 0;
	}
	may = failures->said < SAID_MAX;
	if (may) {
		failures->said++;
		*unsaid = failures->unsaid;
		failures->unsaid = 0;
	} else {
		failures->unsaid++;
	}
	pthread_mutex_unlock(&failures->lock);
	return may;
}

static void say(struct collection *collection, const char *what, const char *why)
{
	uint64_t unsaid = 0;

	if (!may_say(&collection->failures, &unsaid))
		return;
	if (unsaid > 0)
		report_add(&collection->report,
		           "%" PRIu64 " more failures are not listed, because there were too many",
		           unsaid);
	report_add(&collection->report, "%s%s%s", what, why[0] ? ": " : "", why);
}

int failure_of(struct collection *collection, int r, bool is_writing, const char *format, ...)
{
	char what[REPORT_LINE_BYTES / 2];
	char why[REPORT_LINE_BYTES];
	va_list args;

	if (r == -ESHUTDOWN)
		atomic_store(&collection->watch.state, WATCH_FENCED);
	if (failure_errno(r, is_writing) == -EIO)
		atomic_fetch_add(&collection->counters.io_errors, 1);
	va_start(args, format);
	(void)vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	failure_explain(&collection->connection, r, is_writing, why, sizeof(why));
	say(collection, what, why);
	return failure_errno(r, is_writing);
}

void failure_say(struct collection *collection, const char *format, ...)
{
	char what[REPORT_LINE_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	say(collection, what, "");
}
