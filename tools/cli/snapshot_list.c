/*
 * snapshot_list.c - showing the snapshots of a store: quiverfs snapshot list.
 */
#include "tools/cli/snapshot_list.h"
#include "tools/cli/figures.h"
#include "tools/cli/say.h"
#include "tools/cli/session.h"
#include "tools/cli/snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#define NS_PER_S 1000000000
/* "2026-11-29 14:03:22", and of JSON with a fraction and a zone; years may be longer. */
#define TIME_BYTES 48
#define UUID_BYTES 37

/* ---- for people --------------------------------------------------------- */

/* The whole seconds; before 1970 they round down, too. */
static time_t seconds_of(int64_t ns)
{
	return (time_t)(ns / NS_PER_S - (ns % NS_PER_S < 0));
}

/* As the clock on the wall says. */
static const char *local_time(int64_t ns, char text[TIME_BYTES])
{
	time_t seconds = seconds_of(ns);
	struct tm parts;

	if (localtime_r(&seconds, &parts) == NULL ||
	    strftime(text, TIME_BYTES, "%Y-%m-%d %H:%M:%S", &parts) == 0)
		(void)snprintf(text, TIME_BYTES, "unknown");
	return text;
}

static void print_one(const struct quiver_snapshot *snapshot, int width)
{
	char made[TIME_BYTES], vectors[FIGURE_BYTES], lsn[FIGURE_BYTES], own[FIGURE_BYTES],
		bytes[FIGURE_BYTES];

	/* Where its file cannot be read nothing else is known. */
	if (snapshot->damaged && snapshot->created_ns == 0) {
		(void)printf("%-*s  damaged: its file cannot be read\n", width, snapshot->name);
		return;
	}
	(void)printf("%-*s  %-19s %15s %15s %15s %12s%s\n", width, snapshot->name,
	             local_time(snapshot->created_ns, made), figure_count(snapshot->count, vectors),
	             figure_count(snapshot->lsn, lsn), figure_count(snapshot->own_vectors, own),
	             figure_bytes(snapshot->own_bytes, bytes),
	             snapshot->damaged ? "  incomplete" : "");
}

static void print_table(const struct cli_snapshots *snapshots)
{
	int width = (int)strlen("name");

	for (size_t i = 0; i < snapshots->count; i++) {
		int length = (int)strlen(snapshots->list[i].name);

		width = length > width ? length : width;
	}
	(void)printf("%-*s  %-19s %15s %15s %15s %12s\n", width, "name", "made", "vectors", "LSN",
	             "own vectors", "own bytes");
	for (size_t i = 0; i < snapshots->count; i++)
		print_one(&snapshots->list[i], width);
}

/* ---- for programs ------------------------------------------------------- */

/* ISO 8601, UTC, to the nanosecond. */
static const char *iso_time(int64_t ns, char text[TIME_BYTES])
{
	time_t seconds = seconds_of(ns);
	struct tm parts;
	size_t length;

	if (gmtime_r(&seconds, &parts) == NULL)
		return NULL;
	length = strftime(text, TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
	if (length == 0 || snprintf(text + length, TIME_BYTES - length, ".%09" PRId64 "Z",
	                            ns - (int64_t)seconds * NS_PER_S) >= (int)(TIME_BYTES - length))
		return NULL;
	return text;
}

static const char *uuid_text(const uint8_t uuid[16], char text[UUID_BYTES])
{
	char *at = text;

	for (size_t i = 0; i < 16; i++)
		at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
		              uuid[i]);
	return text;
}

static json_t *make_one(const struct quiver_snapshot *snapshot)
{
	char uuid[UUID_BYTES], made[TIME_BYTES];
	bool known = !snapshot->damaged || snapshot->created_ns != 0;

	if (!known)
		return json_pack("{ss sb}", "name", snapshot->name, "damaged", true);
	return json_pack("{ss ss ss? sI sI sI sI sI sb}", "name", snapshot->name, "uuid",
	                 uuid_text(snapshot->uuid, uuid), "created",
	                 iso_time(snapshot->created_ns, made), "lsn", (json_int_t)snapshot->lsn,
	                 "count", (json_int_t)snapshot->count, "slots", (json_int_t)snapshot->slots,
	                 "own_vectors", (json_int_t)snapshot->own_vectors, "own_bytes",
	                 (json_int_t)snapshot->own_bytes, "damaged", (int)snapshot->damaged);
}

/* -ENOMEM. */
static int print_json(const struct cli_snapshots *snapshots)
{
	json_t *array = json_array();
	bool failed = array == NULL;

	for (size_t i = 0; i < snapshots->count && !failed; i++)
		failed = json_array_append_new(array, make_one(&snapshots->list[i])) < 0;
	if (!failed)
		failed = json_dumpf(array, stdout, JSON_INDENT(1) | JSON_ENSURE_ASCII) < 0 ||
		         putchar('\n') == EOF;
	json_decref(array);
	return failed ? -ENOMEM : 0;
}

/* ---- either ------------------------------------------------------------- */

int snapshot_list(const char *given, bool json)
{
	struct reach reach = { "" };
	struct cli_snapshots snapshots;
	struct session session;
	int result, closed;

	result = session_open(given, &reach, SESSION_READ_ONLY | SESSION_MOUNT, &session);
	if (result < 0)
		return result;
	result = cli_snapshots_get(&session, &snapshots);
	if (result == 0) {
		if (json)
			result = print_json(&snapshots);
		else if (snapshots.count == 0)
			say_result("%s: no snapshots", given);
		else
			print_table(&snapshots);
		if (result < 0)
			say_errno("standard output", result);
		cli_snapshots_free(&snapshots);
	}
	closed = session_close(&session);
	return result < 0 ? result : closed;
}
