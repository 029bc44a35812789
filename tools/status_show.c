/*
 * status_show.c - what is known of a store, as a screen for people.
 */
#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Room for a formatted number. */
#define NUMBER_BYTES 48
/* The last lines of the errors that are shown. */
#define ERROR_LINES_SHOWN 3

/* A line: what it is about, and the rest by the caller. */
static void label(const char *text)
{
	(void)printf("  %-14s", text);
}

/* 1234567 as "1,234,567". */
static const char *grouped(uint64_t number, char to[NUMBER_BYTES])
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
	char *at = to;

	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			*at++ = ',';
		*at++ = digits[i];
	}
	*at = '\0';
	return to;
}

/* Bytes with a unit: "12 B", "3.4 MiB". */
static const char *sized(uint64_t bytes, char to[NUMBER_BYTES])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(to, NUMBER_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return to;
}

/* Nanoseconds with a unit that suits: "1.2 ms". */
static const char *timed(uint64_t ns, char to[NUMBER_BYTES])
{
	if (ns < 1000)
		(void)snprintf(to, NUMBER_BYTES, "%" PRIu64 " ns", ns);
	else if (ns < 1000000)
		(void)snprintf(to, NUMBER_BYTES, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		(void)snprintf(to, NUMBER_BYTES, "%.1f ms", (double)ns / 1e6);
	else
		(void)snprintf(to, NUMBER_BYTES, "%.2f s", (double)ns / 1e9);
	return to;
}

static const char *or_unknown(const char *value)
{
	return value != NULL && value[0] != '\0' ? value : "unknown";
}

/* ---- what is wrong ------------------------------------------------------ */

/* The last lines of what went wrong, newest last. */
static void show_error_lines(const char *errors)
{
	const char *start = errors + strlen(errors);
	int lines = 0;

	if (start > errors && start[-1] == '\n')
		start--;
	while (start > errors && lines < ERROR_LINES_SHOWN) {
		const char *before = start - 1;

		while (before > errors && *before != '\n')
			before--;
		start = before;
		lines++;
	}
	if (*start == '\n')
		start++;
	while (*start != '\0') {
		size_t length = strcspn(start, "\n");

		(void)printf("    %.*s\n", (int)length, start);
		start += length;
		start += *start == '\n';
	}
}

/* Whatever needs somebody to do something, first. */
static void show_trouble(const struct session *session, const struct facts *facts)
{
	uint64_t checksums = facts_number(facts, "checksum_errors");
	uint64_t disk = facts_number(facts, "io_errors");
	uint64_t errors = facts_number(facts, "errors");
	char number[NUMBER_BYTES];

	if (facts_number(facts, "failed") != 0)
		(void)printf(
			"  FAILED: the disk refused a write, so no more is accepted; reading goes "
			"on. Look after the disk, then unmount and mount again.\n");
	if (checksums > 0)
		(void)printf("  DAMAGE: %s checksums did not match; 'quiverfs verify' counts them, "
		             "'quiverfs check --repair' (unmounted) takes them out\n",
		             grouped(checksums, number));
	if (disk > 0)
		(void)printf("  DISK: %s errors of the disk\n", grouped(disk, number));
	if (errors > 0 && facts->errors != NULL && facts->errors[0] != '\0') {
		(void)printf("  %s refusals and faults%s; the last of them:\n",
		             grouped(errors, number),
		             session->target.live ? " since it was mounted" : "");
		show_error_lines(facts->errors);
	}
}

/* ---- what is in it ------------------------------------------------------ */

static void show_contents(const struct session *session, const struct facts *facts)
{
	const struct quiver_geometry *geometry = &session->geometry;
	char a[NUMBER_BYTES], b[NUMBER_BYTES], c[NUMBER_BYTES], d[NUMBER_BYTES];

	label("vectors");
	(void)printf("%s, dim %" PRIu32 ", dtype %s, %s bytes each\n",
	             grouped(facts_number(facts, "count"), a), geometry->dim,
	             quiver_dtype_name(geometry->dtype), grouped(geometry->vector_bytes, b));
	label("slots");
	(void)printf("%s used, of them %s free and %s superseded; room for %s\n",
	             grouped(facts_number(facts, "slots_used"), a),
	             grouped(facts_number(facts, "slots_free"), b),
	             grouped(facts_number(facts, "slots_retired"), c),
	             grouped(facts_number(facts, "slots"), d));
	label("fragmentation");
	(void)printf("%.1f%%%s\n", facts_real(facts, "fragmentation") * 100,
	             facts_real(facts, "fragmentation") >= 0.5
	                     ? "; 'quiverfs compact' gives the space back"
	                     : "");
	label("space");
	(void)printf("%s on disk, of that %s log; %s available\n",
	             sized(facts_number(facts, "store_bytes"), a),
	             sized(facts_number(facts, "wal_bytes"), b),
	             sized(facts_number(facts, "disk_available_bytes"), c));
	label("memory");
	(void)printf("%s of index\n", sized(facts_number(facts, "index_bytes"), a));
}

/* ---- how it does -------------------------------------------------------- */

static void show_log(const struct session *session, const struct facts *facts)
{
	const char *transport = facts_find(facts, "transport");
	const char *reason = facts_find(facts, "transport_reason");

	label("log");
	(void)printf("LSN %" PRIu64 ", durable up to %" PRIu64 ", checkpoint at %" PRIu64 "\n",
	             facts_number(facts, "lsn"), facts_number(facts, "lsn_durable"),
	             facts_number(facts, "lsn_checkpoint"));
	if (facts_number(facts, "replayed") > 0)
		(void)printf("  %-14s%" PRIu64 " log records replayed when it was opened\n",
		             "recovery", facts_number(facts, "replayed"));
	if (!session->target.live)
		return;
	label("durability");
	(void)printf("%s%s\n", or_unknown(facts_find(facts, "durability")),
	             facts_number(facts, "read_only") != 0 ? " (mounted read-only)" : "");
	label("transport");
	(void)printf("%s%s%s%s\n", or_unknown(transport), reason != NULL && reason[0] ? " (" : "",
	             reason != NULL ? reason : "", reason != NULL && reason[0] ? ")" : "");
}

/* One line for each thing that has been done at all. */
static void show_latencies(const struct facts *facts)
{
	static const char *const names[] = { "commit", "sync", "growth", "checkpoint",
		                             "compact_step" };
	char key[64], count[NUMBER_BYTES], p50[NUMBER_BYTES], p99[NUMBER_BYTES], max[NUMBER_BYTES];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(key, sizeof(key), "%s_count", names[i]);
		if (facts_number(facts, key) == 0)
			continue;
		(void)grouped(facts_number(facts, key), count);
		(void)snprintf(key, sizeof(key), "%s_p50_ns", names[i]);
		(void)timed(facts_number(facts, key), p50);
		(void)snprintf(key, sizeof(key), "%s_p99_ns", names[i]);
		(void)timed(facts_number(facts, key), p99);
		(void)snprintf(key, sizeof(key), "%s_max_ns", names[i]);
		(void)timed(facts_number(facts, key), max);
		label(names[i]);
		(void)printf("%s; median %s, 99%% below %s, longest %s\n", count, p50, p99, max);
	}
}

void status_show(const struct session *session, const struct facts *facts)
{
	const char *state = "not mounted";
	const char *store = facts_find(facts, "store");

	if (session->target.live)
		state = facts_number(facts, "failed") != 0      ? "mounted, no longer writable"
		        : facts_number(facts, "read_only") != 0 ? "mounted read-only"
		                                                : "mounted";
	(void)printf("%s: %s", session->target.path, state);
	if (session->target.live)
		(void)printf(", store %s, process %s", or_unknown(store),
		             or_unknown(facts_find(facts, "pid")));
	(void)printf("\n");
	show_trouble(session, facts);
	show_contents(session, facts);
	show_log(session, facts);
	if (session->target.live)
		show_latencies(facts);
}
