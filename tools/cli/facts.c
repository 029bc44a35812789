/*
 * facts.c - what is known of a store: keys and values, as in control/stats.
 */
#include "tools/cli/facts.h"
#include "tools/cli/count_live.h"
#include "tools/cli/index_state.h"
#include "tools/cli/live.h"
#include "tools/cli/octal.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In front of why a number is not known. */
static const char unknown[] = "unknown: ";

/* ---- asking ------------------------------------------------------------- */

/* What the engine knows of a store that nobody else has open, under the keys that
 * a mount uses. Counts since the store was opened say nothing here. */
static void print_store(struct quiver *store, uint64_t count, FILE *out)
{
	const struct quiver_geometry *geometry = quiver_geometry(store);
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct quiver_description description;
	struct quiver_space space;

	quiver_stats(store, &stats);
	quiver_describe(store, &description);
	(void)fprintf(out, "version %s\nformat_version %" PRIu32 "\nuuid ", QUIVERFS_VERSION,
	              stats.format_version);
	for (size_t i = 0; i < sizeof(geometry->uuid); i++)
		(void)fprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
		              geometry->uuid[i]);
	(void)fprintf(out, "\ndim %" PRIu32 "\ndtype %s\n", geometry->dim,
	              quiver_dtype_name(geometry->dtype));
	(void)fprintf(out, "metric %s\n", quiver_metric_name(description.metric));
	if (description.label[0] != '\0')
		(void)fprintf(out, "label %s\n", description.label);
	(void)fprintf(out, "count %" PRIu64 "\nslots %" PRIu64 "\nslots_used %" PRIu64 "\n", count,
	              stats.slots, stats.slots_used);
	(void)fprintf(out, "slots_free %" PRIu64 "\nslots_retired %" PRIu64 "\n", stats.slots_free,
	              stats.slots_retired);
	(void)fprintf(out, "fragmentation %.6f\nvector_bytes %" PRIu64 "\n", stats.fragmentation,
	              stats.vector_bytes);
	(void)fprintf(out, "store_bytes %" PRIu64 "\nwal_bytes %" PRIu64 "\n", stats.store_bytes,
	              stats.wal_bytes);
	(void)fprintf(out, "wal_segments %" PRIu64 "\nindex_bytes %" PRIu64 "\n",
	              stats.wal_segments, stats.index_bytes);
	(void)fprintf(out, "index_kept %d\n", stats.index_kept);
	(void)fprintf(out, "lsn %" PRIu64 "\nlsn_durable %" PRIu64 "\nlsn_checkpoint %" PRIu64 "\n",
	              stats.lsn, stats.lsn_durable, stats.lsn_checkpoint);
	if (quiver_space(store, 0, &space) == 0)
		(void)fprintf(out,
		              "slots_before_growth %" PRIu64 "\ndisk_bytes %" PRIu64
		              "\ndisk_available_bytes %" PRIu64 "\n",
		              space.slots_free, space.total_bytes, space.available_bytes);
	(void)fprintf(out,
	              "replayed %" PRIu64 "\nrows_scanned %" PRIu64 "\nchecksum_errors %" PRIu64
	              "\nio_errors %" PRIu64 "\nerrors %" PRIu64 "\nfaults %" PRIu64 "\n",
	              stats.replayed, stats.rows_scanned, stats.checksum_errors, stats.io_errors,
	              stats.errors, stats.errors); /* refusals are a mount's */
	(void)fprintf(out, "failed %d\n", stats.failed);
}

/* Its snapshots: how many, what they hold, and which of them alone holds most. */
static void print_snapshots(struct quiver *store, FILE *out)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct quiver_snapshot *list = NULL;
	size_t count = 0, most = 0;

	quiver_stats(store, &stats);
	(void)fprintf(out,
	              "slots_held %" PRIu64 "\nsnapshots %" PRIu64 "\nversions_bytes %" PRIu64 "\n",
	              stats.slots_held, stats.snapshots, stats.versions_bytes);
	/* A store that can have none tells of 0, as one that has none. */
	if (quiver_snapshots(store, &list, &count) != 0)
		return;
	for (size_t i = 1; i < count; i++) {
		if (list[i].own_bytes > list[most].own_bytes)
			most = i;
	}
	if (count > 0)
		(void)fprintf(out, "snapshot_max %s\nsnapshot_max_bytes %" PRIu64 "\n",
		              list[most].name, list[most].own_bytes);
	free(list);
}

/* How many vectors there are. Of a store that others change as well a listing tells. */
static int count_vectors(struct session *session, uint64_t *count)
{
	struct quiver_list *list;
	int result;

	if ((session->capabilities & QUIVER_EXCLUSIVE) != 0) {
		*count = quiver_count(session->store);
		return 0;
	}
	result = quiver_list_open(session->store, 0, &list);
	if (result == 0) {
		*count = quiver_list_count(session->store, list);
		quiver_list_close(session->store, list);
	}
	return result;
}

/* Fill facts->text and facts->errors from the engine. -ENOMEM; errors of a listing. */
static int ask_store(struct session *session, struct facts *facts)
{
	struct quiver_nearest_status index;
	char *more = NULL;
	uint64_t count = 0;
	size_t length;
	FILE *out;
	int result = count_vectors(session, &count);
	int failed;

	if (result == 0)
		result = quiver_facts(session->store, 0, &more);
	if (result < 0)
		return result;
	out = open_memstream(&facts->text, &length);
	if (out != NULL) {
		print_store(session->store, count, out);
		print_snapshots(session->store, out);
		index_state_of(session->store, &index);
		if ((session->capabilities & QUIVER_IMMUTABLE) == 0)
			index_state_print(&index, out);
		(void)fputs(more, out);
	}
	free(more);
	if (out == NULL)
		return -ENOMEM;
	failed = ferror(out);
	if (fclose(out) != 0 || failed)
		return -ENOMEM;
	return quiver_errors(session->store, &facts->errors, &length);
}

