/* nearest_index.c - control/nearest_index: what it reads, and what a write does. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/base/refuse.h"
#include "fs/base/value.h"
#include "fs/control/control_show.h"
#include "fs/control/control_store.h"

#define SHOWN_BYTES 64

const char *nearest_state_name(enum quiver_nearest_state state)
{
	switch (state) {
	case QUIVER_NEAREST_BUILDING:
		return "building";
	case QUIVER_NEAREST_READY:
		return "ready";
	case QUIVER_NEAREST_NO_HELP:
		return "no_help";
	default:
		return "none";
	}
}

/* How the last build ended. */
static const char *result_name(const struct quiver_nearest_status *status)
{
	if (status->started_ns == 0)
		return "none";
	if (status->result == -EINTR)
		return "stopped";
	return status->result == 0 ? "ok" : strerror(-status->result);
}

void show_nearest_index(struct fs *fs, FILE *out)
{
	struct quiver_nearest_status status = { .size = sizeof(status) };

	quiver_nearest_status(fs->store, &status);
	fprintf(out, "state %s\nbuilding %d\n", nearest_state_name(status.state), status.building);
	fprintf(out, "done %" PRIu64 "\ntotal %" PRIu64 "\n", status.done, status.total);
	fprintf(out, "result %s\nduration_s %.3f\n", result_name(&status),
	        (double)status.duration_ns / 1e9);
	fprintf(out, "metric %s\n", quiver_metric_name(status.metric));
	fprintf(out, "lists %" PRIu64 "\nprobes %" PRIu64 "\n", status.lists, status.probes);
	fprintf(out, "assigned %" PRIu64 "\npending %" PRIu64 "\n", status.assigned,
	        status.pending);
	fprintf(out, "recall %.4f\nexact_ms %.3f\nindex_ms %.3f\n", status.recall, status.exact_ms,
	        status.index_ms);
	fprintf(out, "memory_bytes %" PRIu64 "\nfile_bytes %" PRIu64 "\n", status.memory_bytes,
	        status.file_bytes);
}

/* Names of the lines that it reads. */
static const char *const names[] = { "state",    "building",   "done",         "total",
	                             "result",   "lists",      "probes",       "assigned",
	                             "pending",  "duration_s", "recall",       "exact_ms",
	                             "index_ms", "metric",     "memory_bytes", "file_bytes" };

static bool is_line(const char *value, size_t length)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (value_starts_with(value, length, names[i]))
			return true;
	}
	return false;
}

/* What it reads, written back, as a whole or, as shells do, line by line: that one is being built, or that
 * none is; nothing else of it can be set. */
static int as_it_was(struct quiver *store, const char *value, size_t length)
{
	struct quiver_nearest_status status = { .size = sizeof(status) };

	quiver_nearest_status(store, &status);
	if (memmem(value, length, "building 0", 10) != NULL)
		return quiver_nearest_index_stop(store);
	if (memmem(value, length, "building 1", 10) != NULL && !status.building)
		return quiver_nearest_index_start(store);
	return 0;
}

int store_nearest_index(struct control_write *write)
{
	struct quiver *store = write->attempt.fs->store;
	char shown[SHOWN_BYTES];
	size_t length;
	const char *value = value_trim(write->attempt.data, write->attempt.data_bytes, &length);

	if (value_is(value, length, "start"))
		return quiver_nearest_index_start(store);
	if (value_is(value, length, "stop"))
		return quiver_nearest_index_stop(store);
	if (value_is(value, length, "off"))
		return quiver_nearest_index_off(store);
	if (is_line(value, length))
		return as_it_was(store, value, length);
	value_show(value, length, shown, sizeof(shown));
	return refuse(write->attempt.fs, -EINVAL,
	              "control/nearest_index: got \"%s\", expected start, stop or off", shown);
}
