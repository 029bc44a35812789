#include "engine/rados/space.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/latency.h"
#include "engine/rados/blocking.h"
#include "engine/rados/failure.h"
#include "engine/rados/monitor_text.h"
#include "engine/rados/watch.h"

/* The cluster counts anew every few seconds, and each question is work for its monitors. */
#define KNOWN_FOR_NS (UINT64_C(5) * 1000000000)
/* A pool's name has 128 bytes, and what is asked is some 60. */
#define COMMAND_BYTES 512u

/* The answer to a command, to *text (malloc'd, with a NUL). 0 or what librados says. */
static int ask(const struct connection *connection, const char *command, char **text)
{
	char *answer = NULL;
	char *said = NULL;
	size_t answer_bytes = 0;
	size_t said_bytes = 0;
	int r = rados_mon_command(connection->cluster, &command, 1, "", 0, &answer, &answer_bytes,
	                          &said, &said_bytes);

	*text = r == 0 ? strndup(answer ? answer : "", answer_bytes) : NULL;
	if (answer)
		rados_buffer_free(answer);
	if (said)
		rados_buffer_free(said);
	return r == 0 && !*text ? -ENOMEM : r;
}

/* A pool's name may have what JSON wants escaped. */
static void quote(const char *name, char *to, size_t room)
{
	size_t at = 0;

	for (; *name != '\0' && at + 7 < room; name++) {
		if (*name == '"' || *name == '\\' || (unsigned char)*name < ' ')
			at += (size_t)snprintf(to + at, room - at, "\\u%04x",
			                       (unsigned)(unsigned char)*name);
		else
			to[at++] = *name;
	}
	to[at] = '\0';
}

static int ask_quota(const struct connection *connection, struct quiver_space *space)
{
	char pool[COMMAND_BYTES / 2];
	char command[COMMAND_BYTES];
	uint64_t quota, used;
	char *text;
	int r;

	quote(connection->target.pool, pool, sizeof(pool));
	(void)snprintf(command, sizeof(command),
	               "{\"prefix\":\"osd pool get-quota\",\"pool\":\"%s\",\"format\":\"json\"}",
	               pool);
	r = ask(connection, command, &text);
	/* Without a manager, or before its first report, nobody has counted what is in a pool; of one
	 * that is not there the watch tells. */
	if (r == -ENOENT)
		return 0;
	if (r != 0)
		return r;
	if (monitor_text_number(text, "quota_max_bytes", &quota) && quota > 0) {
		if (!monitor_text_number(text, "current_num_bytes", &used))
			used = 0;
		space->total_bytes = quota;
		if (used >= quota)
			space->free_bytes = 0;
		else if (quota - used < space->free_bytes)
			space->free_bytes = quota - used;
	}
	free(text);
	return 0;
}

/* By a thread of its own. */
static int ask_all(const struct connection *connection, void *arg)
{
	struct quiver_space *space = arg;
	int64_t pool = rados_ioctx_get_id(connection->io);
	uint64_t stored, available;
	char *text;
	int r = ask(connection, "{\"prefix\":\"df\",\"format\":\"json\"}", &text);

	if (r != 0)
		return r;
	if (monitor_text_of_pool(text, pool, "stored", &stored) &&
	    monitor_text_of_pool(text, pool, "max_avail", &available)) {
		space->total_bytes = stored + available;
		space->free_bytes = available;
	}
	free(text);
	r = ask_quota(connection, space);
	space->available_bytes = space->free_bytes;
	return r;
}

/* What was asked a moment ago, if that is enough. */
static bool is_known(struct collection *collection, struct quiver_space *space)
{
	struct known_space *known = &collection->space;
	bool is_new;

	pthread_mutex_lock(&known->lock);
	is_new = known->until_ns > clock_monotonic_ns();
	if (is_new)
		*space = known->space;
	pthread_mutex_unlock(&known->lock);
	return is_new;
}

static int find_out(struct collection *collection, struct quiver_space *space)
{
	struct known_space *known = &collection->space;
	int r = blocking_call(&collection->connection, ask_all, space, sizeof(*space));

	if (r != 0)
		return failure_of(collection, r, false,
		                  "the monitors cannot be asked for the pool's size");
	pthread_mutex_lock(&known->lock);
	known->space = *space;
	known->until_ns = clock_monotonic_ns() + KNOWN_FOR_NS;
	pthread_mutex_unlock(&known->lock);
	return 0;
}

int space_get(struct quiver *store, unsigned flags, struct quiver_space *space)
{
	struct collection *collection = collection_of(store);
	int r = watch_refuse(collection);

	if (r != 0 || is_known(collection, space))
		return r;
	if (flags & QUIVER_NOWAIT)
		return -EAGAIN;
	*space = (struct quiver_space){ 0 };
	return find_out(collection, space);
}

void space_stats(struct quiver *store, struct quiver_stats *stats)
{
	struct collection *collection = collection_of(store);
	struct counters *counters = &collection->counters;
	enum watch_state state = atomic_load(&collection->watch.state);
	int64_t count = atomic_load(&collection->count);

	*stats = (struct quiver_stats){ 0 };
	stats->count = count > 0 ? (uint64_t)count : 0;
	stats->vector_bytes = collection->layout.vector_bytes;
	/* Of one replica; what the OSDs allocate for it they do not tell. */
	stats->store_bytes = stats->count * (collection->layout.stride + ROW_BYTES);
	stats->puts = atomic_load(&counters->puts);
	stats->removes = atomic_load(&counters->removes);
	stats->set_attrs = atomic_load(&counters->set_attrs);
	stats->batches = atomic_load(&counters->batches);
	stats->gets = atomic_load(&collection->gets);
	stats->get_misses = atomic_load(&collection->get_misses);
	stats->checksum_errors = atomic_load(&counters->checksum_errors);
	stats->io_errors = atomic_load(&counters->io_errors);
	stats->errors = report_total(&collection->report);
	latency_read(&counters->commit, &stats->commit);
	latency_read(&counters->sync, &stats->sync);
	latency_read(&counters->growth, &stats->growth);
	latency_read(&counters->checkpoint, &stats->checkpoint);
	latency_read(&counters->compact_step, &stats->compact_step);
	stats->durability = QUIVER_ALWAYS;
	stats->read_only = collection->read_only;
	stats->failed = state == WATCH_GONE || state == WATCH_FENCED;
	stats->format_version = COLLECTION_VERSION;
}