/* Append control/NAME as a fact of that name. */
static int ask_also(struct session *session, struct facts *facts, const char *name)
{
	size_t length = strlen(facts->text);
	int used = snprintf(facts->text + length, LIVE_TEXT_BYTES_MAX - length, "\n%s ", name);

	if (used < 0 || (size_t)used >= LIVE_TEXT_BYTES_MAX - length)
		return -EFBIG;
	length += (size_t)used;
	return live_read(session->mount_fd, name, facts->text + length,
	                 LIVE_TEXT_BYTES_MAX - length);
}

/* control/stats has the vectors of a collection as they were counted last: have them counted. 0, also
 * where that is for its owner alone, or why they cannot be counted. */
static int count_anew(const struct session *session)
{
	int result = session->is_shared ? count_live(session->mount_fd) : 0;

	return result == -EACCES ? 0 : result;
}

/* Append what the cluster has not said. */
static void add_silence(struct facts *facts)
{
	size_t length = strlen(facts->text);

	(void)snprintf(facts->text + length, LIVE_TEXT_BYTES_MAX - length,
	               "\nhealth unknown: it has not answered within %d seconds",
	               COUNT_LIVE_SECONDS);
}

/* The same from the control files. */
static int ask_mount(struct session *session, struct facts *facts)
{
	int counted, result;

	facts->text = malloc(LIVE_TEXT_BYTES_MAX);
	facts->errors = malloc(LIVE_TEXT_BYTES_MAX);
	if (facts->text == NULL || facts->errors == NULL)
		return -ENOMEM;
	counted = count_anew(session);
	result = live_read(session->mount_fd, "stats", facts->text, LIVE_TEXT_BYTES_MAX);
	facts->errors[0] = '\0';
	if (session->target.snapshot)
		return result; /* in a mount it has no jobs and no errors of its own */
	if (result == 0)
		result = ask_also(session, facts, "compact");
	if (result == 0)
		result = ask_also(session, facts, "verify");
	if (result == 0 && counted == -ETIMEDOUT)
		add_silence(facts);
	if (result == 0)
		result = live_read(session->mount_fd, "errors", facts->errors, LIVE_TEXT_BYTES_MAX);
	if (result == -EACCES) {
		/* They are for who mounted it; the rest of the status is for all. */
		facts->errors[0] = '\0';
		result = 0;
	}
	if (counted < 0)
		(void)snprintf(facts->unknown, sizeof(facts->unknown), "%s%s", unknown,
		               counted == -ETIMEDOUT ? "the cluster does not answer"
		                                     : live_strerror(counted));
	return result;
}

/* ---- taking apart ------------------------------------------------------- */

/* Cut the text into lines and each at its first blank. */
static void parse_lines(struct facts *facts, bool live)
{
	char *rest = facts->text, *line, *blank;

	while ((line = strsep(&rest, "\n")) != NULL && facts->count < FACTS_MAX) {
		blank = strchr(line, ' ');
		if (blank == NULL)
			continue;
		*blank = '\0';
		/* Bytes that would break the lines. */
		if (live && (strcmp(line, "store") == 0 || strcmp(line, "mount") == 0 ||
		             strcmp(line, "label") == 0))
			octal_decode(blank + 1);
		facts->list[facts->count].key = line;
		facts->list[facts->count].value = blank + 1;
		facts->count++;
	}
}

/* What follows from a count that could not be had: an older one, or 0, would be taken for the true one. */
static void forget_count(struct facts *facts)
{
	const char *state = facts_find(facts, "state");

	if (state != NULL && strcmp(state, "gone") == 0)
		(void)snprintf(facts->unknown, sizeof(facts->unknown), "%sthe collection is gone",
		               unknown);
	else if (state != NULL && strcmp(state, "fenced") == 0)
		(void)snprintf(facts->unknown, sizeof(facts->unknown),
		               "%sthe cluster refuses this client", unknown);
	for (size_t i = 0; i < facts->count; i++) {
		struct fact *fact = &facts->list[i];

		if (strcmp(fact->key, "count") == 0 || strcmp(fact->key, "store_bytes") == 0)
			fact->value = facts->unknown;
	}
}

int facts_get(struct session *session, struct facts *facts)
{
	int result;

	memset(facts, 0, sizeof(*facts));
	result = session->target.live ? ask_mount(session, facts) : ask_store(session, facts);
	if (result < 0) {
		say_error(session->target.path, "its numbers cannot be read: %s",
		          live_strerror(result));
		facts_free(facts);
		return result;
	}
	parse_lines(facts, session->target.live);
	if (facts->unknown[0] != '\0')
		forget_count(facts);
	return 0;
}

void facts_free(struct facts *facts)
{
	free(facts->text);
	free(facts->errors);
	memset(facts, 0, sizeof(*facts));
}

/* ---- finding ------------------------------------------------------------ */

const char *facts_find(const struct facts *facts, const char *key)
{
	for (size_t i = 0; i < facts->count; i++) {
		if (strcmp(facts->list[i].key, key) == 0)
			return facts->list[i].value;
	}
	return NULL;
}

bool facts_is_unknown(const char *value)
{
	return strncmp(value, unknown, sizeof(unknown) - 1) == 0;
}

uint64_t facts_number(const struct facts *facts, const char *key)
{
	const char *value = facts_find(facts, key);

	return value != NULL ? strtoull(value, NULL, 10) : 0;
}

double facts_real(const struct facts *facts, const char *key)
{
	const char *value = facts_find(facts, key);

	return value != NULL ? strtod(value, NULL) : 0;
}
