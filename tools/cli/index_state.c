/*
 * index_state.c - how an index of nearest neighbours is, as the engine or control/nearest_index tell it.
 */
#include "tools/cli/index_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const states[] = {
	[QUIVER_NEAREST_NONE] = "none",
	[QUIVER_NEAREST_BUILDING] = "building",
	[QUIVER_NEAREST_READY] = "ready",
	[QUIVER_NEAREST_NO_HELP] = "no_help",
};

#define STATES (sizeof(states) / sizeof(states[0]))

const char *index_state_name(enum quiver_nearest_state state)
{
	return (size_t)state < STATES ? states[state] : "unknown";
}

void index_state_of(struct quiver *store, struct quiver_nearest_status *status)
{
	memset(status, 0, sizeof(*status));
	status->size = sizeof(*status);
	quiver_nearest_status(store, status);
}

/* How the last build ended: "ok", "none" where there was none, "stopped", or what went wrong. */
static int parse_result(const char *text)
{
	if (strcmp(text, "ok") == 0 || strcmp(text, "none") == 0)
		return 0;
	if (strcmp(text, "stopped") == 0)
		return -EINTR;
	for (int error = 1; error < 256; error++) {
		if (strcmp(strerror(error), text) == 0)
			return -error;
	}
	return -EIO;
}

/* Take one value over. */
static void take(const char *key, const char *value, struct quiver_nearest_status *status)
{
	const struct {
		const char *key;
		uint64_t *whole;
		double *real;
	} numbers[] = {
		{ "done", &status->done, NULL },
		{ "total", &status->total, NULL },
		{ "lists", &status->lists, NULL },
		{ "probes", &status->probes, NULL },
		{ "assigned", &status->assigned, NULL },
		{ "pending", &status->pending, NULL },
		{ "recall", NULL, &status->recall },
		{ "exact_ms", NULL, &status->exact_ms },
		{ "index_ms", NULL, &status->index_ms },
		{ "memory_bytes", &status->memory_bytes, NULL },
		{ "file_bytes", &status->file_bytes, NULL },
	};

	for (size_t i = 0; i < STATES; i++) {
		if (strcmp(key, "state") == 0 && strcmp(value, states[i]) == 0)
			status->state = (enum quiver_nearest_state)i;
	}
	if (strcmp(key, "building") == 0)
		status->building = strcmp(value, "1") == 0;
	if (strcmp(key, "result") == 0)
		status->result = parse_result(value);
	if (strcmp(key, "metric") == 0)
		(void)quiver_metric_parse(value, &status->metric); /* of a newer daemon: left */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(key, numbers[i].key) != 0)
			continue;
		if (numbers[i].whole != NULL)
			*numbers[i].whole = strtoull(value, NULL, 10);
		else
			*numbers[i].real = strtod(value, NULL);
	}
}

void index_state_parse(char *text, struct quiver_nearest_status *status)
{
	char *rest = text, *line, *blank;

	memset(status, 0, sizeof(*status));
	status->size = sizeof(*status);
	while ((line = strsep(&rest, "\n")) != NULL) {
		blank = strchr(line, ' ');
		if (blank == NULL)
			continue;
		*blank = '\0';
		take(line, blank + 1, status);
	}
}

void index_state_print(const struct quiver_nearest_status *status, FILE *out)
{
	(void)fprintf(out, "nearest_state %s\nnearest_building %d\n",
	              index_state_name(status->state), status->building);
	(void)fprintf(out, "nearest_lists %" PRIu64 "\nnearest_probes %" PRIu64 "\n", status->lists,
	              status->probes);
	(void)fprintf(out, "nearest_assigned %" PRIu64 "\nnearest_pending %" PRIu64 "\n",
	              status->assigned, status->pending);
	(void)fprintf(out, "nearest_recall %.4f\nnearest_exact_ms %.3f\nnearest_index_ms %.3f\n",
	              status->recall, status->exact_ms, status->index_ms);
	(void)fprintf(out, "nearest_memory_bytes %" PRIu64 "\nnearest_file_bytes %" PRIu64 "\n",
	              status->memory_bytes, status->file_bytes);
}
